"""Names of stations and hosts: what is accepted is its own canonical form."""

from collections.abc import Callable

from chargepki.core.identifiers.station import parse_host, parse_serial_number, parse_station_id
from chargepki.errors import Refused

_PARSERS: tuple[Callable[[str], str], ...] = (parse_station_id, parse_serial_number, parse_host)


def one_input(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    for parse in _PARSERS:
        try:
            accepted = parse(text)
        except Refused:
            continue
        assert parse(accepted) == accepted


if __name__ == "__main__":
    import sys

    import atheris

    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
