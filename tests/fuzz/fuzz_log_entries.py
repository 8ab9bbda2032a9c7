"""Leaves of a log that somebody else wrote: read or refused, judged without an error, remembered within bounds, proved or refused."""

import json
from contextlib import suppress

from chargepki.core import canonical_json
from chargepki.core.leaves import find_id, find_leaves, parse_leaf
from chargepki.core.oversight_notes import decode_oversight, encode_oversight
from chargepki.core.tlog.excerpt import entries_between, prove_entry, prove_range, read_head
from chargepki.errors import Refused
from tests.unit.core.test_oversight import BALLOT, CY, EFFECT, Outcome, Permission, story
from tests.unit.core.tlog.small_log import SmallLog

LOG = SmallLog.of(20)


def _write() -> tuple[bytes, ...]:
    """What an honest platform writes, and what a monitor notes of it."""
    leaves: list[bytes] = []
    trail = story()
    keep, trail.read = trail.read, leaves.append  # type: ignore[method-assign]
    trail.vote(CY)
    intent = trail.make_sub_ca()
    trail.write(CY, Permission.CA_AUTHORITY_CREATE, Outcome.BROKEN, of=intent, effect=EFFECT, ballot=BALLOT)
    for leaf in leaves:
        keep(leaf)
    return (*leaves, canonical_json.encode(encode_oversight(trail.oversight)))


SEEDS = (*_write(), *list(LOG.files.values())[:4])


def one_input(data: bytes) -> None:
    find_id(data)
    with suppress(Refused):
        parse_leaf(data)
    oversight = story().oversight
    oversight.read(3, data)
    oversight.read(4, data)  # twice: it may follow itself
    oversight.find_overdue()
    assert decode_oversight(json.loads(canonical_json.encode(encode_oversight(oversight)))) == oversight
    find_leaves([data, *LOG.entries, data], "aud_1")
    with suppress(ValueError, RecursionError):
        decode_oversight(json.loads(data))
    for path in LOG.files:
        read = {**LOG.files, path: data}.get
        with suppress(Refused):
            note, head = read_head(read)
            if head.size == 20:
                list(entries_between(read, 0, 20, 20))
                assert prove_entry(read, 7, note).leaf == LOG.entries[7]
                prove_range(read, 3, 11, 20)


if __name__ == "__main__":
    import sys

    import atheris

    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
