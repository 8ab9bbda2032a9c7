"""chargepki log verify, monitor, export: an auditor's commands. They need a copy of the log and nothing of the platform."""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from chargepki.cli.desk import Desk, command
from chargepki.cli.exits import Exit
from chargepki.cli.log import app
from chargepki.errors import Finding, Refused

if TYPE_CHECKING:
    from chargepki.core.tlog.audit import CopyReader, CopyVerdict
    from chargepki.core.tlog.policy import Policy, Verdict

__all__ = ["app", "find_copy"]

WATCH_SECONDS: Final = 60.0
PROGRESS_SECONDS: Final = 1.0
PROOF_FILES_MAX: Final = 10_000  # a directory that people still open
PolicyOption = Annotated[
    Path | None, typer.Option("--policy", metavar="FILE", help="whose signatures count, instead of the copy's own policy file")
]


@command(app, "verify")
async def verify(
    desk: Desk,
    file: Annotated[Path | None, typer.Argument(metavar="[FILE.tlog-proof]", help="a proof; without it the log in --data DIR")] = None,
    policy: PolicyOption = None,
    with_store: Annotated[bool, typer.Option("--with-store", help="also hold DIR's database against the log")] = False,
) -> None:
    """Check a copy of the log, or one proof, offline: every signature, tile and entry."""
    if file is not None and not file.is_dir():
        _verify_proof(desk, file, policy)
        return
    await _verify_copy(desk, file or desk.data, policy, with_store)


def _verify_proof(desk: Desk, file: Path, policy_file: Path | None) -> None:
    from chargepki.cli.files import read_input
    from chargepki.core.tlog.proof import check_proof, is_proof, parse_proof

    data = read_input(str(file))
    if not is_proof(data):
        raise Refused.because("log.proof.malformed", f"{file} is neither a proof nor a copy of a log", path=str(file))
    policy, is_own = _policy(policy_file, file.parent, desk.data)
    proof = parse_proof(data)
    verdict = check_proof(proof, policy)
    if desk.is_json:
        checkpoint = verdict.checkpoint.checkpoint
        result = {"is_accepted": verdict.is_accepted, "index": proof.index, "size": 0 if checkpoint is None else checkpoint.size}
        desk.out.json(
            {
                **result,
                "entry": proof.leaf.decode("utf-8", "replace"),
                "witnesses": [n for n, _ in verdict.checkpoint.witnesses],
                "findings": _show(verdict.findings),
            }
        )
    else:
        desk.out.seen(verdict.findings)
        desk.out.facts(
            ("Entry", f"{proof.index}: {_describe(proof.leaf)}"),
            *_head_facts(verdict.checkpoint),
            ("Policy", _whose(is_own)),
            ("Verdict", "the entry is in the log" if verdict.is_accepted else "THIS PROOF DOES NOT HOLD"),
        )
    _end(verdict.is_accepted)


async def _verify_copy(desk: Desk, directory: Path, policy_file: Path | None, with_store: bool) -> None:
    from dataclasses import replace

    from chargepki.adapters.tlog.copy import CopyDirectory
    from chargepki.core.tlog.audit import audit_copy

    log = _find_log(directory)
    read = CopyDirectory(log)
    policy, is_own = _policy(policy_file, log)
    progress = _progress(desk, "Checking")
    total = _size_of(read)
    verdict = await asyncio.to_thread(audit_copy, read, policy, visit=lambda index, _: progress(index + 1, total))
    findings = [_named(finding, read, verdict.size or total) for finding in verdict.findings]
    if with_store and not findings:
        findings += await _compare(directory, read, verdict.size, _progress(desk, "Comparing"))
    verdict = replace(verdict, findings=tuple(findings))
    _say_copy(desk, log, verdict, is_own=is_own, with_store=with_store)
    _end(verdict.is_accepted)


async def _compare(directory: Path, read: "CopyReader", size: int, progress: Callable[[int, int], None]) -> tuple[Finding, ...]:
    from chargepki.adapters.store import open_store
    from chargepki.config import load_config
    from chargepki.services.log_comparison import compare_with_store

    store = await asyncio.to_thread(open_store, load_config(directory).store_url())
    try:
        return await compare_with_store(store, read, size, progress)
    finally:
        await store.close()


