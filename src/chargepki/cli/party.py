"""chargepki party: organisations, what they are, and the names they may speak for."""

from typing import TYPE_CHECKING, Annotated

import typer

from chargepki.cli.desk import Desk, command, noun

if TYPE_CHECKING:
    from chargepki.client.governance import Party

app = noun("party", "Parties: list, create, show, update, suspend, resume.")

IdArgument = Annotated[str, typer.Argument(metavar="ID", help="the party: acme-cpo")]
_ROLE_HELP = "what it is: cpo, mo, oem, cps, csms, manufacturer, installer, hub; repeat for more"
_SPACE_HELP = "names it may speak for: evse-operator:DE*ACM, emaid-provider:DE-ACM, wmi:WDB, station-serial:ACM, dns:acme.example; repeat"


@command(app, "list")
async def list_parties(desk: Desk) -> None:
    """List the parties by id."""
    async with desk.client() as client:
        found = [party async for party in client.parties.list()]
    if desk.is_json:
        desk.out.json(found)
        return
    rows = [(p.id, p.name, " ".join(p.roles), p.state, " ".join(p.spaces)) for p in found]
    desk.out.table(
        ("PARTY", "NAME", "ROLES", "STATE", "NAME SPACES"),
        rows,
        empty='There is no party. Register one: chargepki party create acme-cpo --name "Acme CPO" --role cpo',
        fold=("NAME SPACES", "ROLES", "NAME"),
        shed=("ROLES", "NAME", "NAME SPACES"),
    )


@command(app, "create", undone="Nothing was registered.")
async def create_party(
    desk: Desk,
    id: IdArgument,
    name: Annotated[str, typer.Option(metavar="NAME", help="its name: the O of its certificates")],
    role: Annotated[list[str], typer.Option(help=_ROLE_HELP)],
    space: Annotated[list[str] | None, typer.Option(metavar="KIND:VALUE", help=_SPACE_HELP)] = None,
) -> None:
    """Register an organisation. In production others have to agree to its name spaces."""
    async with desk.client() as client:
        party = await client.parties.create(id=id, name=name, roles=role, spaces=space or ())
    if desk.is_json:
        desk.out.json(party)
        return
    desk.out.facts(
        ("Registered", f"{party.id} ({party.name}; {', '.join(party.roles)})"),
        ("Speaks for", ", ".join(party.spaces) or "no name yet: it can ask for no certificate"),
        ("Next", f"chargepki person invite USERNAME --party {party.id}"),
        ("Undo", f"chargepki party suspend {party.id}"),
    )


@command(app, "show")
async def show_party(desk: Desk, id: IdArgument) -> None:
    """Show a party."""
    async with desk.client() as client:
        party = await client.parties.get(id)
    if desk.is_json:
        desk.out.json(party)
        return
    _show(desk, party)


@command(app, "update", undone="Nothing was changed.")
async def update_party(
    desk: Desk,
    id: IdArgument,
    role: Annotated[list[str] | None, typer.Option(help=f"{_ROLE_HELP}; replaces those it has")] = None,
    add_space: Annotated[list[str] | None, typer.Option(metavar="KIND:VALUE", help=_SPACE_HELP)] = None,
    remove_space: Annotated[list[str] | None, typer.Option(metavar="KIND:VALUE", help="a name space it loses, at once")] = None,
) -> None:
    """Change a party; what is not said stays."""
    async with desk.client() as client:
        party = await client.parties.update(id, roles=role or (), add_spaces=add_space or (), remove_spaces=remove_space or ())
    if desk.is_json:
        desk.out.json(party)
        return
    desk.out.line(f"Changed  {party.id} (version {party.version})")
    _show(desk, party)


@command(app, "suspend", undone="Nothing was changed.")
async def suspend_party(desk: Desk, id: IdArgument) -> None:
    """Stop everything for a party, at once: nothing is issued for it any more."""
    await _set_state(desk, id, "suspended")


@command(app, "resume", undone="Nothing was changed.")
async def resume_party(desk: Desk, id: IdArgument) -> None:
    """Let a suspended party work again."""
    await _set_state(desk, id, "active")


async def _set_state(desk: Desk, id: str, state: str) -> None:
    async with desk.client() as client:
        party = await client.parties.update(id, state=state)
    if desk.is_json:
        desk.out.json(party)
        return
    is_suspended = party.state == "suspended"
    desk.out.facts(
        ("Suspended" if is_suspended else "Resumed", f"{party.id} ({party.name})"),
        ("Means", "nothing is issued for it; what it has stays valid" if is_suspended else "it may ask for certificates again"),
        ("Undo", f"chargepki party {'resume' if is_suspended else 'suspend'} {party.id}"),
    )


def _show(desk: Desk, party: "Party") -> None:
    from chargepki.cli.output import day

    desk.out.facts(
        ("Party", party.id),
        ("Name", f"{party.name} (O)"),
        ("State", party.state),
        ("Roles", ", ".join(party.roles)),
        ("Speaks for", ", ".join(party.spaces) or "no name"),
        ("Since", day(party.created_at)),
    )
