"""The monitor: reads the log from its tiles alone and says what in it does not follow.

It believes nothing that the platform says beside the log. Every look continues the one before: the tree it saw must be the beginning of
the tree it sees, and what it noticed stays noticed until somebody starts it anew.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final, Protocol

from chargepki.core import canonical_json
from chargepki.core.canonical_json import JsonValue
from chargepki.core.oversight import Oversight
from chargepki.core.oversight_notes import decode_oversight, encode_oversight
from chargepki.core.tlog.audit import COSIGNED_PATH
from chargepki.core.tlog.checkpoint import Checkpoint
from chargepki.core.tlog.edge import TreeEdge
from chargepki.core.tlog.merkle import EMPTY_ROOT, hash_leaf
from chargepki.core.tlog.notes import parse_note
from chargepki.core.tlog.policy import NO_WITNESSES, Policy, check_note
from chargepki.core.tlog.tiles import CHECKPOINT_PATH, ENTRIES, TILE_WIDTH, TileId, edge_tiles, split_bundle, split_hashes, tile_at
from chargepki.errors import Broken, Finding, NotFound, Refused, Severity

FINDINGS_MAX: Final = 200  # the oldest are kept: what began it says more than what followed
MEMORY_OCTETS_MAX: Final = 64 * 1024 * 1024  # open intents and votes of the largest log; it is written by us alone
_MISSING: Final = b""


class LogFiles(Protocol):
    """Where the files of a log are read from: the node's own directory, or a copy."""

    async def read(self, path: str) -> bytes:
        """Raises `NotFound`."""
        ...


class MonitorMemory(Protocol):
    """What a monitor keeps between its looks, durably. `save` replaces."""

    async def load(self) -> bytes | None: ...

    async def save(self, content: bytes) -> None: ...


@dataclass(frozen=True, slots=True)
class MonitorReport:
    """`size` entries were read up to now, `new` of them in this look. `overdue` is about this moment, `findings` stay."""

    size: int
    new: int
    findings: tuple[Finding, ...]
    overdue: tuple[Finding, ...] = ()
    cosigned: int = 0  # the size that a quorum of witnesses signed; 0 without one

    @property
    def is_clean(self) -> bool:
        return not any(finding.is_error for finding in (*self.findings, *self.overdue))

    @property
    def contradiction(self) -> Finding | None:
        """The log is not the one that was seen before, or does not lead to its own root."""
        return next((finding for finding in self.findings if finding.code.startswith("log.") and finding.is_error), None)


@dataclass(slots=True)
class _Seen:
    """How far the monitor has come."""

    size: int = 0
    root: bytes = EMPTY_ROOT
    oversight: Oversight = field(default_factory=Oversight)
    findings: tuple[Finding, ...] = ()


