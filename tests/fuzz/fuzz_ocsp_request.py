"""The OCSP responder's reader of requests."""

from chargepki.core.ocsp import parse_ocsp_request
from chargepki.errors import Refused


def one_input(data: bytes) -> None:
    try:
        parse_ocsp_request(data)
    except Refused:
        return


if __name__ == "__main__":
    import sys

    import atheris

    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
