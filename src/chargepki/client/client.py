"""The way in: one client, one attribute per noun."""

from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from chargepki.client.access import AuditEntries, Intents, Tokens
from chargepki.client.authorities import Authorities, Profiles
from chargepki.client.certificates import Certificates
from chargepki.client.checks import CsrChecks
from chargepki.client.connection import Connection
from chargepki.client.stations import Stations
from chargepki.client.transport import Transport


class Client:
    """Speaks to one ChargePKI server. Use as an async context manager, or call `close`."""

    def __init__(
        self, url: str, token: str, ca_file: str | Path | None = None, *, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        connection = Connection(url.rstrip("/"), token, None if ca_file is None else str(ca_file))
        self._transport = Transport(connection, transport=transport)
        self.certificates = Certificates(self._transport)
        self.authorities = Authorities(self._transport)
        self.profiles = Profiles(self._transport)
        self.csr_checks = CsrChecks(self._transport)
        self.stations = Stations(self._transport)
        self.tokens = Tokens(self._transport)
        self.audit_entries = AuditEntries(self._transport)
        self.intents = Intents(self._transport)

    async def close(self) -> None:
        await self._transport.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()
