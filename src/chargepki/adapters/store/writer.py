"""Group commit: one thread, one transaction for all who wait.

While a transaction reaches the disk, others queue; the next transaction takes them all. It writes the rows of everybody together,
kind by kind. When a precondition fails anywhere it is rolled back and repeated caller by caller, each inside a savepoint, so that
the one who conflicts is told and nobody else notices.

Several nodes write to one PostgreSQL at once, kind by kind in the same order, the log's head last. Caller by caller that order is
lost: such a transaction runs alone, after those under way and before those that come, so that no two wait for each other in a circle.
"""

import asyncio
import threading
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Final

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError

from chargepki.adapters.store.backend import Backend, is_outage
from chargepki.adapters.store.rows.values import Values
from chargepki.adapters.store.writes import ORDER, Operation, Write, WriteSet
from chargepki.errors import Broken, ChargePkiError, StoreUnavailable

BATCH_MAX: Final = 512  # callers per transaction: past this a longer batch gains nothing and only delays the first of them
WAITING_MAX: Final = 20_000  # callers in the queue: more means that the disk stands still, and they should hear it now
RETRIES_MAX: Final = 4  # after a deadlock between nodes

_POSITION: Final = {write: position for position, write in enumerate(ORDER)}


@dataclass(frozen=True, slots=True)
class _Waiting:
    """One caller: what it wants written, and where it waits."""

    operations: tuple[Operation, ...]
    loop: asyncio.AbstractEventLoop
    future: "asyncio.Future[None]"


class _PreconditionFailed(Exception):
    """A counted write touched fewer rows than it was given."""


class GroupWriter:
    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._writes = WriteSet(backend)
        self._queue: SimpleQueue[_Waiting | None] = SimpleQueue()
        self._end: Callable[[], StoreUnavailable] | None = None  # why nothing is accepted any more
        self._thread = threading.Thread(target=self._run, name="chargepki-store-writer", daemon=True)
        self._thread.start()

    def submit(self, operations: Sequence[Operation]) -> "asyncio.Future[None]":
        """Done when the operations are durable; fails with `Conflict`, `StoreUnavailable` or `Broken` when none is written."""
        self.check_running()
        if self._queue.qsize() >= WAITING_MAX:
            raise StoreUnavailable(
                f"{WAITING_MAX} changes wait for the database", hint="look at the disk or the database server: it is slow"
            )
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        ordered = tuple(sorted(operations, key=lambda operation: _POSITION[operation[0]]))
        self._queue.put(_Waiting(ordered, loop, future))
        return future

    def check_running(self) -> None:
        """Raises `StoreUnavailable` when nothing can be written any more."""
        if self._end:
            raise self._end()

    def close(self) -> None:
        """Writes what waits, then ends. Blocks."""
        if self._end is None:
            self._end = _closed
            self._queue.put(None)
        self._thread.join()

    # ------------------------------------------------------------------------------------------------------ the thread

    def _run(self) -> None:
        try:
            while batch := self._take():
                self._write(batch)
        finally:
            end = self._end = self._end or _stopped
            self._answer([(waiting, end()) for waiting in self._drain(WAITING_MAX)])

    def _take(self) -> list[_Waiting]:
        """Waits for the first, then takes all who wait; empty at the end."""
        first = self._queue.get()
        return [] if first is None else [first, *self._drain(BATCH_MAX - 1)]

    def _drain(self, limit: int) -> list[_Waiting]:
        found: list[_Waiting] = []
        with suppress(Empty):
            while len(found) < limit:
                waiting = self._queue.get_nowait()
                if waiting is None:
                    self._queue.put(None)  # the end stays last: nothing is accepted behind it
                    break
                found.append(waiting)
        return found

    def _write(self, batch: list[_Waiting]) -> None:
        outcomes: list[ChargePkiError | None] = [Broken("the store's writer stopped in the middle of a batch") for _ in batch]
        try:
            outcomes = self._commit(batch)
        except SQLAlchemyError as error:
            outcomes = [self._backend.failure(error) for _ in batch]
        finally:
            self._answer(list(zip(batch, outcomes, strict=True)))

    def _commit(self, batch: list[_Waiting]) -> list[ChargePkiError | None]:
        """What became of each caller; raises when nothing was committed, or nobody knows."""
        attempt = self._together
        for _ in range(RETRIES_MAX):
            try:
                return attempt(batch)
            except DBAPIError as error:
                if not self._backend.is_retryable(error):
                    raise
                attempt = self._one_by_one  # alone: whom we waited for, and who waited for us, has finished then
        return self._one_by_one(batch)

    def _together(self, batch: list[_Waiting]) -> list[ChargePkiError | None]:
        try:
            with self._backend.writer.begin() as connection:
                self._backend.lock_shared(connection)
                for write, values in _by_kind(batch):
                    if not self._writes.run(connection, write, values):
                        raise _PreconditionFailed
        except (_PreconditionFailed, OverflowError):
            return self._one_by_one(batch)
        except DBAPIError as error:
            if is_outage(error):
                raise
            return self._one_by_one(batch)
        return [None] * len(batch)

    def _one_by_one(self, batch: list[_Waiting]) -> list[ChargePkiError | None]:
        with self._backend.writer.begin() as connection:
            self._backend.lock_alone(connection)
            return [self._alone(connection, waiting.operations) for waiting in batch]

    def _alone(self, connection: Connection, operations: tuple[Operation, ...]) -> ChargePkiError | None:
        savepoint = connection.begin_nested()
        for write, values in operations:
            try:
                is_written = self._writes.run(connection, write, [values])
            except IntegrityError:
                is_written = False
            except OverflowError as error:
                savepoint.rollback()
                return Broken(f"a number does not fit the {self._backend.name} database: {error}")
            except DBAPIError as error:
                if is_outage(error):
                    raise
                savepoint.rollback()
                return self._backend.failure(error)
            if not is_written:
                savepoint.rollback()
                return write.explain(connection, values)
        savepoint.commit()
        return None

    @staticmethod
    def _answer(outcomes: list[tuple[_Waiting, ChargePkiError | None]]) -> None:
        by_loop: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[None], ChargePkiError | None]]] = defaultdict(list)
        for waiting, outcome in outcomes:
            by_loop[waiting.loop].append((waiting.future, outcome))
        for loop, answers in by_loop.items():
            with suppress(RuntimeError):  # the loop is closed: nobody waits there any more
                loop.call_soon_threadsafe(_settle, answers)


def _closed() -> StoreUnavailable:
    return StoreUnavailable("the store is closed", hint="the platform is shutting down")


def _stopped() -> StoreUnavailable:
    return StoreUnavailable("the store's writer has stopped", hint="restart the platform and report the error in its log: it is a defect")


def _by_kind(batch: list[_Waiting]) -> list[tuple[Write, list[Values]]]:
    """The rows of all callers, kind after kind; within a kind in the order in which the callers came."""
    found: dict[Write, list[Values]] = defaultdict(list)
    for waiting in batch:
        for write, values in waiting.operations:
            found[write].append(values)
    return sorted(found.items(), key=lambda item: _POSITION[item[0]])


def _settle(answers: list[tuple["asyncio.Future[None]", ChargePkiError | None]]) -> None:
    for future, outcome in answers:
        if future.done():  # its caller was cancelled
            continue
        if outcome is None:
            future.set_result(None)
        else:
            future.set_exception(outcome)
