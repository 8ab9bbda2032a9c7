"""chargepki grant: the register of access rights."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from chargepki.cli.desk import Desk, command, noun

if TYPE_CHECKING:
    from chargepki.client.governance import AccessReview, Grant, GrantScope

app = noun("grant", "Roles of people and machines: list, propose, accept, end, review.")

IdArgument = Annotated[str, typer.Argument(metavar="ID", help="grt_...")]
PartyScope = Annotated[list[str] | None, typer.Option("--party", metavar="PARTY", help="only over this party; repeat for more")]
AuthorityScope = Annotated[list[str] | None, typer.Option("--authority", metavar="ID", help="only over this authority; repeat")]
ProfileScope = Annotated[list[str] | None, typer.Option("--profile", metavar="ID", help="only this certificate profile; repeat")]
NameScope = Annotated[list[str] | None, typer.Option("--space", metavar="KIND:VALUE", help="only these names: dns:acme.example; repeat")]


@command(app, "list")
async def list_grants(
    desk: Desk,
    holder: Annotated[str, typer.Option(help="person:USERNAME, machine:mch_..., or me")] = "",
    role: Annotated[str, typer.Option(help="only this role")] = "",
    state: Annotated[str, typer.Option(help="offered, active or ended")] = "",
    mine: Annotated[bool, typer.Option("--mine", help="your own, offered ones too")] = False,
    csv: Annotated[bool, typer.Option("--csv", help="as comma-separated values, with a heading")] = False,
) -> None:
    """The register of access rights, oldest first."""
    from chargepki.cli.output import day

    async with desk.client() as client:
        found = [grant async for grant in client.grants.list(holder="me" if mine else holder, role=role, state=state)]
    if desk.is_json:
        desk.out.json(found)
        return
    if csv:
        desk.out.raw(_csv(found))
        return
    rows = [(g.holder_name, g.role, _reach(g.scope), g.state, day(g.until), g.id) for g in found]
    desk.out.table(
        ("HOLDER", "ROLE", "OVER", "STATE", "UNTIL", "ID"),
        rows,
        empty="There is no such grant. Propose one: chargepki grant propose person:anna.berg --role auditor",
        fold=("OVER",),
        shed=("OVER", "UNTIL", "STATE"),
    )


@command(app, "propose", undone="Nothing was granted.")
async def propose_grant(
    desk: Desk,
    holder: Annotated[str, typer.Argument(metavar="HOLDER", help="person:USERNAME, or machine:mch_... to renew its role")],
    role: Annotated[str, typer.Option(help="administrator, operator, ca-officer, auditor, party-admin, requester, ...")],
    party: PartyScope = None,
    authority: AuthorityScope = None,
    profile: ProfileScope = None,
    space: NameScope = None,
    until: Annotated[str, typer.Option(metavar="DATE", help="2027-12-31; a year for people, 90 days for machines unless said")] = "",
) -> None:
    """Propose a role. The person has to accept it; in production others have to agree to a trusted role first."""
    from chargepki.cli.output import day

    scope, end = scope_of(party, authority, profile, space), _parse_day(until)
    async with desk.client() as client:
        grant = await client.grants.propose(holder=holder, role=role, scope=scope, until=end)
    if desk.is_json:
        desk.out.json(grant)
        return
    is_offered = grant.state == "offered"
    desk.out.facts(
        ("Offered" if is_offered else "Granted", f"{grant.role} to {grant.holder_name} over {_reach(grant.scope)}"),
        ("Until", day(grant.until)),
        ("Next", f"{grant.holder_name} accepts it:" if is_offered else ""),
        ("", f"chargepki grant accept {grant.id}" if is_offered else ""),
        ("Undo", f"chargepki grant end {grant.id}"),
    )


@command(app, "accept", undone="Nothing was accepted.")
async def accept_grant(desk: Desk, id: IdArgument) -> None:
    """Accept a role that was offered to you, signed in as yourself."""
    from chargepki.cli.output import day

    async with desk.client() as client:
        grant = await client.grants.accept(id)
    if desk.is_json:
        desk.out.json(grant)
        return
    desk.out.facts(
        ("Accepted", f"{grant.role} over {_reach(grant.scope)}"),
        ("Until", day(grant.until)),
        ("Undo", f"chargepki grant end {grant.id}"),
    )


@command(app, "end", undone="Nothing was ended.")
async def end_grant(desk: Desk, id: IdArgument) -> None:
    """Take a role away, at once, with every token made from it."""
    async with desk.client() as client:
        grant = await client.grants.end(id)
    if desk.is_json:
        desk.out.json(grant)
        return
    desk.out.facts(
        ("Ended", f"{grant.role} of {grant.holder_name} over {_reach(grant.scope)}"),
        ("Undo", f"chargepki grant propose {grant.holder} --role {grant.role}"),
    )


@command(app, "review", undone="Nothing was signed.")
async def review_access(
    desk: Desk,
    party: Annotated[str, typer.Option(metavar="PARTY", help="only the rights of this party's people and machines")] = "",
    sign: Annotated[str, typer.Option(metavar="DIGEST", help="sign that you have reviewed exactly these rights (auditors)")] = "",
) -> None:
    """Who holds what, who has not signed in for 90 days, and what ends within 30. An auditor signs it."""
    async with desk.client() as client:
        if sign:
            signed = await client.grants.sign_review(sign, party=party)
            if desk.is_json:
                desk.out.json(signed)
            else:
                desk.out.facts(("Signed", f"the access review {signed.digest}"), ("Logged", f"entry {signed.entry}"))
            return
        review = await client.grants.review(party=party)
    if desk.is_json:
        desk.out.json(review)
        return
    _show_review(desk, review)


def scope_of(
    parties: list[str] | None, authorities: list[str] | None, profiles: list[str] | None, names: list[str] | None
) -> "GrantScope | None":
    from chargepki.client.governance import GrantScope

    given = [tuple(values) if values else None for values in (parties, authorities, profiles, names)]
    return GrantScope(*given) if any(given) else None


def _show_review(desk: Desk, review: "AccessReview") -> None:
    from chargepki.cli.output import day, minute

    rows = [
        (
            line.grant.holder_name,
            line.grant.role,
            _reach(line.grant.scope),
            line.grant.state,
            day(line.grant.until),
            day(line.last_seen) or ("never" if line.grant.holder.startswith("person:") else "not known"),
            " ".join(word for word, holds in (("ends soon", line.ends_soon), ("unused", line.is_unused)) if holds),
        )
        for line in review.lines
    ]
    columns = ("HOLDER", "ROLE", "OVER", "STATE", "UNTIL", "SIGNED IN", "NOTE")
    desk.out.table(columns, rows, empty="Nobody holds anything.", fold=("OVER", "NOTE"), shed=("OVER", "STATE", "SIGNED IN"))
    scope = f" --party {review.party}" if review.party else ""
    desk.out.facts(
        ("Rights", f"{len(review.lines)} at {minute(review.at)}"),
        ("Digest", review.digest),
        ("Next", f"chargepki grant review{scope} --sign {review.digest}"),
    )


def _csv(grants: "list[Grant]") -> bytes:
    """RFC 4180, with a heading. A cell that a spreadsheet would run as a formula is quoted with an apostrophe."""
    import csv
    import io

    from chargepki.cli.output import clean, minute

    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(("id", "holder", "name", "party", "role", "over", "state", "from", "accepted", "until", "ended", "granted by"))
    for g in grants:
        moments = (minute(g.created_at), minute(g.accepted_at), minute(g.until), minute(g.ended_at))
        created, accepted, until, ended = moments
        cells = (g.id, g.holder, g.holder_name, g.party, g.role, _reach(g.scope), g.state, created, accepted, until, ended, g.created_by)
        writer.writerow([f"'{clean(cell)}" if cell[:1] in _FORMULA else clean(cell) for cell in cells])
    return text.getvalue().encode()


_FORMULA = ("=", "+", "-", "@")


def _reach(scope: "GrantScope") -> str:
    """What a grant is over, in one line."""
    parts = [
        f"{label} {', '.join(value or '(platform)' for value in values)}"
        for label, values in (
            ("party", scope.parties),
            ("authority", scope.authorities),
            ("profile", scope.profiles),
            ("names", scope.names),
        )
        if values is not None
    ]
    return "; ".join(parts) or "everything"


def _parse_day(text: str) -> datetime | None:
    if not text:
        return None
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no date: 2027-12-31", param_hint="--until") from None
