"""Runs writes on one database."""

from collections.abc import Sequence
from functools import partial
from operator import itemgetter

from sqlalchemy import Connection

from chargepki.adapters.store.backend import Backend
from chargepki.adapters.store.driver import driver_cursor
from chargepki.adapters.store.rows.values import Values
from chargepki.adapters.store.statements import Compiled, compile_rows, run_each, run_grouped
from chargepki.adapters.store.writes.trail import APPEND_AUDIT, number_leaves
from chargepki.adapters.store.writes.write import Write


class WriteSet:
    """The writes for one database, each compiled when it is first needed. Used by one thread."""

    def __init__(self, backend: Backend) -> None:
        self._insert = backend.insert
        self._dialect = backend.writer.dialect
        self._compiled: dict[tuple[Write, int], Compiled] = {}

    def run(self, connection: Connection, write: Write, values: Sequence[Values]) -> bool:
        """Writes one row per set of values; False when a counted write touched fewer."""
        if write.locks:
            values = sorted(values, key=itemgetter(write.locks))
        with driver_cursor(connection) as cursor:
            if write is APPEND_AUDIT:
                values = number_leaves(cursor, values)
            written = (
                run_grouped(cursor, partial(self._get, write), values)
                if write.is_grouped
                else run_each(cursor, self._get(write, 1), values)
            )
        return not write.is_counted or written == len(values)

    def _get(self, write: Write, count: int) -> Compiled:
        compiled = self._compiled.get((write, count))
        if compiled is None:
            compiled = self._compiled[write, count] = compile_rows(partial(write.build, self._insert), count, self._dialect)
        return compiled
