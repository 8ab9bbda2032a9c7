"""chargepki ocsp: ask a responder about one certificate, as a relying party would."""

import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from chargepki.cli.desk import Desk, command, noun
from chargepki.cli.files import read_input
from chargepki.errors import Refused

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.x509 import ocsp

NONCE_OCTETS: Final = 32  # RFC 9654 2.1
FILE_OCTETS_MAX: Final = 256 * 1024

app = noun("ocsp", "Certificate status: check.")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a responder says. `is_trusted`: signed by the issuer, or by a responder that the issuer named; nonce and serial agree."""

    status: str
    serial: str
    responder: str
    is_trusted: bool
    reason: str | None
    revoked_at: datetime | None
    this_update: datetime | None
    next_update: datetime | None
    url: str


@command(app, "check", undone="Nothing is known about this certificate's status.")
async def check_status(
    desk: Desk,
    certificate: Annotated[str, typer.Argument(metavar="ID|FILE", help="certificate id (crt_...), serial number in hex, or a file")],
    issuer: Annotated[str, typer.Option(metavar="FILE", help="the issuer's certificate; from the file or the certificate's URL else")] = "",
    responder: Annotated[str, typer.Option(metavar="URL", help="the responder; the URL in the certificate unless said")] = "",
    nonce: Annotated[bool, typer.Option("--nonce", help="want an answer made for this question")] = False,
) -> None:
    """Ask OCSP about a certificate and verify the answer. Exits 0 when it is good, else 1."""
    import httpx

    from chargepki.cli.checks import SECONDS

    async with httpx.AsyncClient(timeout=SECONDS, trust_env=False) as http:
        chain = await _find_chain(desk, certificate, issuer, http, is_file=_is_file(certificate))
        verdict = await _ask(http, *chain, responder=responder, nonce=os.urandom(NONCE_OCTETS) if nonce else b"")
    if desk.is_json:
        desk.out.json(verdict)
    else:
        _show(desk, verdict)
    if verdict.status != "good" or not verdict.is_trusted:
        raise typer.Exit(1)


def _is_file(name: str) -> bool:
    return name == "-" or Path(name).is_file()


async def _find_chain(desk: Desk, name: str, issuer: str, http: object, *, is_file: bool) -> "tuple[x509.Certificate, x509.Certificate]":
    """The certificate and its issuer."""
    from cryptography.x509.oid import AuthorityInformationAccessOID

    from chargepki.cli.cert import find_certificate
    from chargepki.cli.checks import access_url, fetch

    if is_file:
        found = _read(read_input(name))
    else:
        async with desk.client() as client:
            shown = await find_certificate(client, name)
            found = _read(await client.certificates.chain(shown.id, include_root=True))
    if issuer:
        return found[0], _read(read_input(issuer))[0]
    if len(found) > 1 or found[0].subject == found[0].issuer:
        return found[0], found[min(1, len(found) - 1)]
    return found[0], _read(await fetch(http, "GET", access_url(found[0], AuthorityInformationAccessOID.CA_ISSUERS)))[0]  # type: ignore[arg-type]


def _read(octets: bytes) -> "list[x509.Certificate]":
    from cryptography import x509

    from chargepki.core.pem import parse_any

    try:
        return [x509.load_der_x509_certificate(blob.der) for blob in parse_any(octets, octets_max=FILE_OCTETS_MAX)]
    except ValueError as error:
        hint = "chargepki inspect FILE says what it is"
        raise Refused.because("cli.certificate", f"this is no certificate: {error}", hint=hint) from error


async def _ask(http: object, leaf: "x509.Certificate", issuer: "x509.Certificate", *, responder: str, nonce: bytes) -> Verdict:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.x509 import ocsp
    from cryptography.x509.oid import AuthorityInformationAccessOID

    from chargepki.cli.checks import access_url, fetch

    url = responder or access_url(leaf, AuthorityInformationAccessOID.OCSP)
    question = ocsp.OCSPRequestBuilder().add_certificate(leaf, issuer, hashes.SHA256())
    if nonce:
        question = question.add_extension(x509.OCSPNonce(nonce), critical=False)
    octets = await fetch(http, "POST", url, question.build().public_bytes(serialization.Encoding.DER))  # type: ignore[arg-type]
    try:
        answer = ocsp.load_der_ocsp_response(octets)
    except ValueError as error:
        raise Refused.because("cli.ocsp.unreadable", f"{url} answers with no OCSP response: {error}") from error
    if answer.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
        status = answer.response_status.name.lower()
        return Verdict(status, f"{leaf.serial_number:x}", "", False, None, None, None, None, url)
    is_trusted = answer.serial_number == leaf.serial_number and _is_signed_for(answer, issuer) and (not nonce or _nonce_of(answer) == nonce)
    return Verdict(
        answer.certificate_status.name.lower(),
        f"{leaf.serial_number:x}",
        _responder_of(answer, issuer),
        is_trusted,
        None if answer.revocation_reason is None else answer.revocation_reason.value,
        answer.revocation_time_utc,
        answer.this_update_utc,
        answer.next_update_utc,
        url,
    )


def _is_signed_for(answer: "ocsp.OCSPResponse", issuer: "x509.Certificate") -> bool:
    """RFC 6960 4.2.2.2: signed by the issuer, or by a responder whose certificate the issuer signed for this."""
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature
    from cryptography.x509.oid import ExtendedKeyUsageOID

    from chargepki.core.algorithms import is_signature_valid, signature_of_oid

    signer = answer.certificates[0] if answer.certificates else issuer
    algorithm = signature_of_oid(answer.signature_algorithm_oid.dotted_string)
    try:
        if signer != issuer:
            signer.verify_directly_issued_by(issuer)
            if ExtendedKeyUsageOID.OCSP_SIGNING not in signer.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value:
                return False
        return algorithm is not None and is_signature_valid(signer.public_key(), algorithm, answer.signature, answer.tbs_response_bytes)
    except (InvalidSignature, ValueError, TypeError, x509.ExtensionNotFound):
        return False


def _responder_of(answer: "ocsp.OCSPResponse", issuer: "x509.Certificate") -> str:
    signer = answer.certificates[0] if answer.certificates else issuer
    return signer.subject.rfc4514_string()


def _nonce_of(answer: "ocsp.OCSPResponse") -> bytes:
    from cryptography import x509

    try:
        return answer.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce
    except x509.ExtensionNotFound:
        return b""


def _show(desk: Desk, verdict: Verdict) -> None:
    from chargepki.cli.output import minute, serial_groups

    desk.out.facts(
        ("Status", verdict.status),
        ("Reason", verdict.reason or ""),
        ("Since", minute(verdict.revoked_at) if verdict.revoked_at else ""),
        ("Serial", serial_groups(verdict.serial)),
        ("Signed", f"{'by' if verdict.is_trusted else 'NOT TRUSTED:'} {verdict.responder}" if verdict.responder else ""),
        ("Good for", f"{minute(verdict.this_update)} until {minute(verdict.next_update)}" if verdict.this_update else ""),
        ("Asked", verdict.url),
    )
