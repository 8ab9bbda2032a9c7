"""The transparency log: what the store has committed becomes tiles and signed checkpoints.

The store is the sequencer: entries are committed with their index, in the transaction of their effect. This service derives everything
else from them and nothing from anywhere else, so a crash at any moment costs nothing: the next start makes the same bytes again. It
never signs a tree that does not continue the one it signed last, and `settle` is how the others wait until they are in it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from chargepki.core.tlog.audit import COSIGNED_PATH
from chargepki.core.tlog.checkpoint import Checkpoint, parse_checkpoint
from chargepki.core.tlog.growth import Grown, grow
from chargepki.core.tlog.merkle import consistency_spans, inclusion_spans, prove_consistency, prove_inclusion
from chargepki.core.tlog.notes import Note, NoteSignature, VerifierKey, parse_note, verify_note
from chargepki.core.tlog.proof import Proof, proof_for
from chargepki.errors import Broken, ChargePkiError, LogInconsistent, LogUnavailable, NotFound, Refused
from chargepki.ports import Ports, TileFile
from chargepki.services.log_keys import LogKeys, find_keys, make_keys, sign_line
from chargepki.services.log_reading import RESTORE, LogReading

PUBLISHED_TOGETHER_MAX: Final = 4096  # leaves written at a time: some 4 MiB and 15 ms when a long backlog is worked off
NO_CHECKPOINT: Final = b""  # files whose checkpoint follows with the last of them
CHECKED_AT_START_MAX: Final = 100_000  # leaves: half a second; longer logs are compared while the platform runs already
CHECK_PAUSE_SECONDS: Final = 0.01  # between two reads of the comparison in the background: it takes a tenth of a core, not more
# Publishing takes at most a quarter of the time. On a machine whose disk or cores are slow, more entries then share a checkpoint: this
# is what keeps the log's part of issuing small. Up to the bound, since a signature waits for it.
PAUSE_FACTOR: Final = 4
PAUSE_SECONDS_MAX: Final = 0.2
LOOK_SECONDS: Final = 1.0  # how often `run` looks for entries that nobody waits for

ProveGrowth = Callable[[int], Awaitable[tuple[bytes, ...]]]
AskWitnesses = Callable[[Note, ProveGrowth], Awaitable[Sequence[NoteSignature]]]
"""Shows the checkpoint to every witness, with a consistency proof from the size each of them saw last; returns the lines they signed."""


@dataclass(frozen=True, slots=True)
class LogSettings:
    """`origin` names the log in every checkpoint; `interval` is the least time between two of them, longer where
    publishing is slow (`PAUSE_FACTOR`). Lines of `witnesses` are taken."""

    origin: str = "chargepki.local/audit"
    interval: timedelta = timedelta(milliseconds=50)
    mldsa_interval: timedelta = timedelta(seconds=1)  # such a line costs 0.9 ms, an Ed25519 line 0.05
    witnesses: tuple[VerifierKey, ...] = ()
    witness_interval: timedelta = timedelta(seconds=10)
    resign: timedelta = timedelta(hours=1)  # an idle log shows that it lives
    may_begin_again: bool = False  # the operator says that the log directory is lost and is to be made again from the database


@dataclass(frozen=True, slots=True)
class LogHealth:
    """`cosigned` is the size that witnesses signed last. `is_compared`: every leaf was hashed since the start and leads to the root."""

    size: int
    signed_at: datetime | None
    cosigned: int
    is_compared: bool
    problem: str = ""
    witness_problem: str = ""


@dataclass(frozen=True, slots=True)
class _Head:
    """The last published checkpoint and the log under it."""

    log: Grown
    note: Note
    signed_at: datetime


class TransparencyLog:
    def __init__(self, ports: Ports, settings: LogSettings) -> None:
        self._ports, self._tiles, self._settings = ports, ports.tiles, settings
        self._reading = LogReading(ports.store, ports.tiles)
        self._keys: LogKeys | None = None
        self._head: _Head | None = None
        self._cosigned: tuple[Checkpoint, Note] | None = None
        self._stopped: LogInconsistent | None = None
        self._problem = self._witness_problem = ""
        self._is_compared = False
        self._writing = asyncio.Lock()
        self._waiting: list[asyncio.Future[None]] = []
        self._flusher: asyncio.Task[None] | None = None
        self._flushed = self._mldsa_signed = float("-inf")  # the event loop's clock
        self._pause = settings.interval.total_seconds()  # from the beginning of one flush to that of the next

    # ------------------------------------------------------------------------------------------------------------------ start

    async def start(self) -> None:
        """Compares the database with the last checkpoint and goes on from there, or begins the log.

        Raises `LogInconsistent` when they contradict each other: then a database was rolled back or changed under a newer log, or the
        log was. Nothing is signed in that state.
        """
        try:
            await self._open()
        except LogInconsistent as inconsistent:
            self._stopped = inconsistent
            raise
        await self._flush(is_due=True)

    async def _open(self) -> None:
        data = await self._tiles.read_checkpoint()
        self._keys = await find_keys(self._ports.vault, self._settings.origin)
        if data is None:
            await self._begin()
            return
        if self._keys is None:
            raise LogInconsistent(
                f"the log {self._settings.origin} has a checkpoint, but the vault has not its keys",
                hint="restore the vault, or name the log anew",
            )
        note, checkpoint = self._read_own(data)
        count = await self._ports.store.count_leaves()
        if count < checkpoint.size:
            raise LogInconsistent(
                f"the database has {count} entries, the log was signed over {checkpoint.size}: it was rolled back", hint=RESTORE
            )
        await self._load_cosigned(checkpoint)
        if checkpoint.size <= CHECKED_AT_START_MAX:
            log, self._is_compared = await self._reading.grown_from_store(checkpoint), True
        else:
            log = await self._reading.grown_from_tiles(checkpoint)
        self._head = _Head(log, note, self._ports.clock.now())

    async def _begin(self) -> None:
        """No checkpoint: a new log, or one whose directory was lost."""
        count = await self._ports.store.count_leaves()
        if self._keys is not None and count > 0 and not self._settings.may_begin_again:
            raise LogInconsistent(
                f"the log {self._settings.origin} has keys and {count} entries, but its checkpoint is gone",
                hint="restore the log directory; when it is lost, start once with log.may_begin_again and compare with what witnesses hold",
            )
        self._keys = await make_keys(self._ports.vault, self._settings.origin)
        self._head = _Head(Grown.empty(), Note(b"", ()), self._ports.clock.now())
        self._is_compared = True

    def _read_own(self, data: bytes) -> tuple[Note, Checkpoint]:
        """A checkpoint of this log, with its own signature."""
        try:
            note = parse_note(data)
            checkpoint = parse_checkpoint(note.text)
        except Refused as refusal:
            raise LogInconsistent(f"the log's checkpoint cannot be read: {refusal}", hint=RESTORE) from refusal
        verification = verify_note(note, self._own().verifier_keys)
        if checkpoint.origin != self._settings.origin or not verification.signed or verification.broken:
            raise LogInconsistent("the log's checkpoint does not carry the log's own signature", hint=RESTORE)
        return note, checkpoint

    async def _load_cosigned(self, newest: Checkpoint) -> None:
        try:
            data = await self._tiles.read(COSIGNED_PATH)
        except NotFound:
            return
        note, checkpoint = self._read_own(data)
        if checkpoint.size > newest.size:
            raise LogInconsistent(
                f"witnesses signed {checkpoint.size} entries, the checkpoint is over {newest.size}: the log was rolled back", hint=RESTORE
            )
        self._cosigned = (checkpoint, note)

    # ----------------------------------------------------------------------------------------------------------------- settle

    async def settle(self) -> None:
        """Returns when a durable signed checkpoint stands over everything that was committed before the call.

        Callers share flushes. Raises `LogUnavailable` when the log could not be written (the next call tries again), `LogInconsistent`
        when it may not be: in both cases what waited must not be signed.
        """
        self._check_open()
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        if self._flusher is None or self._flusher.done():
            self._flusher = asyncio.create_task(self._serve_waiting())
        await waiter

    async def _serve_waiting(self) -> None:
        clock = asyncio.get_running_loop().time
        while self._waiting:
            wait = self._flushed + self._pause - clock()
            if wait > 0:
                await asyncio.sleep(wait)
            waiting, self._waiting = self._waiting, []
            await self._flush_for(waiting)

    async def _flush_for(self, waiting: Sequence[asyncio.Future[None]]) -> None:
        failure: Broken | None = LogUnavailable("the log was stopped while an entry waited for it")
        try:
            await self._flush()
            failure = None
        except LogInconsistent as inconsistent:
            failure = inconsistent
        except ChargePkiError as error:
            hint = error.hint if isinstance(error, Broken) else "see what the vault or the store refuses"
            failure = LogUnavailable(f"the log cannot be written: {error}", hint=hint)
        finally:
            for waiter in waiting:
                if waiter.done():
                    continue  # its caller gave up
                if failure is None:
                    waiter.set_result(None)
                else:
                    waiter.set_exception(type(failure)(str(failure), hint=failure.hint))  # one each: it collects its own traceback

    # ------------------------------------------------------------------------------------------------------------------ flush

    async def _flush(self, *, is_due: bool = False) -> None:
        """Publishes what the store has more than the last checkpoint; with `is_due`, signs again even when there is nothing."""
        async with self._writing:
            self._check_open()
            self._flushed = asyncio.get_running_loop().time()
            try:
                await self._publish_growth(is_due=is_due)
            except LogInconsistent as inconsistent:
                self._stopped = inconsistent
                raise
            except ChargePkiError as error:
                self._problem = str(error)
                raise
            self._problem = ""
            took = asyncio.get_running_loop().time() - self._flushed
            self._pause = max(self._settings.interval.total_seconds(), min(PAUSE_FACTOR * took, PAUSE_SECONDS_MAX))

    async def _publish_growth(self, *, is_due: bool) -> None:
        count = await self._ports.store.count_leaves()
        log = self._opened().log
        if count < log.size:
            raise LogInconsistent(f"the database has {count} entries, the log was signed over {log.size}", hint=RESTORE)
        if log.size == count and not is_due:
            return
        while True:
            entries = await self._reading.leaves(log.size, min(log.size + PUBLISHED_TOGETHER_MAX, count))
            log, grown = grow(log, entries)
            files = [TileFile(path, data) for path, data in grown]
            if log.size == count:
                break
            await self._tiles.publish(files, NO_CHECKPOINT)
        await self._publish(log, files, is_due=is_due)

    async def _publish(self, log: Grown, files: Sequence[TileFile], *, is_due: bool = False) -> None:
        """Signs, writes, and only then believes it. Lines of witnesses stay under a checkpoint that did not change."""
        text = Checkpoint(self._settings.origin, log.size, log.root).text
        lines = [await sign_line(self._ports.vault, self._own().ed25519, text, 0, self._reference(log))]
        now, clock = self._ports.clock.now(), asyncio.get_running_loop().time()
        if is_due or clock - self._mldsa_signed >= self._settings.mldsa_interval.total_seconds():
            lines.append(await sign_line(self._ports.vault, self._own().mldsa44, text, int(now.timestamp()), self._reference(log)))
            self._mldsa_signed = clock
        note = Note(text, (*lines, *self._witness_lines(text)))
        await self._tiles.publish(files, note.encode())
        self._head = _Head(log, note, now)

    def _reference(self, log: Grown) -> str:
        return f"log:{self._settings.origin}:{log.size}"

    def _witness_lines(self, text: bytes) -> tuple[NoteSignature, ...]:
        note = self._opened().note
        if note.text != text:
            return ()
        return tuple(signed.line for signed in verify_note(note, self._settings.witnesses).signed)

    # -------------------------------------------------------------------------------------------------------------- witnesses

    async def take_cosignatures(self, note: Note, lines: Sequence[NoteSignature]) -> int:
        """Keeps what witnesses signed under `note`, a checkpoint of this log: published at once when it is still the newest, and as
        the newest cosigned one in any case. Returns how many lines of known witnesses verify; the others are dropped."""
        checkpoint = parse_checkpoint(note.text)
        if not verify_note(note, self._own().verifier_keys).signed:
            raise Refused.because("log.cosignature.foreign", "these witnesses signed no checkpoint of this log", path="checkpoint")
        async with self._writing:
            self._check_open()
            head = self._opened()
            if self._cosigned is not None and self._cosigned[0].size > checkpoint.size:
                return 0
            before = self._cosigned[1].signatures if self._cosigned is not None and self._cosigned[1].text == note.text else ()
            found = verify_note(Note(note.text, (*lines, *before)), self._settings.witnesses).signed
            if not found:
                return 0
            is_newest = head.note.text == note.text
            own = verify_note(head.note if is_newest else note, self._own().verifier_keys).signed
            cosigned = Note(note.text, tuple(signed.line for signed in (*own, *found)))
            newest = cosigned if is_newest else head.note
            await self._tiles.publish([TileFile(COSIGNED_PATH, cosigned.encode())], newest.encode())
            self._cosigned = (checkpoint, cosigned)
            self._head = _Head(head.log, newest, head.signed_at)
            return len(found)

    # -------------------------------------------------------------------------------------------------------------------- run

    async def run(self, ask: AskWitnesses | None = None) -> None:
        """For ever: publishes what nobody waits for, signs again each hour, compares the whole log once, asks the witnesses."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keep_current())
            if not self._is_compared:
                tasks.create_task(self._compare_all())
            if ask is not None:
                tasks.create_task(self._keep_witnessed(ask))

    async def _keep_current(self) -> None:
        while True:
            with suppress(ChargePkiError):  # `health` says it, `settle` says it to whoever waits, and the next second tries again
                await self._flush(is_due=self._is_signature_due())
            await asyncio.sleep(LOOK_SECONDS)

    def _is_signature_due(self) -> bool:
        """Hourly; and soon after a burst, whose last checkpoint may have no ML-DSA-44 line yet."""
        head, mldsa = self._opened(), self._own().mldsa44.key
        has_mldsa = any(line.key_id == mldsa.id for line in head.note.signatures)
        return not has_mldsa or self._ports.clock.now() - head.signed_at >= self._settings.resign

    async def _compare_all(self) -> None:
        """The comparison that was too long for the start."""
        checkpoint = parse_checkpoint(self._opened().note.text)
        while not self._is_compared and self._stopped is None:
            try:
                await self._reading.grown_from_store(checkpoint, pause=CHECK_PAUSE_SECONDS)
                self._is_compared = True
            except LogInconsistent as inconsistent:
                self._stopped = inconsistent
            except Broken as broken:  # the store went away: once more from the beginning
                self._problem = str(broken)
                await asyncio.sleep(LOOK_SECONDS)

    async def _keep_witnessed(self, ask: AskWitnesses) -> None:
        while True:
            if self._stopped is None and self._is_witness_wanted():
                try:
                    await self._flush(is_due=self._is_signature_due())  # what witnesses sign stands for long: with both own lines
                    head = self._opened()
                    await self.take_cosignatures(head.note, await ask(head.note, self._growth_to(head.log.size)))
                    self._witness_problem = ""
                except ChargePkiError as error:
                    self._witness_problem = str(error)
            await asyncio.sleep(self._settings.witness_interval.total_seconds())

    def _growth_to(self, size: int) -> ProveGrowth:
        return lambda old: self.prove_growth(old, size)

    def _is_witness_wanted(self) -> bool:
        """The log has grown since they signed, or not all of them have."""
        if self._cosigned is None or self._cosigned[1].text != self._opened().note.text:
            return True
        return len(verify_note(self._cosigned[1], self._settings.witnesses).signed) < len(self._settings.witnesses)

    # ------------------------------------------------------------------------------------------------------------------- read

    def checkpoint(self) -> Note:
        """The newest checkpoint, signed and durable."""
        return self._opened().note

    def cosigned(self) -> Note | None:
        """The newest one that witnesses signed."""
        return None if self._cosigned is None else self._cosigned[1]

    def verifier_keys(self) -> tuple[VerifierKey, ...]:
        """What to hand out: the keys others check this log with."""
        return self._own().verifier_keys

    async def prove(self, index: int) -> Proof:
        """That entry `index` is in the log; under the newest cosigned checkpoint when that one covers it. `NotFound` beyond the end."""
        note, size = self._opened().note, self._opened().log.size
        if self._cosigned is not None and index < self._cosigned[0].size:
            size, note = self._cosigned[0].size, self._cosigned[1]
        if not 0 <= index < size:
            raise NotFound.because(
                "log.entry.unknown", f"the log has the entries 0 to {size - 1}", path="index", hint="a new entry is in it within a second"
            )
        (leaf,) = await self._reading.leaves(index, index + 1)
        read = await self._reading.hashes(inclusion_spans(index, size), size)
        return proof_for(index, leaf, prove_inclusion(index, size, read), note)

    async def prove_growth(self, old: int, new: int) -> tuple[bytes, ...]:
        """That the log of `old` entries is the beginning of the log of `new`. `NotFound` for sizes it never had."""
        if not 0 <= old <= new <= self._opened().log.size:
            raise NotFound.because("log.size.unknown", f"the log never grew from {old} to {new} entries", path="size")
        return prove_consistency(old, new, await self._reading.hashes(consistency_spans(old, new), new))

    def health(self) -> LogHealth:
        head, cosigned = self._head, 0 if self._cosigned is None else self._cosigned[0].size
        problem = str(self._stopped) if self._stopped is not None else self._problem
        if head is None:
            return LogHealth(0, None, cosigned, is_compared=False, problem=problem or "the log was not started")
        return LogHealth(head.log.size, head.signed_at, cosigned, self._is_compared, problem, self._witness_problem)

    def _check_open(self) -> None:
        if self._stopped is not None:
            raise LogInconsistent(str(self._stopped), hint=self._stopped.hint)
        if self._head is None:
            raise LogUnavailable("the log was not started", hint="chargepki doctor")

    def _opened(self) -> _Head:
        if self._head is None:
            raise LogUnavailable("the log was not started", hint="chargepki doctor")
        return self._head

    def _own(self) -> LogKeys:
        if self._keys is None:
            raise LogUnavailable("the log was not started", hint="chargepki doctor")
        return self._keys
