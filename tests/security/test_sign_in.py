"""Who tries to come in without being entitled to: guessers, thieves of sessions, holders of other people's certificates."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from starlette.types import ASGIApp, Receive, Scope, Send

from chargepki.adapters.listen.server import Listener
from chargepki.adapters.listen.tls import ClientAuth, LiveTls, ServerIdentity
from chargepki.api.app import create_api
from chargepki.app import api_services
from chargepki.client.client import Client
from chargepki.core import totp
from chargepki.core.access.model import Role
from chargepki.core.access.policy import PRODUCTION
from chargepki.core.algorithms import KeySpec
from chargepki.core.pem import encode_pem
from chargepki.core.profiles.backend import TLS_SERVER
from chargepki.core.records import Certificate, MachineId, MachineState, PersonId, ProfileId
from chargepki.core.revocation import RevocationReason
from chargepki.core.tls_peer import EXTENSION, TlsPeer
from chargepki.errors import NeedsStepUp
from chargepki.ports import AddSession, UpdateAccount, UpdateMachine
from chargepki.services.audit import Caller
from chargepki.services.orders import CertificateOrder
from chargepki.services.password_checks import PasswordChecks
from chargepki.services.sessions import STEPPED_UP, signing_in
from chargepki.services.sign_in import ANSWER_SECONDS_MIN
from chargepki.testing.workbench import ADMIN, Workbench, open_workbench

PASSWORD = "correct gravel tuesday"
URL = "https://pki.test"
API = f"{URL}/api/v1"
SESSION = "__Host-chargepki-session"


@dataclass
class Door:
    bench: Workbench
    app: ASGIApp

    def client(self, *, peer: TlsPeer | None = None, **options: Any) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(_with_peer(self.app, peer), client=("192.0.2.7", 4711))
        return httpx.AsyncClient(transport=transport, **options)

    async def account(self, name: str = "anna") -> str:
        """A person with a password, and the secret of their session."""
        _, invitation = await self.bench.services.people.invite_person(ADMIN, username=name)
        stranger = Caller(signing_in(None), "api", "198.51.100.1")
        return (await self.bench.services.sign_in.redeem_invitation(stranger, invitation=invitation, password=PASSWORD)).secret


def _with_peer(app: ASGIApp, peer: TlsPeer | None) -> ASGIApp:
    async def tls(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, "extensions": {EXTENSION: peer}} if peer else scope, receive, send)

    return tls


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    async with open_workbench(tmp_path) as bench:
        yield Door(bench, create_api(api_services(bench.ports, bench.services)))


# ---------------------------------------------------------------------------------------------------------------- passwords


async def test_nothing_tells_whether_a_user_exists(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    """Same status, same words, same work, whether the name, the password, the code or the lock is at fault."""
    await door.account()
    checked: list[str] = []
    real = PasswordChecks._run

    async def counted(self: PasswordChecks, *arguments: Any) -> object:
        checked.append(str(arguments[0]))
        return await real(self, *arguments)

    monkeypatch.setattr(PasswordChecks, "_run", counted)
    tries = [("anna", "wrong wrong wrong", ""), ("nobody", PASSWORD, ""), ("anna", PASSWORD, "123456"), ("no such name!", "x", "")]
    tries.append(("anna", "x" * 200, ""))
    answers, times = [], []
    async with door.client() as http:
        for name, password, code in tries * 3:
            answers.append(await http.post(f"{API}/sign-in/password", json={"username": name, "password": password, "code": code}))
            times.append(answers[-1].elapsed.total_seconds())
    assert min(times) >= ANSWER_SECONDS_MIN
    shown = {(a.status_code, a.json()["detail"], a.json()["findings"][0]["hint"]) for a in answers}
    assert len(shown) == 1, shown
    assert shown.pop()[0] == 401
    assert len(checked) == len(tries) * 3


async def test_a_hash_of_every_password_is_compared_and_nobodys_is_never_right(door: Door) -> None:
    checks = PasswordChecks(door.bench.ports.entropy)
    assert not await checks.is_right("-", "")
    assert await checks.is_right(PASSWORD, await checks.hash(PASSWORD))


async def test_a_flood_of_guesses_is_told_to_come_back(door: Door) -> None:
    async def guess(number: int) -> int:
        transport = httpx.ASGITransport(door.app, client=(f"10.0.{number // 250}.{number % 250}", 1))
        async with httpx.AsyncClient(transport=transport) as http:
            body = {"username": "nobody", "password": "wrong wrong wrong"}
            return (await http.post(f"{API}/sign-in/password", json=body)).status_code

    statuses = await asyncio.gather(*(guess(number) for number in range(80)))
    assert set(statuses) == {401, 429}


async def test_the_bounds_of_a_sign_in_hold_before_anything_is_looked_up(door: Door) -> None:
    async with door.client() as http:
        good = {"username": "a", "password": "x", "code": ""}
        for bad in ({"username": "a" * 65}, {"password": "x" * 257}, {"code": "12345x"}, {"more": 1}):
            body = {**good, **bad}
            assert (await http.post(f"{API}/sign-in/password", json=body)).status_code == 422
        long = await http.post(f"{API}/sign-in/password", content=b"[" * 100_000, headers={"Content-Type": "application/json"})
        assert long.status_code == 413
        assert (await http.post(f"{API}/sign-in/device/session", json={"handle": "A" * 4_000})).status_code == 422
        assert (await http.post(f"{API}/sign-in/device/session", json={"handle": "A" * 200})).status_code == 401


# ----------------------------------------------------------------------------------------------------------------- sessions


@pytest.mark.clause("RFC 9470 3")
async def test_a_stolen_session_is_asked_for_the_factor_the_thief_lacks(door: Door) -> None:
    secret = await door.account()
    headers = {"Authorization": f"Bearer {secret}"}
    async with door.client(headers=headers) as http:
        body = {"password": PASSWORD, "new_password": "seven purple ladders", "code": ""}
        offer = (await http.post(f"{API}/account/totp")).json()
        for code in ("000000", "999999"):
            refused = await http.put(f"{API}/account/totp", json={"password": "guess guess guess", "handle": offer["handle"], "code": code})
            assert refused.status_code in (401, 422)
        assert (await http.put(f"{API}/account/password", json={**body, "password": "guess guess guess"})).status_code == 401
        assert (await http.post(f"{API}/account/step-up", json={"code": "123456"})).status_code == 422


@pytest.mark.clause("RFC 9470 3")
async def test_a_privileged_act_in_production_asks_for_a_fresh_factor_and_goes_on_with_it(tmp_path: Path) -> None:
    async with open_workbench(tmp_path, policy=PRODUCTION, has_authorities=False) as bench:
        key = b"k" * totp.SECRET_OCTETS
        carla = await bench.person("carla", Role.ADMINISTRATOR)
        id = PersonId(carla.actor.person)
        account = await bench.ports.store.get_account(id)
        await bench.ports.store.commit(UpdateAccount(replace(account, totp_sealed=bench.ports.secrets.seal(key, f"totp:{id}"))))
        new = bench.services.sessions.plan(await bench.ports.store.get_person(id), method="local", client="", stepped_up_at=None)
        await bench.ports.store.commit(AddSession(new.session))

        transport = httpx.ASGITransport(create_api(api_services(bench.ports, bench.services)), client=("192.0.2.7", 4711))
        async with Client(URL, new.secret, transport=transport) as client:
            assert [person.username async for person in client.people.list()] == ["carla"], "whoever reads needs no second factor"
            with pytest.raises(NeedsStepUp):
                await client.people.invite(username="dora")
            asked: list[str] = []

            def answer() -> str:
                asked.append("code")
                return totp.code_at(key, totp.step_of(bench.clock.now()))

            client.ask_step_up(answer)
            await client.people.invite(username="dora")
            await client.people.invite(username="emil")
            assert asked == ["code"], "once in a quarter of an hour"
            bench.clock.advance(STEPPED_UP)
            await client.people.invite(username="fritz")
            assert len(asked) == 2


async def test_an_ended_session_is_nobody(door: Door) -> None:
    secret = await door.account()
    async with door.client(headers={"Authorization": f"Bearer {secret}"}) as http:
        [session] = (await http.get(f"{API}/user-sessions")).json()["items"]
        assert (await http.delete(f"{API}/user-sessions/{session['id']}")).status_code == 204
        assert (await http.get(f"{API}/whoami")).status_code == 401
        assert (await http.delete(f"{API}/user-sessions/{session['id']}")).status_code == 401


async def test_a_session_secret_stands_nowhere(door: Door, tmp_path: Path) -> None:
    secret = await door.account()
    async with door.client(headers={"Authorization": f"Bearer {secret}"}) as http:
        await http.get(f"{API}/whoami")
    for path in list(tmp_path.rglob("*")):  # noqa: ASYNC240
        assert not path.is_file() or secret.encode() not in path.read_bytes(), path


async def test_a_request_is_judged_by_the_secret_it_brings_and_by_no_other(door: Door) -> None:
    secret = await door.account()
    cookie = {"Cookie": f"{SESSION}={secret}"}
    async with door.client() as http:
        assert (await http.get(f"{API}/whoami", headers=cookie)).status_code == 200
        assert (await http.get(f"{API}/whoami", headers={**cookie, "Authorization": "Bearer cpss_wrong"})).status_code == 401
        two = [("Authorization", f"Bearer {secret}"), ("Authorization", "Bearer x")]
        assert (await http.get(f"{API}/whoami", headers=two)).status_code == 401
        assert (await http.get(f"{API}/whoami", headers={"Cookie": f"{SESSION}={secret}; {SESSION}={secret}"})).status_code == 401
        assert (await http.get(f"{API}/whoami", headers={"Cookie": f"chargepki-session={secret}"})).status_code == 401
        long = {"Cookie": f"{SESSION}={secret}; filler={'x' * 9_000}"}
        assert (await http.get(f"{API}/whoami", headers=long)).status_code == 401


async def test_a_person_is_no_token_and_a_token_no_session(door: Door) -> None:
    """The session's secret does not become a token by another prefix, nor the other way round."""
    secret = await door.account()
    async with door.client() as http:
        for changed in (secret.replace("cpss_", "cpat_"), secret.replace("cpss_", "cpet_"), secret[:-1], secret + "A", secret.upper()):
            assert (await http.get(f"{API}/whoami", headers={"Authorization": f"Bearer {changed}"})).status_code == 401


