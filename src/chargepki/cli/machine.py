"""chargepki machine: backends, factory lines, monitors."""

from typing import TYPE_CHECKING, Annotated

import typer

from chargepki.cli.desk import Desk, command, noun
from chargepki.cli.grant import AuthorityScope, NameScope, ProfileScope, scope_of

if TYPE_CHECKING:
    from chargepki.client.governance import Machine

app = noun("machine", "Machines that work here: list, create, show, suspend, resume.")

IdArgument = Annotated[str, typer.Argument(metavar="ID", help="mch_...")]


@command(app, "list")
async def list_machines(desk: Desk) -> None:
    """List machines, oldest first."""
    from chargepki.cli.output import day

    async with desk.client() as client:
        found = [machine async for machine in client.machines.list()]
    if desk.is_json:
        desk.out.json(found)
        return
    rows = [(m.name, m.party or "(platform)", m.role or "none", m.state, day(m.until), m.id) for m in found]
    desk.out.table(
        ("MACHINE", "PARTY", "ROLE", "STATE", "UNTIL", "ID"),
        rows,
        empty="There is no machine. Register one: chargepki machine create acme-csms --party acme-cpo --role csms",
        shed=("UNTIL", "STATE", "PARTY"),
    )


@command(app, "create", undone="Nothing was registered.")
async def create_machine(
    desk: Desk,
    name: Annotated[str, typer.Argument(metavar="NAME", help="what it is called: acme-csms")],
    role: Annotated[str, typer.Option(help="its one role: csms, factory-line, mo-backend, oem-backend, cps-signer, monitor")],
    party: Annotated[str, typer.Option(metavar="PARTY", help="whose it is; the platform's own unless said")] = "",
    authority: AuthorityScope = None,
    profile: ProfileScope = None,
    space: NameScope = None,
    days: Annotated[int | None, typer.Option(min=1, help="it holds the role for so many days; 90 unless said")] = None,
) -> None:
    """Register a machine with its one role."""
    from chargepki.cli.output import day

    async with desk.client() as client:
        scope = scope_of(None, authority, profile, space)
        machine = await client.machines.create(name=name, role=role, party=party, scope=scope, days=days)
    if desk.is_json:
        desk.out.json(machine)
        return
    desk.out.facts(
        ("Registered", f"{machine.name} ({machine.id}) of {machine.party or 'the platform itself'}"),
        ("Holds", f"{machine.role} until {day(machine.until)}"),
        ("Next", f"chargepki cert request --profile {machine.client_profile} --machine {machine.id} --csr {machine.name}.csr"),
        ("Undo", f"chargepki machine suspend {machine.id}"),
    )


@command(app, "show")
async def show_machine(desk: Desk, id: IdArgument) -> None:
    """Show a machine and what it holds."""
    from chargepki.cli.output import day

    async with desk.client() as client:
        machine = await client.machines.get(id)
    if desk.is_json:
        desk.out.json(machine)
        return
    renew = f"chargepki grant propose machine:{machine.id} --role {machine.role or 'ROLE'}"
    desk.out.facts(
        ("Machine", f"{machine.name} ({machine.id})"),
        ("Party", machine.party or "the platform itself"),
        ("State", machine.state),
        ("Holds", f"{machine.role} until {day(machine.until)} ({machine.grant})" if machine.role else "nothing: its role has ended"),
        ("Signs in", f"with a {machine.client_profile} certificate, or a token"),
        ("Renew", renew),
    )


@command(app, "suspend", undone="Nothing was changed.")
async def suspend_machine(desk: Desk, id: IdArgument) -> None:
    """Shut a machine out, at once; its tokens end for ever."""
    await _set_state(desk, id, "suspended")


@command(app, "resume", undone="Nothing was changed.")
async def resume_machine(desk: Desk, id: IdArgument) -> None:
    """Let a suspended machine in again, with its certificate."""
    await _set_state(desk, id, "active")


async def _set_state(desk: Desk, id: str, state: str) -> None:
    async with desk.client() as client:
        machine: Machine = await client.machines.set_state(id, state)
    if desk.is_json:
        desk.out.json(machine)
        return
    is_out = machine.state == "suspended"
    desk.out.facts(
        ("Suspended" if is_out else "Resumed", f"{machine.name} ({machine.id})"),
        ("Means", "its tokens have ended, its certificate signs in nowhere here" if is_out else "its certificate signs in again"),
        ("Undo", f"chargepki machine {'resume' if is_out else 'suspend'} {machine.id}"),
    )