def _say_copy(desk: Desk, log: Path, verdict: "CopyVerdict", *, is_own: bool, with_store: bool) -> None:
    if desk.is_json:
        witnesses = [] if (head := verdict.cosigned or verdict.checkpoint) is None else [name for name, _ in head.witnesses]
        shown = {"is_accepted": verdict.is_accepted, "size": verdict.size, "root": verdict.root.hex(), "witnesses": witnesses}
        desk.out.json({**shown, "findings": _show(verdict.findings)})
        return
    desk.out.seen(verdict.findings)
    desk.out.facts(
        *_head_facts(verdict.cosigned or verdict.checkpoint),
        ("Log", str(log)),
        ("Checked", f"{verdict.size} entries" + (", and the database beside them" if with_store else "")),
        ("Policy", _whose(is_own)),
        ("Verdict", "nothing was changed" if verdict.is_accepted else "THIS COPY IS NOT WHAT WAS SIGNED"),
    )


@command(app, "monitor")
async def monitor(
    desk: Desk,
    once: Annotated[bool, typer.Option("--once", help="one look; else one each minute until Ctrl-C")] = False,
    policy: PolicyOption = None,
    decided_under: Annotated[str, typer.Option(help="the one policy of decisions that is right: production-1")] = "",
    state: Annotated[Path | None, typer.Option(metavar="FILE", help="what it remembers; unless said beside the log")] = None,
    anew: Annotated[bool, typer.Option("--anew", help="forget what was seen and found, and read from the first entry")] = False,
) -> None:
    """Re-run every recorded decision from the log alone, and report what does not follow."""
    from chargepki.adapters.tlog.copy import CopyDirectory, FileMemory
    from chargepki.services.monitors import MEMORY_OCTETS_MAX, Monitor

    log = _find_log(desk.data)
    memory = FileMemory(state or log.with_name(f"{log.name}.monitor.json"), MEMORY_OCTETS_MAX)
    if anew:
        memory.forget()
    now = None if once else _now
    trusted, _ = _policy(policy, log)
    watch = Monitor(CopyDirectory(log), memory, lambda: trusted, expected=decided_under, now=now, progress=_progress(desk, "Reading"))
    while True:
        report = await watch.look()
        findings = (*report.findings, *report.overdue)
        if desk.is_json:
            shown = {"size": report.size, "new": report.new, "cosigned": report.cosigned, "is_clean": report.is_clean}
            desk.out.json({**shown, "findings": _show(findings)})
        else:
            desk.out.seen(findings)
            verdict = "every decision follows from its inputs" if report.is_clean else "THE LOG DOES NOT FOLLOW ITS RULES"
            desk.out.facts(("Read", f"{report.size} entries, {report.new} of them new"), ("Verdict", verdict))
        if once:
            _end(report.is_clean)
            return
        await asyncio.sleep(WATCH_SECONDS)


@command(app, "export")
async def export(
    desk: Desk,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="a new directory")],
    first: Annotated[str, typer.Option("--from", metavar="INDEX|DAY", help="the first entry, or 2026-11-01")] = "0",
    end: Annotated[str, typer.Option("--to", metavar="INDEX|DAY", help="the entry after the last, or a day that is not in it")] = "",
    with_proofs: Annotated[bool, typer.Option("--proofs", help="also a proof for each entry by itself")] = False,
    policy: PolicyOption = None,
) -> None:
    """Write entries with their proof and a small verifier that needs nothing of ChargePKI."""
    from chargepki.adapters.tlog.copy import CopyDirectory
    from chargepki.core.tlog.excerpt import entries_between, read_head

    log = _find_log(desk.data)
    read = CopyDirectory(log)
    trusted, _ = _policy(policy, log)
    note, checkpoint = read_head(read)
    low = _bound(read, first, checkpoint.size)
    high = _bound(read, end, checkpoint.size) if end else checkpoint.size
    if not end or high > checkpoint.size:
        note, checkpoint = read_head(read, covering=max(high, 1))
        high = checkpoint.size if not end else high
    if not 0 <= low < high <= checkpoint.size:
        message = f"there are no entries from {first} to {end or 'the end'}; the log has 0 to {checkpoint.size - 1}"
        raise Refused.because("log.export.empty", message, path="from")
    entries = list(entries_between(read, low, high, checkpoint.size))
    _write_export(out, read, trusted, note.encode(), entries, low)
    if with_proofs:
        _write_proofs(out, read, note.encode(), low, high)
    if desk.is_json:
        desk.out.json({"directory": str(out), "first": low, "end": high, "size": checkpoint.size})
        return
    desk.out.facts(
        ("Exported", f"entries {low} to {high - 1} of {checkpoint.size}"),
        ("Saved", f"{out}/"),
        ("Verify", f"python {out / 'verify.py'} {out}"),
        ("Note", "it holds what every party did; commitments stand for what names a person"),
    )


