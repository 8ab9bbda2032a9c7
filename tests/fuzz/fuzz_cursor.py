"""The reader of page cursors: keys of the right kinds or a refusal."""

from chargepki.adapters.store.cursors import INTEGER_MAX, encode, parse
from chargepki.errors import Refused

SEEDS = (encode("stations", "CS-17", 12).encode(), encode("stations", "", 0).encode(), encode("audit", 1).encode(), b"W1tbW1tb")


def one_input(data: bytes) -> None:
    text = data.decode("latin-1")
    made = "".join(c for c in text if c.isascii())
    for cursor in (text, made, encode("stations", made[:20], len(data))):
        try:
            keys = parse(cursor, "stations", str, int)
        except Refused:
            continue
        if keys is not None:
            name, number = keys
            assert isinstance(name, str)
            assert isinstance(number, int)
            assert 0 <= number <= INTEGER_MAX


if __name__ == "__main__":
    import sys

    import atheris

    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
