"""chargepki token: bearer tokens of the API."""

from typing import Annotated

import typer

from chargepki.cli.desk import Desk, command, noun

app = noun("token", "API tokens: list, create, revoke.")


@command(app, "list")
async def list_tokens(desk: Desk) -> None:
    """List the tokens."""
    from chargepki.cli.output import day

    async with desk.client() as client:
        listed = await client.tokens.list()
    if desk.is_json:
        desk.out.json(listed)
        return
    rows = [(t.name, t.roles, " ".join(t.scopes), "revoked" if t.revoked_at else "active", day(t.expires_at), t.id) for t in listed]
    desk.out.table(
        ("TOKEN", "ROLE", "SCOPES", "STATE", "UNTIL", "ID"),
        rows,
        empty="There is no token.",
        fold=("SCOPES",),
        shed=("ROLE", "UNTIL", "STATE"),
    )


@command(app, "create", undone="No token was made.")
async def create_token(
    desk: Desk,
    name: Annotated[str, typer.Argument(help="who will hold it: ci-factory")],
    scope: Annotated[list[str], typer.Option(help="what it allows: certificate:request:create; repeat for more; * is a whole segment")],
    party: Annotated[list[str] | None, typer.Option(help="only within this party; repeat for more")] = None,
    profile: Annotated[list[str] | None, typer.Option(help="only for this profile; repeat for more")] = None,
    only_name: Annotated[list[str] | None, typer.Option(help="only for this name: station:CS-17, dns:example.org; repeat for more")] = None,
    days: Annotated[int | None, typer.Option(min=1, help="valid for so many days (90)")] = None,
) -> None:
    """Make a token of your own, narrowed; it is shown once, on stdout."""
    async with desk.client() as client:
        made = await client.tokens.create(
            name=name, scopes=scope, valid_days=days, parties=party or None, profiles=profile or None, names=only_name or None
        )
    if desk.is_json:
        desk.out.json(made)
        return
    desk.out.talk(f"Token {made.token.name} ({', '.join(made.token.scopes)}), shown this once:")
    desk.out.line(made.secret)
    desk.out.talk(f"Undo: chargepki token revoke {made.token.id}")


@command(app, "revoke", undone="Nothing was revoked.")
async def revoke_token(desk: Desk, id: Annotated[str, typer.Argument(metavar="ID", help="tok_...")]) -> None:
    """Revoke a token, for ever."""
    async with desk.client() as client:
        await client.tokens.revoke(id)
    if desk.is_json:
        desk.out.json({"id": id, "state": "revoked"})
        return
    desk.out.facts(("Revoked", id), ("Next", "chargepki token create NAME --scope ..."))
