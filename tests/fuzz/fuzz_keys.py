"""The key checks, on any public key that can be read."""

from chargepki.core.algorithms import KeySpec, parse_spki
from chargepki.core.keychecks import find_key_faults
from chargepki.errors import Refused


def one_input(data: bytes) -> None:
    try:
        key = parse_spki(data)
    except Refused:
        return
    find_key_faults(key, frozenset(KeySpec))


if __name__ == "__main__":
    import sys

    import atheris

    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
