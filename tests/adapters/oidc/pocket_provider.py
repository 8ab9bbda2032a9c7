"""A provider small enough to misbehave on purpose: it answers over real HTTP what a test tells it to."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, RSAKey

CLIENT = "chargepki"


@dataclass
class PocketProvider:
    issuer: str = ""
    keys: list[Any] = field(default_factory=lambda: [ECKey.generate_key("P-256", {"kid": "one", "use": "sig"})])
    answers: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    asked: list[tuple[str, str, bytes]] = field(default_factory=list)

    def discovery(self, **changed: Any) -> dict[str, Any]:
        document = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
            "device_authorization_endpoint": f"{self.issuer}/device",
            "authorization_response_iss_parameter_supported": True,
        }
        return {name: value for name, value in {**document, **changed}.items() if value is not None}

    def say(self, path: str, document: object, status: int = 200) -> None:
        self.answers[path] = (status, document if isinstance(document, bytes) else json.dumps(document).encode())

    def publish(self) -> None:
        self.say("/.well-known/openid-configuration", self.discovery())
        self.say("/keys", KeySet(self.keys).as_dict())

    def sign(self, claims: dict[str, Any], *, key: Any = None, header: dict[str, Any] | None = None) -> str:
        key = key or self.keys[0]
        wanted = header or {"alg": "RS256" if isinstance(key, RSAKey) else "ES256", "kid": key.kid}
        return jwt.encode(wanted, claims, key)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        method, path, *_ = (await reader.readline()).decode().split(" ")
        length = 0
        while (line := (await reader.readline()).strip().lower()) != b"":
            if line.startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        self.asked.append((method, path, await reader.readexactly(length)))
        status, body = self.answers.get(path.partition("?")[0], (404, b"{}"))
        writer.write(
            b"HTTP/1.1 %d X\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % (status, len(body))
        )
        writer.write(body)
        try:
            await writer.drain()
        finally:
            writer.close()


@asynccontextmanager
async def pocket_provider() -> AsyncIterator[PocketProvider]:
    provider = PocketProvider()
    server = await asyncio.start_server(provider.serve, "127.0.0.1", 0)
    provider.issuer = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    provider.publish()
    async with server:
        yield provider