class Monitor:
    """`now` None: intents are overdue as of the last entry, for a copy that stands still. `expected`: the one policy to decide under."""

    def __init__(
        self,
        files: LogFiles,
        memory: MonitorMemory,
        policy: Callable[[], Policy],
        *,
        expected: str = "",
        now: Callable[[], datetime] | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        self._files, self._memory, self._policy = files, memory, policy
        self._expected, self._now, self._progress = expected, now, progress
        self._report: MonitorReport | None = None

    @property
    def report(self) -> MonitorReport | None:
        """The last look's."""
        return self._report

    async def look(self) -> MonitorReport:
        """Reads what is new. Nothing of a log that contradicts what was seen is believed: the next look holds it against the same."""
        seen = await self._recall()
        try:
            head, cosigned, findings = await self._heads()
            if head is None:
                return self._conclude(seen, 0, findings)
            walked = await self._walk(seen, head)
        except Refused as refusal:
            return self._conclude(seen, 0, refusal.findings)
        new = walked.size - seen.size
        if new > 0:
            await self._memory.save(_encode(walked))
        return replace(self._conclude(walked, new, findings), cosigned=cosigned)

    def _conclude(self, seen: _Seen, new: int, findings: Sequence[Finding]) -> MonitorReport:
        overdue = seen.oversight.find_overdue(None if self._now is None else self._now())
        self._report = MonitorReport(seen.size, new, _merge(findings, seen.findings), tuple(overdue))  # what is so now is never cut off
        return self._report

    async def _recall(self) -> _Seen:
        content = await self._memory.load()
        if content is None:
            return _Seen(oversight=Oversight(self._expected))
        seen = _decode(content)
        seen.oversight.expected = self._expected
        return seen

    async def _heads(self) -> tuple[Checkpoint | None, int, tuple[Finding, ...]]:
        """The newest checkpoint, when the log signed it; the size a quorum signed; what is wrong with either."""
        policy = self._policy()
        data = await self._read(CHECKPOINT_PATH)
        if data == _MISSING:
            return None, 0, (Finding("log.checkpoint.missing", "there is no checkpoint", path=CHECKPOINT_PATH, clause="C2SP tlog-tiles"),)
        newest = check_note(parse_note(data), replace(policy, quorum=NO_WITNESSES))
        head = newest.checkpoint if newest.logs else None
        if not policy.is_witnessed:
            return head, 0, newest.findings
        best = check_note(parse_note(data), policy)
        if not best.is_accepted and (older := await self._read(COSIGNED_PATH)) != _MISSING:
            best = check_note(parse_note(older), policy)
        if best.is_accepted and best.checkpoint is not None:
            return head, best.checkpoint.size, newest.findings
        lacking = tuple(replace(finding, severity=Severity.WARNING) for finding in best.findings if finding.code == "log.policy.quorum")
        return head, 0, (*newest.findings, *lacking)

    async def _walk(self, seen: _Seen, head: Checkpoint) -> _Seen:
        """`seen`, and everything since. `Refused` when the log does not continue it or does not lead to its root."""
        if head.size < seen.size:
            message = f"{seen.size} entries were seen before; the log has {head.size}"
            raise Refused.because("log.rolled_back", message, path=CHECKPOINT_PATH, clause="RFC 6962 2.1.2")
        edge = await self._edge(seen, head.size)
        walked = _Seen(seen.size, seen.root, decode_oversight(_plain(encode_oversight(seen.oversight))), seen.findings)
        for bundle in range(seen.size // TILE_WIDTH, (head.size + TILE_WIDTH - 1) // TILE_WIDTH):
            entries = await self._entries(tile_at(ENTRIES, bundle, head.size))
            fresh = entries[edge.size - bundle * TILE_WIDTH :]
            found = await asyncio.to_thread(_read_entries, walked.oversight, edge, fresh)
            walked.findings = _merge(walked.findings, found)
            if self._progress is not None:
                self._progress(edge.size, head.size)
        walked.size, walked.root = edge.size, edge.root()
        if walked.root != head.root:
            message = f"the {head.size} entries do not lead to the root of the checkpoint over them"
            raise Refused.because("log.root.mismatch", message, path=CHECKPOINT_PATH, clause="RFC 6962 2.1", hint="chargepki log verify")
        return walked

    async def _edge(self, seen: _Seen, size: int) -> TreeEdge:
        """The end of the tree that was seen, out of today's tiles: the same root, so the same entries."""
        rows = [split_hashes(await self._tile(tile, size))[: tile.width] for tile in edge_tiles(seen.size)]
        try:
            edge = TreeEdge.from_tiles(seen.size, rows)
        except ValueError as error:
            raise Refused.because("log.tile.truncated", str(error), clause="C2SP tlog-tiles", hint="chargepki log verify") from error
        if edge.root() != seen.root:
            message = f"the first {seen.size} entries are not those that were seen before"
            hint = "the log was forked or written anew: keep this copy and the older one, and compare them"
            raise Refused.because("log.forked", message, path=CHECKPOINT_PATH, clause="RFC 6962 2.1.2", hint=hint)
        return edge

    async def _entries(self, bundle: TileId) -> list[bytes]:
        entries, _ = split_bundle(await self._tile(bundle, 0))
        if len(entries) < bundle.width:
            first = bundle.first_entry + len(entries)
            raise Refused.because("log.bundle.truncated", f"entry {first} is missing", path=bundle.path, clause="C2SP tlog-tiles")
        return entries[: bundle.width]

    async def _tile(self, tile: TileId, size: int) -> bytes:
        """The tile, or one that has it as its beginning: as a tree of `size` has it, or full."""
        wider = tile_at(tile.level, tile.index, size) if size else tile
        for path in dict.fromkeys((tile.path, wider.path, tile.full.path)):
            if (data := await self._read(path)) != _MISSING:
                return data
        raise Refused.because("log.tile.missing", f"the log has no {tile.path}", path=tile.path, clause="C2SP tlog-tiles")

    async def _read(self, path: str) -> bytes:
        try:
            return await self._files.read(path)
        except NotFound:
            return _MISSING


def _read_entries(oversight: Oversight, edge: TreeEdge, entries: Sequence[bytes]) -> list[Finding]:
    found: list[Finding] = []
    for entry in entries:
        found += oversight.read(edge.size, entry)
        edge.append((hash_leaf(entry),))
    return found


def _merge(kept: Sequence[Finding], found: Sequence[Finding]) -> tuple[Finding, ...]:
    return tuple(dict.fromkeys((*kept, *found)))[:FINDINGS_MAX]


def _encode(seen: _Seen) -> bytes:
    findings = [[f.code, f.message, f.severity, f.path, f.clause, f.hint] for f in seen.findings]
    body: JsonValue = {
        "v": 1,
        "size": seen.size,
        "root": seen.root.hex(),
        "oversight": encode_oversight(seen.oversight),
        "findings": findings,
    }
    return canonical_json.encode(body)


def _decode(content: bytes) -> _Seen:
    try:
        body = json.loads(content)
        findings = tuple(Finding(c, m, Severity(s), p, cl, h) for c, m, s, p, cl, h in body["findings"])
        if body["v"] != 1:
            raise ValueError("another version")
        return _Seen(int(body["size"]), bytes.fromhex(body["root"]), decode_oversight(body["oversight"]), findings)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        hint = "the file was changed or cut short: restore it, or start anew with chargepki log monitor --anew"
        raise Broken(f"what the monitor remembers cannot be read: {error}", hint=hint) from error


def _plain(value: JsonValue) -> Mapping[str, Any]:
    plain: Mapping[str, Any] = json.loads(canonical_json.encode(value))
    return plain


# -------------------------------------------------------------------------------------------------------------------- who watches


@dataclass(frozen=True, slots=True)
class WitnessState:
    """What one witness said last. `size` is what it cosigned, `problem` why its last answer was none."""

    name: str
    url: str
    size: int = 0
    seen_at: datetime | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class LogWatch:
    """Who looks after the log of this node: for status, health and metrics."""

    monitor: Monitor
    witnesses: Callable[[], Sequence[WitnessState]]
    policy: Callable[[], Policy]


async def keep_watch(monitor: Monitor, every_seconds: float, report: Callable[[MonitorReport | Broken], Awaitable[None] | None]) -> None:
    """For ever: one look each time. `report` is told what came of it."""
    while True:
        try:
            outcome: MonitorReport | Broken = await monitor.look()
        except Broken as broken:
            outcome = broken
        if (answer := report(outcome)) is not None:
            await answer
        await asyncio.sleep(every_seconds)
