import asyncio
import re
from datetime import UTC, datetime, timedelta

import pytest

from chargepki.adapters.clock import SystemClock
from chargepki.adapters.entropy import SystemEntropy
from chargepki.adapters.notify import LocalNotifier
from chargepki.core.records import SecurityProfile, Station, StationId, StationState
from chargepki.errors import Broken, ChargePkiError
from chargepki.ports import Clock, Entropy, Event, Notifier, StationChanged
from chargepki.testing.clock import FixedClock

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
EVENT = StationChanged(Station(StationId("CS-1"), "SN-1", "demo", StationState.ACTIVE, SecurityProfile.TLS_BASIC, NOON))


def test_the_clock_tells_aware_whole_seconds() -> None:
    clock: Clock = SystemClock()
    now = clock.now()
    assert now.tzinfo is UTC
    assert now.microsecond == 0
    assert abs(datetime.now(UTC) - now) < timedelta(seconds=2)


def test_the_fixed_clock_moves_only_when_it_is_moved() -> None:
    clock = FixedClock(NOON)
    assert clock.now() == clock.now() == NOON
    assert clock.advance(timedelta(days=1)) == clock.now() == datetime(2026, 11, 23, 12, tzinfo=UTC)


def test_an_id_is_a_ulid_of_its_time() -> None:
    entropy: Entropy = SystemEntropy(lambda: 1469918176385)  # the example of the ULID specification
    assert re.fullmatch(r"crt_01ARYZ6S41[0-9A-HJKMNP-TV-Z]{16}", entropy.ulid("crt"))
    assert len(entropy.octets(20)) == 20


def test_what_is_drawn_ahead_is_handed_out_once() -> None:
    entropy = SystemEntropy()
    drawn = [entropy.nonce(20) for _ in range(1000)]  # several draws from the system
    assert len(set(drawn)) == 1000
    assert {len(octets) for octets in drawn} == {20}
    assert len(entropy.nonce(10_000)) == 10_000


@pytest.mark.parametrize("milliseconds", [[5] * 1000, [5, 4, 3, 2, 1] * 200, list(range(1000))])
def test_ids_increase_within_a_millisecond_and_when_the_clock_goes_back(milliseconds: list[int]) -> None:
    entropy = SystemEntropy(iter(milliseconds).__next__)
    ids = [entropy.ulid("x") for _ in range(1000)]
    assert ids == sorted(set(ids))


async def test_ids_of_many_threads_differ() -> None:
    entropy = SystemEntropy()
    batches = await asyncio.gather(*(asyncio.to_thread(lambda: [entropy.ulid("x") for _ in range(500)]) for _ in range(8)))
    assert len({id for batch in batches for id in batch}) == 4000


def test_every_listener_hears_of_an_event_though_one_fails() -> None:
    heard: list[str] = []
    failures: list[tuple[Event, ChargePkiError]] = []
    notifier = LocalNotifier(lambda event, error: failures.append((event, error)))
    port: Notifier = notifier

    def fails(event: Event) -> None:
        raise Broken("the wire is cut")

    for listener in (lambda event: heard.append("first"), fails, lambda event: heard.append("last")):
        port.subscribe(listener)
    port.publish(EVENT)
    assert heard == ["first", "last"]
    assert [(event, str(error)) for event, error in failures] == [(EVENT, "the wire is cut")]


def test_a_bug_in_a_listener_is_not_hidden() -> None:
    notifier = LocalNotifier(lambda event, error: None)
    notifier.subscribe(_has_a_bug)
    with pytest.raises(ValueError, match="not a number"):
        notifier.publish(EVENT)


def _has_a_bug(event: Event) -> None:
    int("not a number")