def _write_export(out: Path, read: "CopyReader", policy: "Policy", note: bytes, entries: list[bytes], first: int) -> None:
    import base64
    import json
    from importlib.resources import files

    from chargepki.core.tlog.checkpoint import parse_checkpoint
    from chargepki.core.tlog.excerpt import prove_range
    from chargepki.core.tlog.notes import parse_note
    from chargepki.core.tlog.policy import format_policy

    if any(b"\n" in entry for entry in entries):
        raise Refused.because("log.export.lines", "an entry has a line break, so it is none of ours", hint="chargepki log monitor --once")
    checkpoint = parse_checkpoint(parse_note(note).text)
    hashes = prove_range(read, first, first + len(entries), checkpoint.size)
    proof = {"first": first, "end": first + len(entries), "hashes": [base64.b64encode(one).decode() for one in hashes]}
    kit = files("chargepki.cli.export")
    readme = (
        (kit / "README.txt").read_text().format(origin=checkpoint.origin, first=first, last=first + len(entries) - 1, size=checkpoint.size)
    )
    content = {
        "README.md": readme.encode(),
        "verify.py": (kit / "verify.txt").read_bytes(),
        "policy": format_policy(policy).encode(),
        "checkpoint": note,
        "entries.jsonl": b"".join(entry + b"\n" for entry in entries),
        "proof.json": json.dumps(proof, indent=1).encode() + b"\n",
    }
    _make_new(out)
    for name, octets in content.items():
        (out / name).write_bytes(octets)


def _write_proofs(out: Path, read: "CopyReader", note: bytes, first: int, end: int) -> None:
    from chargepki.core.tlog.excerpt import prove_entry
    from chargepki.core.tlog.notes import parse_note
    from chargepki.core.tlog.proof import format_proof

    if end - first > PROOF_FILES_MAX:
        message = f"{end - first} proofs are more than {PROOF_FILES_MAX} files"
        raise Refused.because("log.export.many", message, hint="the export as a whole is proved without them; or narrow --from and --to")
    (out / "proofs").mkdir()
    for index in range(first, end):
        (out / "proofs" / f"{index}.tlog-proof").write_bytes(format_proof(prove_entry(read, index, parse_note(note))))


def _make_new(directory: Path) -> None:
    try:
        directory.mkdir(parents=True)
    except FileExistsError as error:
        raise Refused.because("cli.file.exists", f"{directory} exists", hint="name a directory that does not exist yet") from error
    except OSError as error:
        raise Refused.because("cli.file.unwritable", f"{directory} cannot be made: {error.strerror}") from error


def _bound(read: "CopyReader", text: str, size: int) -> int:
    """An index, or that of the first entry of a day."""
    from chargepki.core.leaves import is_index, parse_leaf
    from chargepki.core.tlog.excerpt import entries_between

    if is_index(text):
        return int(text)
    try:
        day = datetime.fromisoformat(text)
    except ValueError as error:
        raise Refused.because(
            "log.export.bound", f"{text!r} is neither an index nor a day", hint="--from 1200 or --from 2026-11-01"
        ) from error
    day = day.replace(tzinfo=UTC) if day.tzinfo is None else day
    for index, entry in enumerate(entries_between(read, 0, size, size)):
        if parse_leaf(entry).at >= day:
            return index
    return size


