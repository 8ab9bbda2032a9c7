"""chargepki ca: authorities."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chargepki.cli.desk import Desk, command, noun
from chargepki.cli.files import write_new

if TYPE_CHECKING:
    from chargepki.client.authorities import Authority

app = noun("ca", "Certification authorities: list, create, show, export.")

IdArgument = Annotated[str, typer.Argument(metavar="ID", help="the authority: operator-sub")]


@command(app, "list")
async def list_authorities(desk: Desk) -> None:
    """List the authorities, roots first."""
    from chargepki.cli.output import day

    async with desk.client() as client:
        listed = await client.authorities.list()
    if desk.is_json:
        desk.out.json(listed)
        return
    rows = [(a.id, a.parent or "(root)", a.subject, a.key_spec, a.state, day(a.not_after)) for a in listed]
    empty = "There is no authority yet. Make one: chargepki ca create my-root --profile root/operator --common-name ... --organization ..."
    desk.out.table(
        ("AUTHORITY", "PARENT", "SUBJECT", "KEY", "STATE", "UNTIL"),
        rows,
        empty=empty,
        fold=("SUBJECT",),
        shed=("KEY", "STATE", "UNTIL", "PARENT"),
    )


@command(app, "create", undone="Nothing was created.")
async def create_authority(
    desk: Desk,
    id: IdArgument,
    profile: Annotated[str, typer.Option(help="root/operator, sub/operator, root/manufacturer, sub/manufacturer")],
    common_name: Annotated[str, typer.Option(help="its CN")],
    organization: Annotated[str, typer.Option(help="its O")],
    parent: Annotated[str, typer.Option(metavar="ID", help="the authority above; none makes a root")] = "",
    key: Annotated[str, typer.Option(metavar="KIND", help="ec-p256, ec-p384, rsa-3072, ed25519, ml-dsa-65, ...")] = "ec-p256",
    signature: Annotated[str, typer.Option(metavar="ALGORITHM", help="what it signs with; the key's own unless said")] = "",
    days: Annotated[int | None, typer.Option(min=1, help="valid for so many days")] = None,
    path_length: Annotated[int | None, typer.Option(min=0, help="CA levels below it")] = None,
) -> None:
    """Create an authority: its key in the vault, its certificate in the store."""
    async with desk.client() as client:
        authority = await client.authorities.create(
            id=id,
            profile=profile,
            parent=parent or None,
            key_spec=key,
            common_name=common_name,
            organization=organization,
            signature=signature or None,
            validity_days=days,
            path_length=path_length,
        )
    if desk.is_json:
        desk.out.json(authority)
        return
    desk.out.line(f"Created  {authority.id}")
    _show(desk, authority)
    desk.out.facts(("Next", f"chargepki ca export {authority.id} --out {authority.id}.pem"))


@command(app, "show")
async def show_authority(desk: Desk, id: IdArgument) -> None:
    """Show one authority."""
    async with desk.client() as client:
        authority = await client.authorities.get(id)
    if desk.is_json:
        desk.out.json(authority)
        return
    _show(desk, authority)


@command(app, "export", undone="Nothing was written.")
async def export_authority(
    desk: Desk,
    id: IdArgument,
    format: Annotated[str, typer.Option(help="pem, der or pkcs7")] = "pem",
    without_root: Annotated[bool, typer.Option("--without-root", help="leave the root out")] = False,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="stdout unless said")] = None,
    force: Annotated[bool, typer.Option("--force", help="overwrite the file")] = False,
) -> None:
    """Write an authority's certificate and those above it."""
    async with desk.client() as client:
        octets = await client.authorities.chain(id, format=format, include_root=not without_root)
    if out is None:
        desk.out.raw(octets)
        return
    write_new(out, octets, force=force)
    desk.out.facts(("Saved", f"{out} ({format}, {len(octets)} octets)"))


def _show(desk: Desk, authority: "Authority") -> None:
    from chargepki.cli.output import minute

    desk.out.facts(
        ("Subject", authority.subject),
        ("Parent", authority.parent or "none: a root"),
        ("State", authority.state),
        ("Profile", authority.profile),
        ("Key", f"{authority.key_spec}, signs with {authority.signature}"),
        ("Valid", f"until {minute(authority.not_after)}"),
        ("SHA-256", authority.sha256),
        ("Id", f"{authority.id} ({authority.certificate})"),
    )
