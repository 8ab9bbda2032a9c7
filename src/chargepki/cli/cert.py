"""chargepki cert: order, find, show, revoke, export."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from chargepki.cli.desk import Desk, command, noun
from chargepki.cli.files import PassphraseOption, read_csr, read_input, read_passphrase, write_new
from chargepki.errors import Refused

if TYPE_CHECKING:
    from chargepki.client import Client
    from chargepki.client.approvals import BlastRadius
    from chargepki.client.certificates import Certificate, CertificateDetail, Impact, Issued

app = noun("cert", "Certificates: order, list, show, revoke, revoke-many, hold, confirm-hold, release, export.")

SUFFIXES: Final = {"pem": ".chain.pem", "ocpp": ".chain.pem", "der": ".cer", "pkcs7": ".p7c"}
CHAIN_OCTETS_MAX: Final = 256 * 1024  # five ML-DSA-87 certificates in PEM take 60,000

IdArgument = Annotated[str, typer.Argument(metavar="ID", help="certificate id (crt_...) or serial number in hex")]
ReasonOption = Annotated[
    str, typer.Option("--reason", help="superseded, keyCompromise, cessationOfOperation, certificateHold, ... (RFC 5280 5.3.1)")
]


@command(app, "list")
async def list_certificates(
    desk: Desk,
    station: Annotated[str, typer.Option(help="only this station's")] = "",
    issuer: Annotated[str, typer.Option(help="only from this authority")] = "",
    profile: Annotated[str, typer.Option(help="only of this profile")] = "",
    state: Annotated[str, typer.Option(help="valid, revoked or expired")] = "",
    expires_before: Annotated[str, typer.Option(metavar="DATE", help="only those that end before")] = "",
    text: Annotated[str, typer.Option(help="a part of the subject, or a serial number in hex")] = "",
    limit: Annotated[int, typer.Option(min=1, help="at most so many")] = 50,
) -> None:
    """List certificates, newest first."""
    from chargepki.cli.output import day, serial_groups

    found: list[Certificate] = []
    async with desk.client() as client:
        listed = client.certificates.list(
            station=station, issuer=issuer, profile=profile, state=state, expires_before=expires_before, text=text
        )
        async for certificate in listed:
            found.append(certificate)
            if len(found) == limit:
                break
    if desk.is_json:
        desk.out.json(found)
        return
    rows = [(c.subject, c.station or "", c.profile, c.state, day(c.not_after), serial_groups(c.serial), c.id) for c in found]
    desk.out.table(
        ("SUBJECT", "STATION", "PROFILE", "STATE", "UNTIL", "SERIAL", "ID"),
        rows,
        empty=_NONE_YET,
        fold=("SUBJECT",),
        shed=("SERIAL", "PROFILE", "STATION", "UNTIL"),
    )


_NONE_YET = "There is no such certificate. Order one: chargepki cert request --profile ocpp/station --station CS-17 --csr cs17.csr"


@command(app, "show")
async def show_certificate(desk: Desk, id: IdArgument) -> None:
    """Show one certificate and what happened to it."""
    from chargepki.cli.output import minute, serial_groups

    async with desk.client() as client:
        certificate = await find_certificate(client, id)
        events = await client.certificates.events(certificate.id)
    if desk.is_json:
        desk.out.json(certificate)
        return
    desk.out.facts(
        ("Subject", certificate.subject),
        ("Station", certificate.station or ""),
        ("State", certificate.state),
        ("Profile", certificate.profile),
        ("Issuer", certificate.issuer),
        ("Serial", serial_groups(certificate.serial, whole=True)),
        ("Valid", f"{minute(certificate.not_before)} until {minute(certificate.not_after)}"),
        ("SHA-256", certificate.sha256),
        ("Ordered", f"{minute(certificate.issued_at)} by {certificate.requested_by}"),
        ("Key", "held by the platform" if certificate.has_key else ""),
        ("Id", certificate.id),
    )
    for event in events:
        ends = f" (emergency: ends {minute(event.until)} unless confirmed)" if event.until else ""
        desk.out.facts((event.kind.capitalize(), f"{minute(event.at)} by {event.actor}: {event.reason} {event.note}".rstrip() + ends))


@command(app, "request", undone="Nothing was signed.")
async def request_certificate(
    desk: Desk,
    profile: Annotated[str, typer.Option(help="what kind of certificate: chargepki profile list")],
    csr: Annotated[str, typer.Option(metavar="FILE|-", help="the certificate signing request")] = "",
    key: Annotated[str, typer.Option(metavar="KIND", help="let the platform make the key: ec-p256, rsa-3072, ...")] = "",
    station: Annotated[str, typer.Option(metavar="ID", help="the station it speaks for")] = "",
    host: Annotated[str, typer.Option(metavar="NAME", help="the host it speaks for")] = "",
    alt_host: Annotated[list[str], typer.Option(metavar="NAME|IP", help="a further name of the host; repeat for more")] = [],  # noqa: B006  Typer reads it, nobody writes it
    organization: Annotated[str, typer.Option(help="the O of a host or a party")] = "",
    common_name: Annotated[str, typer.Option(help="the CN of a party")] = "",
    machine: Annotated[str, typer.Option(help="the machine that will sign in with it: mch_...")] = "",
    issuer: Annotated[str, typer.Option(metavar="ID", help="the authority; the newest able one unless said")] = "",
    days: Annotated[int | None, typer.Option(min=1, help="valid for so many days; the profile's number unless said")] = None,
    format: Annotated[str, typer.Option(help="how the chain is written: pem, der (the leaf alone), pkcs7 or ocpp")] = "pem",
    include_root: Annotated[bool, typer.Option("--include-root", help="with the root")] = False,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="where the chain goes; NAME.chain.pem unless said")] = None,
    p12_out: Annotated[Path | None, typer.Option(metavar="FILE", help="with --key: the PKCS#12 file")] = None,
    passphrase_file: PassphraseOption = None,
    force: Annotated[bool, typer.Option("--force", help="overwrite files")] = False,
) -> None:
    """Order a certificate: for a CSR, or with a key that the platform makes."""
    if bool(csr) is bool(key):
        raise Refused.because("order.key", "say where the key comes from: --csr FILE or --key KIND", hint="--key needs --p12-out FILE")
    if key and p12_out is None:
        raise Refused.because("order.p12_out", "a key that the platform makes needs a place to go", hint="--p12-out FILE")
    if format not in SUFFIXES:
        raise Refused.because("order.format", f"there is no format {format!r}", hint=f"one of: {', '.join(SUFFIXES)}")
    target = out or Path(_stem(csr, station, host, common_name or machine) + SUFFIXES[format])
    for path in (target, p12_out):
        _check_free(path, force)
    request = read_csr(csr) if csr else ""
    passphrase = read_passphrase(passphrase_file, "Passphrase of the PKCS#12 file") if p12_out else ""
    async with desk.client() as client:
        issued = await client.certificates.order(
            profile=profile,
            csr=request,
            key_spec=key or None,
            station=station or None,
            host=host,
            alt_hosts=alt_host,
            organization=organization,
            common_name=common_name,
            machine=machine,
            issuer=issuer or None,
            validity_days=days,
            include_root=include_root,
        )
        desk.undone = f"The certificate was issued: chargepki cert export {issued.certificate.id}"
        write_new(target, _spell(issued.chain, format), force=force)
        if p12_out is not None:
            write_new(p12_out, await client.certificates.pkcs12(issued.certificate.id, passphrase), force=force, is_secret=True)
    _report(desk, issued, f"{target} ({_members(issued.chain, format)})", p12_out)


def _spell(chain_pem: str, format: str) -> bytes:
    from chargepki.core.bundle import BundleFormat, spell_chain
    from chargepki.core.pem import parse_pem

    if format == "pem":
        return chain_pem.encode()
    chain = tuple(block.der for block in parse_pem(chain_pem.encode(), octets_max=CHAIN_OCTETS_MAX))
    return spell_chain(chain, BundleFormat(format), include_root=True).content  # the server has left the root out already


def _members(chain_pem: str, format: str) -> str:
    count = 1 if format == "der" else chain_pem.count("BEGIN")
    return ", ".join(("leaf", "sub-CA", "root")[:count])


def _report(desk: Desk, issued: "Issued", saved: str, p12_out: Path | None) -> None:
    from chargepki.cli.output import day, days_between, serial_groups
    from chargepki.client.wire import encode

    desk.out.notices(encode(issued.findings))
    if desk.is_json:
        desk.out.json(issued)
        return
    certificate = issued.certificate
    validity = f"Valid until {day(certificate.not_after)} ({days_between(certificate.not_before, certificate.not_after)})"
    desk.out.facts(
        ("Repeated" if issued.is_repeat else "Issued", f"{certificate.profile} certificate for {_owner(certificate)}"),
        ("Serial", f"{serial_groups(certificate.serial)}      {validity}"),
        ("Saved", saved),
        ("Saved", f"{p12_out} (key and chain, sealed with your passphrase)" if p12_out else ""),
        ("Logged", f"entry {issued.entry}" if issued.entry else "no new entry: this key had this certificate already"),
        ("Undo", f"chargepki cert revoke {certificate.id} --reason superseded"),
    )


def _owner(certificate: "Certificate") -> str:
    return f"{certificate.station} ({certificate.subject})" if certificate.station else certificate.subject


@command(app, "revoke", undone="Nothing was revoked.")
async def revoke_certificate(
    desk: Desk,
    id: IdArgument,
    reason: ReasonOption,
    note: Annotated[str, typer.Option(help="why, for the audit trail")] = "",
    confirm: Annotated[str, typer.Option(metavar="NAME", help="the authority's name, to revoke an authority")] = "",
) -> None:
    """Revoke a certificate. An authority asks for its name first."""
    async with desk.client() as client:
        certificate = await find_certificate(client, id)
        impact = await client.certificates.impact(certificate.id)
        if impact.authorities:
            _check_confirmed(desk, certificate, impact, confirm)
        event = await client.certificates.revoke(certificate.id, reason=reason, note=note)
    if desk.is_json:
        desk.out.json(event)
        return
    is_held = event.kind == "held"
    desk.out.facts(
        ("Held" if is_held else "Revoked", f"{certificate.profile} certificate of {_owner(certificate)}, reason {event.reason}"),
        ("Follows", f"{impact.live_sessions} live session(s) will be closed" if impact.live_sessions else ""),
        ("Check", f"chargepki cert show {certificate.id}"),
        ("Undo", f"chargepki cert release {certificate.id}" if is_held else "a revocation is for ever: order a new certificate"),
    )


def _check_confirmed(desk: Desk, certificate: "Certificate", impact: "Impact", confirm: str) -> None:
    name = impact.authorities[0]
    if confirm == name:
        return
    more = "more than " if impact.is_capped else ""
    desk.out.warn(
        f"{certificate.subject} is the authority {name}. Revoking it breaks {more}{impact.certificates} valid certificate(s) of "
        f"{impact.station_count} station(s), {impact.live_sessions} of them connected now; authorities: {', '.join(impact.authorities)}."
    )
    if confirm:
        raise Refused.because("cli.confirm", f"you named {confirm!r}; this is {name!r}", hint=f"--confirm {name}")
    raise Refused.because("cli.confirm", "revoking an authority wants its name", hint=f"add --confirm {name} when you mean it")


@command(app, "hold", undone="Nothing was held.")
async def hold_certificate(desk: Desk, id: IdArgument, note: Annotated[str, typer.Option(help="why, for the audit trail")] = "") -> None:
    """Hold a certificate at once and alone, in an emergency. Unless two others confirm it, the hold ends after a day."""
    from chargepki.cli.output import minute

    async with desk.client() as client:
        certificate = await find_certificate(client, id)
        held = await client.certificates.hold(certificate.id, note=note)
    if desk.is_json:
        desk.out.json(held)
        return
    desk.out.facts(
        ("Held", f"{certificate.profile} certificate of {_owner(certificate)}, until {minute(held.until)}"),
        ("Alarm", "everybody who looks after the platform is told that you did this alone"),
        ("Others", f"chargepki approval approve {held.proposal}" if held.proposal else f"chargepki cert confirm-hold {certificate.id}"),
        ("Undo", f"chargepki cert release {certificate.id}"),
    )


@command(app, "confirm-hold", undone="The hold still ends by itself.")
async def confirm_hold(desk: Desk, id: IdArgument) -> None:
    """Let an emergency hold last until it is released. Takes two who did not make it."""
    async with desk.client() as client:
        certificate = await find_certificate(client, id)
        event = await client.certificates.confirm_hold(certificate.id)
    if desk.is_json:
        desk.out.json(event)
        return
    desk.out.facts(
        ("Confirmed", f"{certificate.subject} is held until it is released"), ("Undo", f"chargepki cert release {certificate.id}")
    )


@command(app, "release", undone="Nothing was released.")
async def release_certificate(desk: Desk, id: IdArgument) -> None:
    """Release a certificate from hold."""
    async with desk.client() as client:
        certificate = await find_certificate(client, id)
        event = await client.certificates.release(certificate.id)
    if desk.is_json:
        desk.out.json(event)
        return
    desk.out.facts(
        ("Released", f"{certificate.subject} is valid again"), ("Undo", f"chargepki cert revoke {certificate.id} --reason certificateHold")
    )


@command(app, "export", undone="Nothing was written.")
async def export_certificate(
    desk: Desk,
    id: IdArgument,
    format: Annotated[str, typer.Option(help="pem, der, pkcs7, ocpp or p12")] = "pem",
    include_root: Annotated[bool, typer.Option("--include-root", help="with the root")] = False,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="stdout unless said")] = None,
    passphrase_file: PassphraseOption = None,
    force: Annotated[bool, typer.Option("--force", help="overwrite the file")] = False,
) -> None:
    """Write a certificate's chain in the format somebody wants; ocpp is the exact certificateChain."""
    _check_free(out, force)
    passphrase = read_passphrase(passphrase_file, "Passphrase of the PKCS#12 file") if format == "p12" else ""
    async with desk.client() as client:
        certificate = await find_certificate(client, id)
        if format == "p12":
            octets = await client.certificates.pkcs12(certificate.id, passphrase)
        else:
            octets = await client.certificates.chain(certificate.id, format=format, include_root=include_root)
    if out is None:
        desk.out.raw(octets)
        return
    write_new(out, octets, force=force, is_secret=format == "p12")
    desk.out.facts(("Saved", f"{out} ({format}, {len(octets)} octets)"))


