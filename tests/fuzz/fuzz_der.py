"""The DER reader, walked as deep as the octets go."""

from chargepki.core import der
from chargepki.core.der import Element
from chargepki.errors import Refused

_CONSTRUCTED = 0x20
_DEPTH_MAX = 32


def one_input(data: bytes) -> None:
    try:
        _walk(der.parse_element(data), 0)
    except Refused:
        return


def _walk(element: Element, depth: int) -> None:
    if element.tag == der.OID:
        element.as_oid()
    if element.tag == der.INTEGER:
        element.as_integer()
    if element.tag & _CONSTRUCTED and depth < _DEPTH_MAX:
        for child in element.children():
            _walk(child, depth + 1)


if __name__ == "__main__":
    import sys

    import atheris

    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
