"""What a stranger can say before the upgrade of the OCPP port: the path and the credentials."""

from chargepki.core.identifiers.station import parse_station_id
from chargepki.errors import Refused
from chargepki.protocols.ocpp.server import PATH_PREFIX, _parse_basic, _parse_path

SEEDS = (b"CS-17\nQ1MtMTc6c2VjcmV0", b"/ocpp/CS%2D17\nBasic Q1MtMTc6gP8=", b"CS-17\nQ1MtMTc=", b"%C3%A4\nOnB3")
STATION = parse_station_id("CS-17")


def one_input(data: bytes) -> None:
    path, _, credentials = data.partition(b"\n")
    for raw in (path, PATH_PREFIX + path):
        try:
            _parse_path({"raw_path": raw, "path": raw.decode("latin-1")})
        except Refused:
            continue
    for header in (credentials, b"Basic " + credentials, data):
        try:
            given = _parse_basic({"headers": [(b"authorization", header)]}, STATION)
        except Refused:
            continue
        given.password.encode()  # what is hashed next


if __name__ == "__main__":
    import sys

    import atheris

    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
