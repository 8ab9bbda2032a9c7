"""chargepki batch: a factory line's permission, boxed in time, count and serial numbers."""

from typing import TYPE_CHECKING, Annotated

import typer

from chargepki.cli.desk import Desk, command, noun
from chargepki.cli.moments import UntilOption, parse_until

if TYPE_CHECKING:
    from chargepki.client.approvals import Batch

app = noun("batch", "Factory batches: list, create, show, token, end.")

IdArgument = Annotated[str, typer.Argument(metavar="ID", help="the batch: bat_...")]


@command(app, "list")
async def list_batches(desk: Desk, party: Annotated[str, typer.Option(metavar="ID", help="only this party's")] = "") -> None:
    """List factory batches, oldest first."""
    from chargepki.cli.output import minute

    async with desk.client() as client:
        found = [batch async for batch in client.batches.list(party=party)]
    if desk.is_json:
        desk.out.json(found)
        return
    rows = [
        (b.id, b.party, b.profile, " ".join(b.prefixes), f"{b.used}/{b.count}", "ended" if b.ended_at else minute(b.until)) for b in found
    ]
    desk.out.table(
        ("BATCH", "PARTY", "PROFILE", "PREFIXES", "USED", "UNTIL"),
        rows,
        empty="There is no batch. Make one: chargepki batch create --help",
        fold=("PREFIXES",),
        shed=("PROFILE", "UNTIL"),
    )


@command(app, "create", undone="No batch was made.")
async def create_batch(
    desk: Desk,
    party: Annotated[str, typer.Option(metavar="ID", help="whose stations are made")],
    prefix: Annotated[list[str], typer.Option(metavar="TEXT", help="how their serial numbers begin: SN-2026-; repeat for more")],
    count: Annotated[int, typer.Option(min=1, help="so many certificates altogether")],
    until: UntilOption,
    profile: Annotated[str, typer.Option(help="what the line gets for them")] = "ocpp/station",
) -> None:
    """Make a batch. Above the limit two others have to agree first."""
    async with desk.client() as client:
        batch = await client.batches.create(party=party, profile=profile, prefixes=prefix, count=count, until=parse_until(until))
    if desk.is_json:
        desk.out.json(batch)
        return
    _show(desk, batch)
    desk.out.facts(("Next", f"chargepki batch token {batch.id}"), ("Undo", f"chargepki batch end {batch.id}"))


@command(app, "show")
async def show_batch(desk: Desk, id: IdArgument) -> None:
    """Show a batch: what it allows, and how much of it is left."""
    async with desk.client() as client:
        batch = await client.batches.get(id)
    if desk.is_json:
        desk.out.json(batch)
        return
    _show(desk, batch)


@command(app, "token", undone="No token was made.")
async def create_batch_token(desk: Desk, id: IdArgument) -> None:
    """Make the line's token, shown once on stdout. The one before ends."""
    async with desk.client() as client:
        made = await client.batches.create_token(id)
    if desk.is_json:
        desk.out.json(made)
        return
    desk.out.talk(f"The token of the line that works in {made.batch}, shown this once; the one before is void:")
    desk.out.line(made.secret)
    desk.out.talk(f"Undo: chargepki batch end {made.batch}")


@command(app, "end", undone="The batch goes on.")
async def end_batch(desk: Desk, id: IdArgument) -> None:
    """End a batch and its token at once. What was made stays valid."""
    async with desk.client() as client:
        batch = await client.batches.end(id)
    if desk.is_json:
        desk.out.json(batch)
        return
    desk.out.facts(("Ended", f"{batch.id} of {batch.party}: {batch.used} of {batch.count} used"))


def _show(desk: Desk, batch: "Batch") -> None:
    from chargepki.cli.output import minute

    desk.out.facts(
        ("Batch", batch.id),
        ("Party", batch.party),
        ("Profile", batch.profile),
        ("Serials", ", ".join(f"{prefix}..." for prefix in batch.prefixes)),
        ("Used", f"{batch.used} of {batch.count}, {batch.left} left"),
        ("Until", minute(batch.until)),
        ("Made", f"{minute(batch.created_at)} by {batch.created_by}"),
        ("Agreed", batch.proposal or ""),
        ("Ended", minute(batch.ended_at)),
    )
