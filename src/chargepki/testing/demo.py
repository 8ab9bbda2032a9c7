"""The story, played once on real sockets: from a password to mutual TLS, and out again when the certificate is revoked."""

import asyncio
import json
import sys
import tempfile
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import httpx
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import ocsp
from rich.console import Console
from rich.markup import escape

from chargepki.client.client import Client
from chargepki.core.bundle import OcppVersion
from chargepki.errors import ChargePkiError, Refused
from chargepki.testing.server import ServerProcess, running_server
from chargepki.testing.station.identity import StationCertificate
from chargepki.testing.station.link import ConnectionEnded, HandshakeFailed, UpgradeRefused
from chargepki.testing.station.simulator import StationSimulator

CLOSE_SECONDS_MAX: Final = 5.0  # from the revocation to the closed connection, and to a CRL that says so
OPERATOR: Final = "demo-cpo"


class DemoFailed(ChargePkiError):
    """A step did not prove what it should."""


@dataclass(slots=True)
class _Stage:
    """Prints each step with what it proved."""

    console: Console
    steps: list[dict[str, object]] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)
    step: int = 0

    def proved(self, what: str, *facts: str) -> None:
        self.step += 1
        elapsed = time.monotonic() - self.started
        self.steps.append({"step": self.step, "proved": what, "facts": facts, "seconds": round(elapsed, 2)})
        self.console.print(f"[bold green]✔[/] [bold]{self.step:2}  {what}[/]  [dim]{elapsed:.1f} s[/]")
        for fact in facts:
            self.console.print(f"       {fact}", highlight=False)

    def title(self, text: str) -> None:
        self.console.print(f"\n[bold]{text}[/]")


def run_demo(*, is_json: bool = False) -> int:
    """Plays the story; 0 when every step held. With `is_json` the steps go to stdout as one JSON object, the talk to stderr."""
    console = Console(stderr=is_json, soft_wrap=not sys.stdout.isatty())  # a log keeps each fact on one line
    stage, stopped = _Stage(console), ""
    try:
        asyncio.run(_play(stage))
    except (ChargePkiError, TimeoutError) as error:
        stopped = f"{type(error).__name__}: {error}"
        console.print(f"[bold red]✘ the demo stopped:[/] {escape(stopped)}")
    if is_json:
        sys.stdout.write(json.dumps({"has_held": not stopped, "stopped": stopped or None, "steps": stage.steps}, indent=2) + "\n")
    return 1 if stopped else 0


async def _play(stage: _Stage) -> None:
    with tempfile.TemporaryDirectory(prefix="chargepki-demo-") as directory:
        async with running_server(Path(directory)) as server, server.client() as client:
            await _show_authorities(stage, client)
            for version in OcppVersion:
                await _play_station(stage, client, server, version)
            await _play_without_ocpp(stage, client)
            await _show_refusals(stage, client, server)
            stage.title(f"All {stage.step} steps held, in {time.monotonic() - stage.started:.1f} s.")


async def _show_authorities(stage: _Stage, client: Client) -> None:
    authorities = await client.authorities.list()
    roots = [authority for authority in authorities if authority.parent is None]
    stage.title("A platform from nothing")
    stage.proved(
        f"{len(authorities)} certification authorities were made, {len(roots)} of them roots",
        *(f"{root.id}: SHA-256 {root.sha256}" for root in roots),
    )


async def _play_station(stage: _Stage, client: Client, server: ServerProcess, version: OcppVersion) -> None:
    number = {OcppVersion.V16: 16, OcppVersion.V201: 201, OcppVersion.V21: 21}[version]
    id, serial = f"CS-{number}", f"SN-{number:05}"
    stage.title(f"Station {id} speaks OCPP {version}")
    await client.stations.add(id=id, serial_number=serial, operator=OPERATOR)
    password = (await client.stations.set_password(id)).password
    async with StationSimulator(id, server.ocpp, server.operator_roots_pem(), serial_number=serial, version=version) as station:
        await station.connect_basic(password)
        await station.boot()
        stage.proved("it connects with security profile 2: TLS and a password")
        held = await station.wait_for_certificate()
        stage.proved(
            "it was asked for a CSR, made its key, and installed the chain it got",
            f"subject {held.leaf.subject.rfc4514_string()}, issuer {held.leaf.issuer.rfc4514_string()}",
            f"serial {held.leaf.serial_number:x}, valid until {held.leaf.not_valid_after_utc:%Y-%m-%d}",
        )
        await station.disconnect()
        await station.connect_mutual_tls()
        await station.boot()
        await station.heartbeat()
        session = next(s for s in await client.stations.sessions() if s.station == id)
        _check(session.security_profile == "3", "the server sees security profile 3")
        stage.proved("it reconnects with security profile 3: mutual TLS, no password any more")
        await _check_password_is_over(stage, id, serial, password, server, version)
        await _revoke(stage, client, server, station, held.leaf)


