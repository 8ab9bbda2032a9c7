"""Every fuzz target of this directory holds for well-formed inputs of every kind and for damaged ones."""

import importlib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fuzz.mutations import mutations
from tests.fuzz.seeds import seeds

MUTATIONS = 300
TARGETS = sorted(path.stem for path in Path(__file__).parent.glob("fuzz_*.py"))


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_survives_seeds_and_their_mutations(name: str) -> None:
    target = importlib.import_module(f"tests.fuzz.{name}")
    one_input: Callable[[bytes], None] = target.one_input
    octets = [*getattr(target, "SEEDS", ()), *seeds().values()]
    if hasattr(target, "SEEDS"):  # its own language is not DER: damage that first
        for data in mutations(target.SEEDS, MUTATIONS):
            one_input(data)
    for data in (*octets, *mutations(octets, MUTATIONS)):
        one_input(data)
