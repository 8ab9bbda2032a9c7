"""The PEM reader: what it accepts, it accepts again after writing it."""

from chargepki.core.pem import encode_pem, parse_any, parse_pem
from chargepki.errors import Refused


def one_input(data: bytes) -> None:
    try:
        blobs = parse_any(data, octets_max=64 * 1024)
    except Refused:
        return
    for blob in blobs:
        label = blob.label or "CERTIFICATE"
        assert [block.der for block in parse_pem(encode_pem(label, blob.der).encode(), octets_max=256 * 1024)] == [blob.der]


if __name__ == "__main__":
    import sys

    import atheris

    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
