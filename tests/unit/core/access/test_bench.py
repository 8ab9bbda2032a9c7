"""What `chargepki bench decide` measures is allowed, each in its own way."""

import pytest

from chargepki.testing.bench.decide import KINDS, bench_decide


@pytest.mark.parametrize("kind", KINDS)
async def test_the_measured_decisions_allow(kind: str) -> None:
    measured = await bench_decide(kind, 100)
    assert (measured.name, measured.count) == (f"decide-{kind}", 100)
    assert measured.p50_ms < 5  # a hundredfold: this machine may be busy, and the gate still does no I/O