@command(app, "revoke-many", undone="Nothing was revoked.")
async def revoke_many(
    desk: Desk,
    reason: ReasonOption,
    station: Annotated[str, typer.Option(help="all valid ones of this station")] = "",
    issuer: Annotated[str, typer.Option(help="all valid ones from this authority; also whose serial numbers a file lists")] = "",
    profile: Annotated[str, typer.Option(help="all valid ones of this profile")] = "",
    serial_file: Annotated[str, typer.Option(metavar="FILE|-", help="exactly these: serial numbers in hex or crt_ ids, one a line")] = "",
    note: Annotated[str, typer.Option(help="why, for the audit trail")] = "",
    confirm: Annotated[str, typer.Option(metavar="COUNT", help="the number that the command shows; asked for on a terminal")] = "",
) -> None:
    """Revoke many certificates: shows the list's extent first. A long list waits for two others."""
    from chargepki.client.approvals import Selection

    ids, serials = _parse_serials(serial_file)
    selection = Selection(station or None, issuer or None, profile or None, ids, serials)
    async with desk.client() as client:
        radius = await client.bulk_revocations.preview(selection)
        _show_radius(desk, radius)
        _check_count(radius.count, confirm)
        result = await client.bulk_revocations.revoke(selection, reason=reason, list_sha256=radius.list_sha256, note=note)
    if desk.is_json:
        desk.out.json(result)
        return
    desk.out.facts(
        ("Revoked", f"{result.revoked} certificate(s), reason {reason}"),
        ("Skipped", f"{result.skipped} revoked before" if result.skipped else ""),
        ("List", f"sha256:{result.list_sha256}"),
        ("Undo", "a hold is released one by one: chargepki cert release ID" if reason == "certificateHold" else "a revocation is for ever"),
    )


