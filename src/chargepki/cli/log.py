"""chargepki log: the audit trail, and the log it is the leaves of. `cli/log_audit.py` has what needs no platform."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chargepki.cli.desk import Desk, command, noun

if TYPE_CHECKING:
    from chargepki.client import Client
    from chargepki.client.access import AuditEntry
    from chargepki.client.log import EntryProof, LogStatus

INTERRUPTED = "system:intent:review"  # the action under which a start reports what a crash cut off

app = noun("log", "The log of every decision: list, show, intents, status, prove, fetch, policy, verify, monitor, export.")


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


@command(app, "status")
async def show_status(desk: Desk) -> None:
    """Show how far the log is, which witness saw how much of it, and what the monitor found."""
    async with desk.client() as client:
        status = await client.log.status()
    if desk.is_json:
        desk.out.json(status)
    else:
        _say_status(desk, status)


def _say_status(desk: Desk, status: "LogStatus") -> None:
    from chargepki.cli.output import minute

    monitor = status.monitor
    watched = "has not looked yet" if monitor is None else f"{monitor.size} entries, {len(monitor.findings)} findings"
    desk.out.facts(
        ("Log", f"{status.origin}, {status.size} entries"),
        ("Signed", minute(status.signed_at)),
        ("Root", status.root),
        ("Cosigned", f"{status.cosigned} entries (quorum: {status.quorum})"),
        ("Monitor", watched),
        ("Problem", status.problem),
        ("Witnesses", status.witness_problem),
    )
    rows = [(w.name, str(w.size), minute(w.seen_at), w.problem or "agrees", w.url) for w in status.witnesses]
    desk.out.table(
        ("WITNESS", "ENTRIES", "SEEN", "SAYS", "URL"),
        rows,
        empty="No witness: nobody but this platform would notice a second history. docs/how-to/run-a-witness.md",
        fold=("SAYS",),
        shed=("URL", "SEEN"),
    )
    for finding in monitor.findings if monitor is not None else ():
        desk.out.facts(("Finding", f"{finding.code}: {finding.message}"))


@command(app, "policy")
async def show_policy(desk: Desk) -> None:
    """Print whose signatures make this log believable: give it to auditors on another way than the log."""
    async with desk.client() as client:
        status = await client.log.status()
    if desk.is_json:
        desk.out.json({"policy": status.policy})
    else:
        desk.out.raw(status.policy.encode())


@command(app, "prove")
async def prove(
    desk: Desk,
    what: Annotated[str, typer.Argument(metavar="CERT|ENTRY|INDEX", help="crt_..., a serial number, aud_... or an index")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="where the proof files go")] = Path(),
    offline: Annotated[bool, typer.Option("--offline", help="from the copy in --data DIR, without a platform")] = False,
    force: Annotated[bool, typer.Option("--force", help="overwrite files")] = False,
) -> None:
    """Write self-contained proofs: what was done, and the intent before it. `chargepki log verify FILE` checks them."""
    from chargepki.cli.files import write_new

    await asyncio.to_thread(out.mkdir, parents=True, exist_ok=True)
    proofs = _prove_offline(desk, what) if offline else await _prove_online(desk, what)
    saved = []
    for proof in proofs:
        file = out / f"{_stem(what)}.{proof.outcome}.tlog-proof"
        write_new(file, proof.proof.encode(), force=force)
        saved.append(str(file))
    if desk.is_json:
        desk.out.json([{"entry": p.entry, "index": p.index, "outcome": p.outcome, "file": f} for p, f in zip(proofs, saved, strict=True)])
        return
    for proof, name in zip(proofs, saved, strict=True):
        desk.out.facts(("Proved", f"entry {proof.index}: {proof.object}: {proof.outcome}"), ("Saved", name))
    desk.out.facts(("Verify", f"chargepki log verify {saved[0]}"))


async def _prove_online(desk: Desk, what: str) -> "tuple[EntryProof, ...]":
    from chargepki.cli.cert import find_certificate
    from chargepki.core.leaves import is_index

    async with desk.client() as client:
        if not what.startswith(("aud_", "crt_")) and not is_index(what):
            what = (await find_certificate(client, what)).id
        return await client.log.prove(what)


def _prove_offline(desk: Desk, what: str) -> "tuple[EntryProof, ...]":
    """The same from a copy. A certificate's serial number stands in its intent, its id in what was done."""
    from chargepki.cli.log_audit import find_copy
    from chargepki.client.log import EntryProof
    from chargepki.core.leaves import find_leaves, parse_leaf
    from chargepki.core.tlog.excerpt import entries_between, prove_entry, read_head
    from chargepki.core.tlog.proof import format_proof
    from chargepki.errors import NotFound

    read = find_copy(desk.data)
    _, newest = read_head(read, covering=1 << 62)
    found = find_leaves(entries_between(read, 0, newest.size, newest.size), what)
    if not found:
        raise NotFound.because(
            "log.entry.unknown", f"the copy has no entry about {what}", hint="an index, aud_..., crt_... or a serial number"
        )
    proofs = []
    for index, entry in found:
        note, _ = read_head(read, covering=index + 1)
        leaf = parse_leaf(entry)
        proofs.append(EntryProof(leaf.id, index, leaf.outcome, leaf.object, format_proof(prove_entry(read, index, note)).decode()))
    return tuple(proofs)


@command(app, "fetch")
async def fetch(
    desk: Desk, out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="the copy; made or brought up to date")]
) -> None:
    """Copy the whole log over the API: what an auditor verifies, monitors and exports from."""
    from chargepki.adapters.tlog.copy import CopyDirectory, write_copy
    from chargepki.core.tlog.audit import COSIGNED_PATH, copy_paths
    from chargepki.core.tlog.checkpoint import parse_checkpoint
    from chargepki.core.tlog.notes import parse_note
    from chargepki.core.tlog.tiles import CHECKPOINT_PATH

    have, fetched = CopyDirectory(out), 0
    async with desk.client() as client:
        status, head = await client.log.status(), await client.log.checkpoint()
        size = parse_checkpoint(parse_note(head).text).size
        for path in copy_paths(size):
            if have(path) is None:
                write_copy(out, path, await _fetch_file(client, path))
                fetched += 1
        if status.cosigned:
            write_copy(out, COSIGNED_PATH, await client.log.checkpoint(cosigned=True))
    write_copy(out, CHECKPOINT_PATH, head)  # last: it stands over what is there
    if not (out / "policy").exists():  # a policy that was put there from elsewhere stays
        write_copy(out, "policy", status.policy.encode())
    if desk.is_json:
        desk.out.json({"directory": str(out), "size": size, "files": fetched})
        return
    desk.out.facts(("Fetched", f"{size} entries, {fetched} new files"), ("Saved", f"{out}/"), ("Verify", f"chargepki log verify {out}"))


async def _fetch_file(client: "Client", path: str) -> bytes:
    """A partial tile that has become full meanwhile is cut out of the full one."""
    from chargepki.core.tlog.merkle import HASH_OCTETS
    from chargepki.core.tlog.tiles import ENTRIES, encode_bundle, parse_tile_path, split_bundle
    from chargepki.errors import NotFound

    tile = parse_tile_path(path)
    try:
        return await client.log.file(path)
    except NotFound:
        if tile.is_full:
            raise
    full = await client.log.file(tile.full.path)
    if tile.level != ENTRIES:
        return full[: tile.width * HASH_OCTETS]
    return encode_bundle(split_bundle(full)[0][: tile.width])


def _stem(what: str) -> str:
    return "".join(c if c.isalnum() or c in "-._" else "_" for c in what)
