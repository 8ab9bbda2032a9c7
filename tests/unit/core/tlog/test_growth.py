"""Growing is a function of the entries: any steps lead to the same log, and to files an auditor accepts."""

from hypothesis import given, settings
from hypothesis import strategies as st

from chargepki.core.tlog.audit import audit_copy
from chargepki.core.tlog.checkpoint import Checkpoint
from chargepki.core.tlog.growth import Grown, grow
from chargepki.core.tlog.policy import policy_of
from tests.unit.core.tlog.small_log import LOG_ED25519, ORIGIN, entries_of, sign


@settings(deadline=None, database=None, max_examples=50)
@given(st.lists(st.integers(0, 700), min_size=1, max_size=6))
def test_any_steps_lead_to_the_same_log(steps: list[int]) -> None:
    entries = entries_of(sum(steps))
    log = Grown.empty()
    files: dict[str, bytes] = {}
    for step in steps:
        log, made = grow(log, entries[log.size : log.size + step])
        assert not files.keys() & dict(made).keys()  # a file is made once
        files.update(made)
    at_once, all_files = grow(Grown.empty(), entries)
    assert (log.root, log.tail, log.size) == (at_once.root, at_once.tail, len(entries))
    assert dict(all_files).items() <= files.items()
    copy = {**dict(all_files), "checkpoint": sign(Checkpoint(ORIGIN, log.size, log.root), LOG_ED25519).encode()}
    assert audit_copy(copy.get, policy_of([LOG_ED25519.verifier])).findings == ()


def test_the_log_that_grew_is_a_new_one() -> None:
    """A publication that fails leaves the service with the log it had."""
    log, _ = grow(Grown.empty(), entries_of(300))
    root = log.root
    grow(log, entries_of(300))
    assert (log.edge.root(), log.size, len(log.tail)) == (root, 300, 44)
