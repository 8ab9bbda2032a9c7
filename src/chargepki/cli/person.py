"""chargepki person: who is invited, who is here, and how they leave."""

from typing import TYPE_CHECKING, Annotated

import typer

from chargepki.cli.desk import Desk, command, noun

if TYPE_CHECKING:
    from chargepki.client.governance import Invitation

app = noun("person", "People: list, invite, show, offboard, erase.")

PersonArgument = Annotated[str, typer.Argument(metavar="PERSON", help="the user name, or per_...")]
HoursOption = Annotated[int | None, typer.Option(min=1, help="the invitation is open for so many hours; 72 unless said")]


@command(app, "list")
async def list_people(desk: Desk) -> None:
    """List people by user name."""
    async with desk.client() as client:
        found = [person async for person in client.people.list()]
    if desk.is_json:
        desk.out.json(found)
        return
    rows = [(p.username, p.display_name, p.party or "(platform)", p.state, p.id) for p in found]
    desk.out.table(
        ("PERSON", "NAME", "PARTY", "STATE", "ID"),
        rows,
        empty="There is nobody. Invite somebody: chargepki person invite anna.berg",
        fold=("NAME",),
        shed=("NAME", "PARTY", "STATE"),
    )


@command(app, "invite", undone="Nobody was invited.")
async def invite_person(
    desk: Desk,
    username: Annotated[str, typer.Argument(metavar="USERNAME", help="what they sign in with: anna.berg")],
    name: Annotated[str, typer.Option(metavar="NAME", help="how they are called")] = "",
    email: Annotated[str, typer.Option(metavar="ADDRESS", help="where they are reached")] = "",
    party: Annotated[str, typer.Option(metavar="PARTY", help="whose people they are; the platform's own unless said")] = "",
    hours: HoursOption = None,
    again: Annotated[bool, typer.Option("--again", help="a fresh invitation; the one before is void")] = False,
) -> None:
    """Invite a person; the invitation is shown once, on stdout."""
    async with desk.client() as client:
        if again:
            made = await client.people.invite_again(username, valid_hours=hours)
        else:
            made = await client.people.invite(username=username, display_name=name, email=email, party=party, valid_hours=hours)
    if desk.is_json:
        desk.out.json(made)
        return
    _show_invitation(desk, made)


@command(app, "show")
async def show_person(desk: Desk, person: PersonArgument) -> None:
    """Show a person and what they hold."""
    from chargepki.cli.output import day

    async with desk.client() as client:
        found = await client.people.get(person)
        if desk.is_json:
            desk.out.json(found)
            return
        grants = [grant async for grant in client.grants.list(holder=f"person:{found.id}") if grant.state != "ended"]
    desk.out.facts(
        ("Person", f"{found.username} ({found.id})"),
        ("Name", found.display_name),
        ("E-mail", found.email),
        ("Party", found.party or "the platform itself"),
        ("State", found.state),
        ("Since", day(found.created_at)),
    )
    for grant in grants:
        desk.out.facts(("Holds" if grant.state == "active" else "Offered", f"{grant.role} until {day(grant.until)} ({grant.id})"))


@command(app, "offboard", undone="Nothing was ended.")
async def offboard_person(desk: Desk, person: PersonArgument) -> None:
    """End a person's sessions, tokens and grants, all at once and for ever."""
    async with desk.client() as client:
        left = await client.people.offboard(person)
    if desk.is_json:
        desk.out.json(left)
        return
    desk.out.facts(
        ("Ended", f"{left.username} ({left.id}): sessions, tokens, grants, password and second factor"),
        ("Next", f"chargepki person erase {left.id}"),
        ("", "forgets the name and the address too"),
        ("Undo", "invite them again, under another user name"),
    )


@command(app, "erase", undone="Nothing was forgotten.")
async def erase_person(desk: Desk, person: PersonArgument) -> None:
    """Forget who somebody was, after they have left. This cannot be undone."""
    async with desk.client() as client:
        erased = await client.people.erase(person)
    if desk.is_json:
        desk.out.json(erased)
        return
    desk.out.facts(
        ("Forgotten", f"{erased.id}: user name, name, e-mail, and what the log could have shown of them"),
        ("Stays", "the log's entries: that somebody acted, under an id that nobody can resolve"),
    )


def _show_invitation(desk: Desk, made: "Invitation") -> None:
    desk.out.talk(f"Invitation of {made.person.username} ({made.person.id}), shown this once; hand it over in person or by two ways:")
    desk.out.line(made.secret)
    desk.out.talk("Next: they choose their password and second factor with it; then give them a role:")
    desk.out.talk(f"chargepki grant propose person:{made.person.username} --role ROLE")
    desk.out.talk(f"Undo: chargepki person offboard {made.person.id}")
