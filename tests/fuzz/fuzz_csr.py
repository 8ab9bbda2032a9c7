"""Both CSR readers: what the strict one accepts, the tolerant one accepts without a finding."""

from chargepki.core.csr import CertificateRequest, parse_csr
from chargepki.errors import Refused


def one_input(data: bytes) -> None:
    strict = _parse(data, tolerant=False)
    tolerant = _parse(data, tolerant=True)
    if strict is not None:
        assert tolerant is not None
        assert tolerant.spki == strict.spki
        assert not tolerant.findings


def _parse(data: bytes, *, tolerant: bool) -> CertificateRequest | None:
    try:
        return parse_csr(data, tolerant=tolerant)
    except Refused:
        return None


if __name__ == "__main__":
    import sys

    import atheris

    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