async def _check_password_is_over(stage: _Stage, id: str, serial: str, password: str, server: ServerProcess, version: OcppVersion) -> None:
    async with StationSimulator(id, server.ocpp, server.operator_roots_pem(), serial_number=serial, version=version) as impostor:
        try:
            await impostor.connect_basic(password)
        except UpgradeRefused as refused:
            stage.proved(f"the old password is refused from now on (HTTP {refused.status})")
            return
    raise DemoFailed("the password still opens a connection")


async def _revoke(stage: _Stage, client: Client, server: ServerProcess, station: StationSimulator, leaf: x509.Certificate) -> None:
    certificate = await _find(client, leaf)
    issuer = x509.load_pem_x509_certificates(await client.certificates.chain(certificate))[1]
    before = await _ask_ocsp(server, leaf, issuer)
    _check(before.certificate_status is ocsp.OCSPCertStatus.GOOD, "OCSP says good before the revocation")
    revoked_at = time.monotonic()
    await client.certificates.revoke(certificate, reason="keyCompromise", note="the demo")
    closed = await station.wait_closed(CLOSE_SECONDS_MAX)
    closed_after = time.monotonic() - revoked_at
    after = await _ask_ocsp(server, leaf, issuer)
    _check(after.certificate_status is ocsp.OCSPCertStatus.REVOKED, "OCSP says revoked")
    number = await _wait_for_crl(leaf, issuer, revoked_at)
    stage.proved(
        f"its certificate is revoked; the connection was closed {closed_after:.2f} s later ({closed.code} {closed.reason})",
        f"OCSP: revoked, {after.revocation_reason.value if after.revocation_reason else 'unspecified'}",
        f"CRL number {number} lists it, {time.monotonic() - revoked_at:.2f} s after the revocation",
    )
    try:
        await station.connect_mutual_tls()
    except (UpgradeRefused, ConnectionEnded) as refused:
        reason = await _reason_in_audit(client, f"station:{station.station_id}")
        stage.proved("it may not come back", f"{refused}", f"logged: {reason}")
        return
    raise DemoFailed("the revoked certificate still opens a connection")


async def _play_without_ocpp(stage: _Stage, client: Client) -> None:
    stage.title("Without OCPP")
    key = await asyncio.to_thread(_new_key)
    issued = await client.certificates.order(profile="ocpp/csms-server", csr=_csr(key, "ignored"), host="csms.example.org")
    chain = x509.load_pem_x509_certificates(issued.chain.encode())
    chain[0].verify_directly_issued_by(chain[1])
    stage.proved(
        "a CSMS gets its server certificate through the API",
        f"{issued.certificate.subject}, {len(chain)} certificates in the chain, until {issued.certificate.not_after:%Y-%m-%d}",
    )
    for format in ("der", "pkcs7", "ocpp"):
        _check(bool(await client.certificates.chain(issued.certificate.id, format=format)), f"the chain as {format}")
    stage.proved("the same chain as PEM, DER, PKCS#7 and as the exact certificateChain string of OCPP")