# ----------------------------------------------------------------------------------------------------------------- machines


@dataclass
class Backend:
    id: MachineId
    key: ec.EllipticCurvePrivateKey
    certificate: Certificate
    chain: tuple[bytes, ...]

    def peer(self, der: bytes | None = None) -> TlsPeer:
        return TlsPeer(der or self.certificate.der, self.chain, "ECDHE-ECDSA-AES128-GCM-SHA256", "TLSv1.3")


@pytest.fixture
async def backend(door: Door) -> Backend:
    machine = await door.bench.machine("backend", Role.CSMS, party="demo-cpo")
    id = MachineId(machine.actor.id.removeprefix("machine:"))
    key = ec.generate_private_key(ec.SECP256R1())
    csr = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    order = CertificateOrder(ProfileId("backend/mtls-client"), csr=csr.public_bytes(serialization.Encoding.DER), machine=id)
    issued = await door.bench.services.issuance.request(ADMIN, order)
    return Backend(id, key, issued.certificate, issued.chain)


async def whoami(door: Door, peer: TlsPeer, **options: Any) -> httpx.Response:
    async with door.client(peer=peer, **options) as http:
        return await http.get(f"{API}/whoami")


async def test_a_machine_is_known_by_its_certificate(door: Door, backend: Backend) -> None:
    answer = await whoami(door, backend.peer())
    assert (answer.status_code, answer.json()["actor"]) == (200, f"machine:{backend.id}")


