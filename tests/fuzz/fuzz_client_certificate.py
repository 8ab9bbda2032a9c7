"""What admission reads of a client certificate before it knows whose it is."""

from chargepki.core.names import read_name
from chargepki.errors import Refused
from chargepki.services.admission import _describe, _parse


def one_input(data: bytes) -> None:
    assert _describe(data).isprintable()
    try:
        parsed = _parse(data)
        issuer, serial = parsed.issuer.public_bytes(), parsed.serial_number
        str(read_name(parsed.subject))
    except Refused:
        return
    assert isinstance(issuer, bytes)
    assert isinstance(serial, int)


if __name__ == "__main__":
    import sys

    import atheris

    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
