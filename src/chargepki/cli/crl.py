"""chargepki crl: revocation lists."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chargepki.cli.desk import Desk, command, noun
from chargepki.cli.files import write_new

if TYPE_CHECKING:
    from chargepki.client.authorities import Crl

app = noun("crl", "Certificate revocation lists: show, publish.")

IdArgument = Annotated[str, typer.Argument(metavar="AUTHORITY", help="the authority: operator-sub")]


@command(app, "show")
async def show_crl(
    desk: Desk,
    id: IdArgument,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="write the CRL itself there, in DER")] = None,
    force: Annotated[bool, typer.Option("--force", help="overwrite the file")] = False,
) -> None:
    """Show an authority's newest CRL."""
    async with desk.client() as client:
        crl = await client.authorities.crl(id)
        if out is not None:
            write_new(out, await client.authorities.crl_file(id), force=force)
    if desk.is_json:
        desk.out.json(crl)
        return
    _show(desk, crl)
    desk.out.facts(("Saved", str(out) if out else ""))


@command(app, "publish", undone="Nothing was published.")
async def publish_crl(desk: Desk, id: IdArgument) -> None:
    """Sign and publish a fresh CRL now."""
    async with desk.client() as client:
        crl = await client.authorities.publish_crl(id)
    if desk.is_json:
        desk.out.json(crl)
        return
    desk.out.line(f"Published CRL {crl.number} of {crl.issuer}")
    _show(desk, crl)


def _show(desk: Desk, crl: "Crl") -> None:
    from chargepki.cli.output import minute

    desk.out.facts(
        ("Issuer", crl.issuer),
        ("Number", str(crl.number)),
        ("Entries", str(crl.entry_count)),
        ("Issued", minute(crl.this_update)),
        ("Next", f"by {minute(crl.next_update)}"),
        ("Octets", str(crl.octets)),
    )