async def test_a_certificate_of_another_profile_or_of_no_machine_is_nobody(door: Door, backend: Backend) -> None:
    server = await door.bench.services.server_certificates.ensure(TLS_SERVER, KeySpec.P256)
    for der in (server.chain[0], server.chain[1], b"", b"\x30\x03\x02\x01\x00", b"x" * 9_000):
        refused = await whoami(door, backend.peer(der))
        if der:
            assert refused.status_code == 401, der[:8]
            assert refused.json()["findings"][0]["code"].startswith("sign_in.certificate.")


async def test_a_forged_twin_with_our_issuer_and_serial_is_nobody(door: Door, backend: Backend) -> None:
    """A leaked or second CA key makes a chain that verifies; the store does not know the bytes."""
    ours = x509.load_der_x509_certificate(backend.certificate.der)
    forger = ec.generate_private_key(ec.SECP256R1())
    builder = x509.CertificateBuilder().subject_name(ours.subject).issuer_name(ours.issuer).serial_number(ours.serial_number)
    builder = builder.not_valid_before(ours.not_valid_before_utc).not_valid_after(ours.not_valid_after_utc).public_key(forger.public_key())
    twin = builder.sign(forger, hashes.SHA256()).public_bytes(serialization.Encoding.DER)
    refused = await whoami(door, backend.peer(twin))
    assert (refused.status_code, refused.json()["findings"][0]["code"]) == (401, "sign_in.certificate.unknown")
    entries = (await door.bench.services.audit.list(ADMIN, outcome="refused")).items
    assert any(entry.object.startswith("client-certificate:") for entry in entries)


