"""chargepki log: the audit trail."""

from typing import TYPE_CHECKING, Annotated

import typer

from chargepki.cli.desk import Desk, command, noun

if TYPE_CHECKING:
    from chargepki.client.access import AuditEntry

INTERRUPTED = "system:intent:review"  # the action under which a start reports what a crash cut off

app = noun("log", "The audit trail: list, show, intents.")


@command(app, "list")
async def list_entries(
    desk: Desk,
    actor: Annotated[str, typer.Option(help="only this actor's")] = "",
    action: Annotated[str, typer.Option(help="only this action: certificate:object:revoke")] = "",
    object: Annotated[str, typer.Option(help="only this object: station:CS-17; station:* matches a prefix")] = "",
    outcome: Annotated[str, typer.Option(help="done, refused or broken")] = "",
    limit: Annotated[int, typer.Option(min=1, help="at most so many")] = 50,
) -> None:
    """List who did what, newest first."""
    from chargepki.cli.output import minute

    found: list[AuditEntry] = []
    async with desk.client() as client:
        async for entry in client.audit_entries.list(actor=actor, action=action, object=object, outcome=outcome):
            found.append(entry)
            if len(found) == limit:
                break
    if desk.is_json:
        desk.out.json(found)
        return
    rows = [(minute(e.at), e.actor, e.action, e.object, e.outcome, e.id) for e in found]
    desk.out.table(
        ("TIME", "ACTOR", "ACTION", "OBJECT", "OUTCOME", "ENTRY"),
        rows,
        empty="No entry matches.",
        fold=("OBJECT",),
        shed=("ACTOR", "OUTCOME", "OBJECT"),
    )


@command(app, "intents")
async def list_intents(desk: Desk) -> None:
    """List signatures that were announced a minute ago or more and led to no certificate, oldest first."""
    from chargepki.cli.output import minute, serial_groups

    async with desk.client() as client:
        found = [intent async for intent in client.intents.list()]
    if desk.is_json:
        desk.out.json(found)
        return
    rows = [
        (minute(i.created_at), i.issuer, serial_groups(i.serial, whole=True), i.profile, i.station or "", i.requested_by) for i in found
    ]
    desk.out.table(
        ("TIME", "ISSUER", "SERIAL", "PROFILE", "STATION", "FOR"),
        rows,
        empty=f"No signature is open. Interrupted ones are closed and logged: chargepki log list --action {INTERRUPTED}",
        shed=("FOR", "STATION", "PROFILE"),
    )


@command(app, "show")
async def show_entry(desk: Desk, id: Annotated[str, typer.Argument(metavar="ENTRY", help="aud_...")]) -> None:
    """Show one entry with its findings."""
    from chargepki.cli.output import minute

    async with desk.client() as client:
        entry = await client.audit_entries.get(id)
    if desk.is_json:
        desk.out.json(entry)
        return
    body = entry.body
    desk.out.facts(
        ("Time", minute(entry.at)),
        (
            "Actor",
            f"{entry.actor}, through {body.get('door') or 'the platform'} {entry.personal.get('remote', '')}".rstrip(),
        ),
        ("Action", entry.action),
        ("Object", entry.object),
        ("Outcome", entry.outcome),
        ("Allowed by", body.get("judgement", {}).get("decision", {}).get("via", "")),
        ("Leaf", "" if entry.index is None else str(entry.index)),
        ("Detail", ", ".join(f"{name}={value}" for name, value in body.get("detail", {}).items())),
        ("Request", str(body.get("trace", ""))),
    )
    for finding in body.get("findings", []):
        desk.out.facts(("Finding", f"{finding['code']}: {finding['message']}"))
