"""Fuzz target: everything that reads an OCSP request from outside. `python -m tests.fuzz.fuzz_ocsp` runs it under atheris."""

import sys
from contextlib import suppress

from chargepki.core.cms import parse_certs_only
from chargepki.core.ocsp import REQUEST_ITEMS_MAX, parse_ocsp_request
from chargepki.errors import Refused
from chargepki.protocols.ocsp.wire import parse_get_path


def one_input(data: bytes) -> None:
    """Whatever arrives is read within its bounds or refused; anything else is a bug."""
    with suppress(Refused):
        request = parse_ocsp_request(data)
        assert 0 < len(request.items) <= REQUEST_ITEMS_MAX
        assert all(item.raw in data for item in request.items)
    with suppress(Refused):
        parse_get_path(data)
    with suppress(Refused):
        parse_certs_only(data)


if __name__ == "__main__":
    import atheris

    with atheris.instrument_imports():
        atheris.Setup(sys.argv, one_input)
        atheris.Fuzz()
