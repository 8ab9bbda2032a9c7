"""CRLs with many entries: from the order over the API to the signed, stored list. The things counted are entries."""

import asyncio
import hashlib
import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import islice
from typing import Final

from chargepki.adapters.clock import SystemClock
from chargepki.adapters.entropy import SystemEntropy
from chargepki.adapters.store import open_store
from chargepki.adapters.store.sql_store import SqlStore
from chargepki.config import load_config
from chargepki.core.issue import SERIAL_OCTETS, serial_from
from chargepki.core.records import (
    AuthorityId,
    Certificate,
    CertificateEvent,
    CertificateEventKind,
    CertificateId,
    Intent,
    IntentId,
    ProfileId,
)
from chargepki.core.revocation import RevocationReason
from chargepki.errors import Broken
from chargepki.ports import AddCertificate, AddCertificateEvent, AddIntent, Change
from chargepki.testing.bench.measurement import Measurement, measure
from chargepki.testing.bench.stage import PROFILE, api_target, fresh_directory, name_of
from chargepki.testing.load import connected_load, spell_request
from chargepki.testing.server import running_server

ENTRIES: Final = 10_000
PUBLISHED: Final = 10  # CRLs in one run
ISSUER: Final = AuthorityId("operator-sub")
_TOGETHER: Final = 500  # certificates that are recorded at a time
_VALID: Final = timedelta(days=365)


async def bench_crl(store: str, entries: int = ENTRIES) -> Measurement:
    """The revoked certificates are written to the store directly, while no server runs; publishing them is what is measured."""
    async with fresh_directory(store) as directory:
        async with running_server(directory):
            pass  # the first start makes the authorities
        platform = await asyncio.to_thread(open_store, load_config(directory).store_url())
        try:
            await _record_revoked(platform, entries)
        finally:
            await platform.close()
        async with running_server(directory) as server:
            target = api_target(server)
            order = spell_request("POST", f"/api/v1/authorities/{ISSUER}/crl", target, {"Authorization": f"Bearer {server.admin_token}"})
            async with connected_load(target, [order] * PUBLISHED, connections=1) as load:
                measured = await measure("crl", server, load, store=name_of(store), status=201, things_per_request=entries)
    for answer in load.answers:
        if answer is None or json.loads(answer.body)["entry_count"] != entries:
            raise Broken("a published CRL does not have the entries it should", hint="read the server's log")
    return measured


async def _record_revoked(store: SqlStore, count: int) -> None:
    """Certificates that were never signed, revoked: a CRL needs no more of them than a serial number, a time and a reason."""
    made = _revoked(SystemEntropy(), SystemClock().now(), count)
    while batch := list(islice(made, _TOGETHER)):
        await asyncio.gather(*(store.commit(*changes) for changes in batch))


def _revoked(entropy: SystemEntropy, now: datetime, count: int) -> Iterator[tuple[Change, ...]]:
    for number in range(count):
        serial = serial_from(entropy.octets(SERIAL_OCTETS))
        digest = hashlib.sha256(serial.to_bytes(SERIAL_OCTETS, "big")).digest()
        profile, actor, id = ProfileId(PROFILE), "bench", CertificateId(entropy.ulid("crt"))
        intent = Intent(IntentId(entropy.ulid("int")), ISSUER, serial, digest, profile, "{}", actor, now)
        certificate = Certificate(
            id, ISSUER, serial, profile, f"CN=revoked-{number}", b"", digest, now, now + _VALID, intent.id, actor, now
        )
        revoked, reason = CertificateEventKind.REVOKED, RevocationReason.SUPERSEDED
        event = CertificateEvent(entropy.ulid("evt"), id, ISSUER, serial, revoked, reason, now, actor)
        yield AddIntent(intent), AddCertificate(certificate), AddCertificateEvent(event, None)
