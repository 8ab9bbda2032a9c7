"""SIGKILL in the middle of 1,000 concurrent requests, ten times: nothing a client received is lost, nothing exists twice."""

import asyncio
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from chargepki.client.client import Client
from chargepki.testing.server import ServerProcess, start_server

ROUNDS = 10
REQUESTS = 1000
CONNECTIONS = 64
REVOKED = 25


def csrs(count: int) -> Iterator[str]:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "ignored")])
    for _ in range(count):
        request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
        yield request.public_bytes(serialization.Encoding.PEM).decode()


async def request_until_killed(server: ServerProcess, round_number: int, kill_after: float) -> dict[str, str]:
    """Fires all requests at once, kills the server on the way, and returns what clients got: certificate id -> serial."""
    received: dict[str, str] = {}
    limits = httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS)
    headers = {"authorization": f"Bearer {server.admin_token}"}
    async with httpx.AsyncClient(base_url=server.api, verify=str(server.ca_file), limits=limits, timeout=30, headers=headers) as http:

        async def order(number: int, csr: str) -> None:
            body = {"profile": "backend/mtls-client", "csr": csr, "common_name": f"client-{round_number}-{number}"}
            try:
                answer = await http.post("/api/v1/certificates", json=body)
            except httpx.HTTPError:
                return
            if answer.status_code == 201:
                certificate = answer.json()["certificate"]
                received[certificate["id"]] = certificate["serial"]

        async def kill() -> None:
            while len(received) < kill_after * REQUESTS:
                await asyncio.sleep(0.001)
            await server.kill()

        await asyncio.gather(kill(), *(order(number, csr) for number, csr in enumerate(csrs(REQUESTS))))
    return received


async def all_stored(client: Client) -> dict[str, str]:
    found = [certificate async for certificate in client.certificates.list(profile="backend/mtls-client")]
    assert not [serial for serial, times in Counter(c.serial for c in found).items() if times > 1]
    assert not [key for key, times in Counter(c.spki_sha256 for c in found).items() if times > 1]
    return {certificate.id: certificate.serial for certificate in found}


async def issued_in_audit(client: Client) -> Counter[str]:
    entries = client.audit_entries.list(action="certificate:request:create", outcome="done", object="certificate:*")
    return Counter([entry.object.removeprefix("certificate:") async for entry in entries])


@pytest.mark.timeout(600)
async def test_sigkill_under_load_loses_nothing_and_doubles_nothing(tmp_path: Path) -> None:
    received: dict[str, str] = {}
    draw = random.Random(20261122)
    for round_number in range(ROUNDS):
        server = await start_server(tmp_path)
        got = await request_until_killed(server, round_number, kill_after=draw.uniform(0.02, 0.9))
        assert len(got) < REQUESTS, "the server was killed too late to prove anything"
        received |= got
    server = await start_server(tmp_path)
    async with server.client() as client:
        stored, audited = await all_stored(client), await issued_in_audit(client)
        assert received.items() <= stored.items()
        assert stored.keys() <= audited.keys()
        assert all(audited[id] == 1 for id in stored)
        interrupted = [entry async for entry in client.audit_entries.list(action="system:intent:review")]
        still_open = [intent async for intent in client.intents.list()]
        assert not still_open, "every intent that a crash cut off was closed and put on record at the next start"
        assert len({entry.object for entry in interrupted}) == len(interrupted)
        await check_next_crl(client, server, received)
    assert await server.stop() == 0


async def check_next_crl(client: Client, server: ServerProcess, received: dict[str, str]) -> None:
    """After all this, the next CRL lists exactly what was revoked."""
    chosen = dict(list(received.items())[:REVOKED])
    for id in chosen:
        await client.certificates.revoke(id, reason="superseded")
    issuer = (await client.certificates.get(next(iter(chosen)))).issuer
    await client.authorities.publish_crl(issuer)
    crl = x509.load_der_x509_crl(await client.authorities.crl_file(issuer))
    assert {f"{entry.serial_number:x}" for entry in crl} == set(chosen.values())
    authority = x509.load_pem_x509_certificates(await client.authorities.chain(issuer))[0]
    assert crl.is_signature_valid(authority.public_key())
