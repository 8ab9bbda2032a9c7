"""The reader of certs-only messages."""

from chargepki.core.cms import parse_certs_only
from chargepki.errors import Refused


def one_input(data: bytes) -> None:
    try:
        parse_certs_only(data)
    except Refused:
        return


if __name__ == "__main__":
    import sys

    import atheris

    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