def _show_radius(desk: Desk, radius: "BlastRadius") -> None:
    shown = ", ".join(radius.stations[:10]) + (", ..." if radius.station_count > 10 else "")
    parties = ", ".join(party or "the platform" for party in radius.parties)
    desk.out.warn(
        f"this takes {radius.count} valid certificate(s) of {radius.station_count} station(s) ({shown or 'none'}), {radius.live_sessions} "
        f"of them connected now; parties: {parties}; {radius.skipped} revoked already."
    )


def _check_count(count: int, confirm: str) -> None:
    given = confirm or (str(typer.prompt("Type the number of certificates to revoke them", err=True)) if sys.stdin.isatty() else "")
    if given != str(count):
        what = f"you said {given!r}; the list has {count}" if given else "a bulk revocation wants the number of its certificates"
        raise Refused.because("cli.confirm", what, hint=f"add --confirm {count} when you mean it")


def _parse_serials(name: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Ids and serial numbers of a file; blank lines and comments count for nothing."""
    if not name:
        return (), ()
    texts = (line.partition("#")[0].strip() for line in read_input(name).decode("utf-8", "replace").splitlines())
    lines = [text for text in texts if text]
    ids = tuple(line for line in lines if line.startswith("crt_"))
    return ids, tuple(line.replace(":", "").lower() for line in lines if not line.startswith("crt_"))


async def find_certificate(client: "Client", id: str) -> "CertificateDetail":
    """By certificate id, or by serial number in hex with or without colons."""
    if id.startswith("crt_"):
        return await client.certificates.get(id)
    serial = id.replace(":", "").lower().lstrip("0")
    matches = [c async for c in client.certificates.list(text=serial) if c.serial == serial]
    if len(matches) == 1:
        return await client.certificates.get(matches[0].id)
    if matches:
        hint = "name its id: " + ", ".join(c.id for c in matches)
        raise Refused.because("certificate.ambiguous", f"{len(matches)} certificates have the serial number {serial}", hint=hint)
    raise Refused.because("certificate.unknown", f"there is no certificate {id}", hint="chargepki cert list")


def _stem(csr: str, station: str, host: str, common_name: str) -> str:
    stem = station or host or common_name or (Path(csr).stem if csr != "-" else "certificate")
    return "".join(c if c.isalnum() or c in "-._" else "_" for c in stem)


def _check_free(path: Path | None, force: bool) -> None:
    if path is not None and path.exists() and not force:
        raise Refused.because("cli.file.exists", f"{path} exists", hint="choose another file, or overwrite it with --force")
