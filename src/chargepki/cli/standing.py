"""chargepki standing: rules, agreed on beforehand, that let machines work."""

from typing import TYPE_CHECKING, Annotated

import typer

from chargepki.cli.desk import Desk, command, noun
from chargepki.cli.moments import UntilOption, parse_until

if TYPE_CHECKING:
    from chargepki.client.approvals import StandingApproval

app = noun("standing", "Standing approvals: list, propose, show, end.")

IdArgument = Annotated[str, typer.Argument(metavar="ID", help="the standing approval: sta_...")]


@command(app, "list")
async def list_standing(
    desk: Desk,
    party: Annotated[str, typer.Option(metavar="ID", help="only this party's")] = "",
    live: Annotated[bool, typer.Option("--live", help="only those in force, with what they were used for in this hour")] = False,
) -> None:
    """List standing approvals, oldest first."""
    from chargepki.cli.output import minute

    async with desk.client() as client:
        found = [approval async for approval in client.standing_approvals.list(party=party, live=live)]
    if desk.is_json:
        desk.out.json(found)
        return
    rows = [
        (
            a.id,
            a.party,
            " ".join(a.profiles),
            " ".join(a.names),
            f"{a.used}/{a.per_hour_max}" if live else str(a.per_hour_max),
            "ended" if a.ended_at else minute(a.until),
        )
        for a in found
    ]
    desk.out.table(
        ("ID", "PARTY", "PROFILES", "NAMES", "PER HOUR", "UNTIL"),
        rows,
        empty="There is no standing approval. Propose one: chargepki standing propose --help",
        fold=("NAMES", "PROFILES"),
        shed=("PER HOUR", "NAMES"),
    )


@command(app, "propose", undone="Nothing was proposed.")
async def propose_standing(
    desk: Desk,
    party: Annotated[str, typer.Option(metavar="ID", help="whose machines it lets work")],
    profile: Annotated[list[str], typer.Option(help="what they may get: ocpp/station; repeat for more")],
    name: Annotated[list[str], typer.Option(metavar="KIND:VALUE", help="for which names: station-serial:SN-2026; repeat for more")],
    per_hour: Annotated[int, typer.Option(min=1, help="so many certificates in an hour")],
    until: UntilOption,
    key: Annotated[list[str], typer.Option(metavar="KIND", help="only for such keys: ec-p256; repeat for more")] = [],  # noqa: B006  Typer reads it, nobody writes it
) -> None:
    """Propose a standing approval; two registration officers make it one."""
    async with desk.client() as client:
        approval = await client.standing_approvals.create(
            party=party, profiles=profile, names=name, per_hour_max=per_hour, until=parse_until(until), keys=key
        )
    if desk.is_json:
        desk.out.json(approval)
        return
    _show(desk, approval)
    desk.out.facts(("Undo", f"chargepki standing end {approval.id}"))


@command(app, "show")
async def show_standing(desk: Desk, id: IdArgument) -> None:
    """Show one standing approval."""
    async with desk.client() as client:
        approval = await client.standing_approvals.get(id)
    if desk.is_json:
        desk.out.json(approval)
        return
    _show(desk, approval)


@command(app, "end", undone="It is still in force.")
async def end_standing(desk: Desk, id: IdArgument) -> None:
    """End a standing approval at once. What it produced stays valid."""
    async with desk.client() as client:
        approval = await client.standing_approvals.end(id)
    if desk.is_json:
        desk.out.json(approval)
        return
    desk.out.facts(("Ended", f"{approval.id} of {approval.party}"), ("Next", "chargepki standing propose --help"))


def _show(desk: Desk, approval: "StandingApproval") -> None:
    from chargepki.cli.output import minute

    desk.out.facts(
        ("Standing", approval.id),
        ("Party", approval.party),
        ("Profiles", ", ".join(approval.profiles)),
        ("Names", ", ".join(approval.names)),
        ("Keys", ", ".join(approval.keys)),
        ("Per hour", str(approval.per_hour_max)),
        ("Until", minute(approval.until)),
        ("Made", f"{minute(approval.created_at)} by {approval.created_by}"),
        ("Agreed", approval.proposal or ""),
        ("Ended", minute(approval.ended_at)),
    )
