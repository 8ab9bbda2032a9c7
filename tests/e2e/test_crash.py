"""SIGKILL in the middle of 1,000 concurrent requests, ten times: nothing a client received is lost, nothing exists twice."""

import asyncio
import json
import math
import random
import resource
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from chargepki.adapters.store import open_store
from chargepki.client.certificates import Certificate
from chargepki.client.client import Client
from chargepki.ports import PAGE_SIZE_MAX
from chargepki.testing.csrs import make_csrs
from chargepki.testing.load import Load, Target, connected_load, spell_request
from chargepki.testing.process_use import read_use
from chargepki.testing.server import ServerProcess, running_server, start_server

ROUNDS = 10
ROUNDS_ON_POSTGRES = 2
REQUESTS = 1000  # each on a connection of its own, so that all of them wait for an answer at the same time
PEACEFUL_REQUESTS = 250
ANSWERS_MAX = 900  # of one round, when the server is killed
SPARE_ROUNDS = 4
LOOK_EVERY_SECONDS = 0.02
DESCRIPTORS = 4 * REQUESTS
REVOKED = 25
PROFILE = "backend/mtls-client"


@pytest.fixture(autouse=True)
def enough_descriptors() -> Iterator[None]:
    """A thousand connections take more files than some systems give a process at first; the server inherits the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= soft < DESCRIPTORS:  # a negative limit is none
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(DESCRIPTORS, hard) if hard >= 0 else DESCRIPTORS, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def spell_orders(server: ServerProcess, target: Target, round_number: int, count: int) -> list[bytes]:
    headers = {"Authorization": f"Bearer {server.admin_token}", "Content-Type": "application/json"}
    orders = (
        {"profile": PROFILE, "csr": csr, "common_name": f"client-{round_number}-{number}"} for number, csr in enumerate(make_csrs(count))
    )
    return [spell_request("POST", "/api/v1/certificates", target, headers, json.dumps(order).encode()) for order in orders]


async def kill_in_the_middle(server: ServerProcess, load: Load, *, answers: int, cpu_seconds: float) -> None:
    """SIGKILL after so many answers or so much work, whatever comes first; all other requests have been sent and wait."""
    limit = read_use(server.pid).cpu_seconds + cpu_seconds
    while read_use(server.pid).cpu_seconds < limit:
        with suppress(TimeoutError):
            await asyncio.wait_for(load.wait_for(answers), LOOK_EVERY_SECONDS)
            break
    await server.kill()


async def request_until_killed(server: ServerProcess, round_number: int, *, answers: int, cpu_seconds: float) -> Load:
    target = Target.of(server.api, server.ca_file)
    orders = await asyncio.to_thread(spell_orders, server, target, round_number, REQUESTS)
    async with connected_load(target, orders, connections=REQUESTS) as load:
        await asyncio.gather(load.run(), kill_in_the_middle(server, load, answers=answers, cpu_seconds=cpu_seconds))
    assert load.cut_off == REQUESTS - load.answered
    return load


async def request_in_peace(data: Path) -> tuple[dict[str, str], float]:
    """Fewer requests without a crash: what they received, and the CPU seconds that `REQUESTS` of them would take."""
    async with running_server(data) as server:
        target = Target.of(server.api, server.ca_file)
        orders = await asyncio.to_thread(spell_orders, server, target, 0, PEACEFUL_REQUESTS)
        async with connected_load(target, orders, connections=PEACEFUL_REQUESTS) as load:
            before = read_use(server.pid)
            await load.run()
            load.check(201)
            spent = read_use(server.pid).cpu_seconds - before.cpu_seconds
            return received_in(load), spent * REQUESTS / PEACEFUL_REQUESTS


async def crash_repeatedly(data: Path, rounds: int) -> dict[str, str]:
    """The certificates that clients received in all rounds.

    The server does alike things together: a thousand intents, a thousand certificates, then the answers. So every other round
    counts answers, to be cut among those, and the rounds between them count work, to be cut in what comes before. A round that was
    answered to the end, because this process was held up, proves nothing and is repeated.
    """
    received, cpu_seconds = await request_in_peace(data)
    draw, cut = random.Random(20261122), 0
    for round_number in range(1, rounds + SPARE_ROUNDS + 1):
        share = (cut + draw.random()) / rounds
        is_counting_answers = cut % 2 == 0
        server = await start_server(data)
        try:
            load = await request_until_killed(
                server,
                round_number,
                answers=int(share * ANSWERS_MAX) if is_counting_answers else ANSWERS_MAX,
                cpu_seconds=math.inf if is_counting_answers else (0.4 + share / 2) * cpu_seconds,
            )
        finally:
            await server.kill()
        received |= received_in(load)
        cut += load.cut_off > 0
        if cut == rounds:
            return received
    raise AssertionError("too many kills came after the last answer")


def received_in(load: Load) -> dict[str, str]:
    """Certificate id -> serial."""
    answers = [answer for answer in load.answers if answer is not None]
    assert {answer.status for answer in answers} <= {201}
    certificates = [json.loads(answer.body)["certificate"] for answer in answers]
    return {certificate["id"]: certificate["serial"] for certificate in certificates}


async def check_everything_received_is_kept_once(client: Client, received: dict[str, str]) -> None:
    """In the store and in the audit; and what is in the one is in the other."""
    stored = [certificate async for certificate in client.certificates.list()]
    ordered = {certificate.id: certificate.serial for certificate in stored if certificate.profile == PROFILE}
    assert received.items() <= ordered.items()
    assert not repeated((certificate.issuer, certificate.serial) for certificate in stored)
    assert not repeated(certificate.spki_sha256 for certificate in stored if certificate.profile == PROFILE)
    entries = client.audit_entries.list(action="certificate:request:create", outcome="done", object="certificate:*")
    audited = Counter([entry.object.removeprefix("certificate:") async for entry in entries])
    assert audited == Counter([certificate.id for certificate in stored if not is_authority(certificate)])


async def check_interrupted_intents_are_on_record(client: Client) -> None:
    """The start after each crash closed every intent that led to no certificate, and said so."""
    assert not [intent async for intent in client.intents.list()]
    reviewed = [entry.object async for entry in client.audit_entries.list(action="system:intent:review")]
    assert reviewed, "ten crashes under load cut something off"
    assert not repeated(reviewed)


async def check_next_crl(client: Client, received: dict[str, str]) -> None:
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


def repeated(things: Iterator[object] | list[str]) -> list[object]:
    return [thing for thing, times in Counter(things).items() if times > 1]


def is_authority(certificate: Certificate) -> bool:
    return certificate.profile.startswith(("root/", "sub/"))


@pytest.mark.timeout(300)
async def test_sigkill_under_load_loses_nothing_and_doubles_nothing(tmp_path: Path) -> None:
    received = await crash_repeatedly(tmp_path, ROUNDS)
    server = await start_server(tmp_path)
    async with server.client() as client:
        await check_everything_received_is_kept_once(client, received)
        await check_interrupted_intents_are_on_record(client)
        await check_next_crl(client, received)
    assert await server.stop() == 0


@pytest.mark.timeout(300)
async def test_the_same_holds_over_postgresql(tmp_path: Path, postgres_url: str) -> None:
    (tmp_path / "config.toml").write_text(f'[store]\ntype = "postgres"\ndsn = "{postgres_url}"\n')
    received = await crash_repeatedly(tmp_path, ROUNDS_ON_POSTGRES)
    server = await start_server(tmp_path)
    async with server.client() as client:
        await check_everything_received_is_kept_once(client, received)
        await check_next_crl(client, received)
    assert await server.stop() == 0
    await check_intents_wait_for_their_review(postgres_url)


async def check_intents_wait_for_their_review(url: str) -> None:
    """Another node may be at work on a fresh intent, so nothing of the last minute was closed; and none has a certificate."""
    store = await asyncio.to_thread(open_store, url)
    try:
        waiting = (await store.list_open_intents(before=datetime.now(UTC) + timedelta(seconds=1), limit=PAGE_SIZE_MAX)).items
        assert not [intent for intent in waiting if await store.lookup_certificate_by_intent(intent.id) is not None]
    finally:
        await store.close()