async def _show_refusals(stage: _Stage, client: Client, server: ServerProcess) -> None:
    stage.title("What is refused")
    csr = _csr(await asyncio.to_thread(_new_key), "x")
    for what, order in (
        ("a station nobody registered", {"profile": "ocpp/station", "csr": csr, "station": "CS-404"}),
        ("a CSR cut in half", {"profile": "ocpp/station", "csr": csr[: len(csr) // 2], "station": "CS-16"}),
        ("a validity beyond the profile", {"profile": "ocpp/station", "csr": csr, "station": "CS-16", "validity_days": 9999}),
    ):
        try:
            await client.certificates.order(**order)
        except Refused as refusal:
            first = refusal.findings[0]
            stage.proved(f"{what}: refused", f"{first.code}: {first.message}", *([f"hint: {first.hint}"] if first.hint else []))
            continue
        raise DemoFailed(f"{what} was not refused")
    async with StationSimulator("CS-16", server.ocpp, server.operator_roots_pem(), serial_number="SN-00016") as station:
        await _show_wrong_password(stage, station)
        await _show_foreign_certificate(stage, client, station)


async def _show_wrong_password(stage: _Stage, station: StationSimulator) -> None:
    try:
        await station.connect_basic("wrong password, 20+ ")
    except UpgradeRefused as refused:
        stage.proved("a wrong password: refused", f"HTTP {refused.status}")
        return
    raise DemoFailed("a wrong password opened a connection")


async def _show_foreign_certificate(stage: _Stage, client: Client, station: StationSimulator) -> None:
    """A perfect copy of the station's certificate, except that another CA signed it."""
    key = await asyncio.to_thread(_new_key)
    name = x509.Name(
        [x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, OPERATOR), x509.NameAttribute(x509.NameOID.COMMON_NAME, "SN-00016")]
    )
    now = datetime.now(UTC)
    forged = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Somebody else's CA")]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=30))
        .sign(await asyncio.to_thread(_new_key), hashes.SHA256())
    )
    try:
        await station.connect_mutual_tls(StationCertificate(key, (forged,)))
    except (HandshakeFailed, ConnectionEnded) as refused:
        reason = await _reason_in_audit(client, "handshake:*")
        stage.proved("a client certificate of somebody else's CA: refused in the handshake", str(refused), f"logged: {reason}")
        return
    raise DemoFailed("a foreign client certificate opened a connection")


async def _find(client: Client, leaf: x509.Certificate) -> str:
    async for certificate in client.certificates.list(text=f"{leaf.serial_number:x}"):
        return certificate.id
    raise DemoFailed("the inventory does not know the certificate")


async def _ask_ocsp(server: ServerProcess, leaf: x509.Certificate, issuer: x509.Certificate) -> ocsp.OCSPResponse:
    request = ocsp.OCSPRequestBuilder().add_certificate(leaf, issuer, hashes.SHA256()).build()
    async with httpx.AsyncClient() as http:
        answer = await http.post(
            f"{server.status}/ocsp",
            content=request.public_bytes(serialization.Encoding.DER),
            headers={"content-type": "application/ocsp-request"},
        )
    return ocsp.load_der_ocsp_response(answer.content)


async def _wait_for_crl(leaf: x509.Certificate, issuer: x509.Certificate, since: float) -> int:
    """The number of the first CRL that lists `leaf`."""
    points = leaf.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    assert points[0].full_name is not None
    url = points[0].full_name[0].value
    async with httpx.AsyncClient() as http:
        while time.monotonic() - since < CLOSE_SECONDS_MAX:
            crl = x509.load_der_x509_crl((await http.get(url)).content)
            _check(crl.is_signature_valid(issuer.public_key()), "the CRL's signature verifies")  # type: ignore[arg-type]
            if crl.get_revoked_certificate_by_serial_number(leaf.serial_number) is not None:
                return crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
            await asyncio.sleep(0.1)
    raise DemoFailed(f"the CRL does not list the certificate after {CLOSE_SECONDS_MAX:.0f} s")


async def _reason_in_audit(client: Client, object: str) -> str:
    """Asks more than once: a peer sees the end of a TLS handshake before the trail does."""
    since = time.monotonic()
    while time.monotonic() - since < CLOSE_SECONDS_MAX:
        async for entry in client.audit_entries.list(object=object, outcome="refused"):
            return "; ".join(f"{finding['code']}: {finding['message']}" for finding in entry.body["findings"])
        await asyncio.sleep(0.05)
    raise DemoFailed("the refusal is not in the audit trail")


def _new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _csr(key: ec.EllipticCurvePrivateKey, common_name: str) -> str:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name)])
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM).decode()


def _check(holds: bool, what: str) -> None:
    if not holds:
        raise DemoFailed(f"not true: {what}")