async def test_a_revoked_certificate_is_out_within_a_second(door: Door, backend: Backend) -> None:
    assert (await whoami(door, backend.peer())).status_code == 200
    await door.bench.services.revocation.revoke(ADMIN, backend.certificate.id, reason=RevocationReason.KEY_COMPROMISE)
    door.bench.clock.advance(timedelta(seconds=1))
    refused = await whoami(door, backend.peer())
    assert (refused.status_code, refused.json()["findings"][0]["code"]) == (401, "sign_in.certificate.revoked")


async def test_an_expired_certificate_and_a_suspended_machine_are_out(door: Door, backend: Backend) -> None:
    """Suspended behind this node's back, as another node does it: it hears of that within a second."""
    machine = await door.bench.ports.store.get_machine(backend.id)
    await door.bench.ports.store.commit(UpdateMachine(replace(machine, state=MachineState.SUSPENDED)))
    door.bench.clock.advance(timedelta(seconds=1))
    assert (await whoami(door, backend.peer())).status_code == 401
    machine = await door.bench.ports.store.get_machine(backend.id)
    await door.bench.ports.store.commit(UpdateMachine(replace(machine, state=MachineState.ACTIVE)))
    door.bench.clock.advance(timedelta(seconds=1))
    assert (await whoami(door, backend.peer())).status_code == 200
    door.bench.clock.advance(timedelta(days=900))
    refused = await whoami(door, backend.peer())
    assert refused.json()["findings"][0]["code"] == "sign_in.certificate.validity"


async def test_a_wrong_token_is_not_made_good_by_the_certificate_underneath(door: Door, backend: Backend) -> None:
    assert (await whoami(door, backend.peer(), headers={"Authorization": "Bearer cpat_wrong"})).status_code == 401


async def test_a_real_handshake_proves_the_key_and_a_stranger_stays_outside(door: Door, backend: Backend, tmp_path: Path) -> None:
    async with listening(door, tmp_path) as (url, roots):
        ours = client_context(roots, tmp_path, backend.key, backend.certificate.der)
        async with httpx.AsyncClient(verify=ours) as http:
            assert (await http.get(f"{url}/api/v1/whoami")).json()["actor"] == f"machine:{backend.id}"
        async with httpx.AsyncClient(verify=ssl.create_default_context(cafile=str(roots))) as http:
            assert (await http.get(f"{url}/api/v1/whoami")).status_code == 401
        stolen = ec.generate_private_key(ec.SECP256R1())
        selfmade = x509.CertificateBuilder().subject_name(x509.Name([])).issuer_name(x509.Name([])).public_key(stolen.public_key())
        selfmade = selfmade.serial_number(7).not_valid_before(door.bench.clock.now() - timedelta(days=1))
        der = selfmade.not_valid_after(door.bench.clock.now() + timedelta(days=1)).sign(stolen, hashes.SHA256())
        theirs = client_context(roots, tmp_path, stolen, der.public_bytes(serialization.Encoding.DER))
        async with httpx.AsyncClient(verify=theirs) as http:
            with pytest.raises((httpx.TransportError, ssl.SSLError)):
                await http.get(f"{url}/api/v1/whoami")


@asynccontextmanager
async def listening(door: Door, directory: Path) -> AsyncIterator[tuple[str, Path]]:
    """The API behind a real TLS listener that asks for client certificates, as a node has it."""
    own = await door.bench.services.server_certificates.ensure(TLS_SERVER, KeySpec.P256)
    chain = "".join(encode_pem("CERTIFICATE", der) for der in own.chain[:-1]).encode()
    views = await door.bench.services.authorities.views()
    anchors = [view.certificate_der for view in views if view.authority.profile.endswith("/operator")]
    tls = LiveTls([ServerIdentity(chain, own.key_pem, own.passphrase)], client_auth=ClientAuth.OPTIONAL, client_anchors=anchors)
    listener = Listener(door.app, "127.0.0.1", 0, tls=tls)
    roots = directory / "roots.pem"
    roots.write_text(encode_pem("CERTIFICATE", own.chain[-1]))
    await listener.start()
    try:
        yield f"https://localhost:{listener.port}", roots
    finally:
        await listener.stop()


def client_context(roots: Path, directory: Path, key: ec.EllipticCurvePrivateKey, der: bytes) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(roots))
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path = directory / "client.pem"
    path.write_bytes(pem + encode_pem("CERTIFICATE", der).encode())
    context.load_cert_chain(path)
    return context