# ------------------------------------------------------------------------------------------------------------------ shared


def _find_log(directory: Path) -> Path:
    """The configured place of a data directory's log, or the copy that the directory is."""
    from chargepki.adapters.tlog.copy import find_log
    from chargepki.config import FILE_NAME, load_config

    if (directory / FILE_NAME).is_file() and (configured := load_config(directory).log_directory()).is_dir():
        return configured
    return find_log(directory)


def find_copy(directory: Path) -> "CopyReader":
    """The files of the log in a data directory, or of the copy that the directory is."""
    from chargepki.adapters.tlog.copy import CopyDirectory

    return CopyDirectory(_find_log(directory))


def _policy(named: Path | None, *places: Path) -> tuple["Policy", bool]:
    """The policy that was named, or the first that lies beside what is checked; and whether it was the checked one's own."""
    from chargepki.adapters.tlog.copy import POLICY_FILE, read_policy

    if named is not None:
        return read_policy(named), False
    beside = [file for place in places for file in (place / POLICY_FILE, place / "log" / POLICY_FILE)]
    return read_policy(next((file for file in beside if file.is_file()), beside[0])), True


def _whose(is_own: bool) -> str:
    return "the copy's own: compare its keys with those you got on another way (--policy FILE)" if is_own else "yours"


def _size_of(read: "CopyReader") -> int:
    from chargepki.core.tlog.excerpt import read_head

    try:
        return read_head(read, covering=1 << 62)[1].size
    except Refused:
        return 0


def _named(finding: Finding, read: "CopyReader", size: int) -> Finding:
    """With the id of the changed entry, when what is there can still be read."""
    from dataclasses import replace

    from chargepki.core.leaves import find_id
    from chargepki.core.tlog.tiles import ENTRIES, TILE_WIDTH, split_bundle, tile_at

    if finding.code != "log.entry.changed":
        return finding
    index = int(finding.path.rpartition("#")[2])
    bundle = tile_at(ENTRIES, index // TILE_WIDTH, size)
    entries, _ = split_bundle(read(bundle.path) or read(bundle.full.path) or b"")
    id = find_id(entries[index % TILE_WIDTH]) if index % TILE_WIDTH < len(entries) else ""
    return replace(finding, message=f"{finding.message} (it calls itself {id})") if id else finding


def _describe(leaf: bytes) -> str:
    from chargepki.core.leaves import describe_leaf, parse_leaf

    try:
        return describe_leaf(parse_leaf(leaf))
    except Refused:
        return leaf[:200].decode("utf-8", "replace")


def _head_facts(verdict: "Verdict | None") -> tuple[tuple[str, str], ...]:
    if verdict is None or verdict.checkpoint is None:
        return ()
    witnesses = ", ".join(name for name, _ in verdict.witnesses) or "none"
    missing = f"; not signed by {', '.join(verdict.missing)}" if verdict.missing else ""
    return (("Head", f"{verdict.checkpoint.origin}, {verdict.checkpoint.size} entries"), ("Witnesses", f"{witnesses}{missing}"))


def _progress(desk: Desk, verb: str) -> Callable[[int, int], None]:
    """Says how far it is, once a second and not before the first one has passed."""
    last = time.monotonic()

    def say(done: int, total: int) -> None:
        nonlocal last
        if not desk.is_json and time.monotonic() - last >= PROGRESS_SECONDS:
            last = time.monotonic()
            desk.out.talk(f"{verb} ... {done} of {total} entries")

    return say


def _show(findings: tuple[Finding, ...]) -> list[dict[str, str]]:
    return [{name: str(getattr(f, name)) for name in ("code", "severity", "message", "path", "clause", "hint")} for f in findings]


def _now() -> datetime:
    return datetime.now(UTC)


def _end(is_right: bool) -> None:
    if not is_right:
        raise typer.Exit(Exit.REFUSED)
