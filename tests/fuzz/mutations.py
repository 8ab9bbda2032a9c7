"""Deterministic damage: what a bad line, a bad device or a bad person does to octets."""

import random
from collections.abc import Iterator, Sequence


def mutations(seeds: Sequence[bytes], count: int, seed: int = 1) -> Iterator[bytes]:
    """`count` damaged variants of the seeds, always the same for the same arguments."""
    rng = random.Random(seed)
    for _ in range(count):
        data = bytearray(rng.choice(seeds))
        for _ in range(rng.randint(1, 4)):
            _damage(data, rng, seeds)
        yield bytes(data)


def _damage(data: bytearray, rng: random.Random, seeds: Sequence[bytes]) -> None:
    at = rng.randrange(len(data) + 1)
    match rng.randrange(7):
        case 0 if data:
            data[at % len(data)] ^= 1 << rng.randrange(8)
        case 1 if data:
            data[at % len(data)] = rng.choice((0x00, 0x01, 0x7F, 0x80, 0x81, 0x84, 0xFF, 0x30, 0x31, 0x02, 0x05))
        case 2:
            del data[at:]
        case 3:
            del data[at : at + rng.randint(1, 8)]
        case 4:
            data[at:at] = rng.randbytes(rng.randint(1, 8))
        case 5:
            other = rng.choice(seeds)
            start = rng.randrange(len(other) + 1)
            data[at:at] = other[start : start + rng.randint(1, 64)]
        case _:
            data += data[:at]
