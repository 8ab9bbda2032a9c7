"""Frames from a stranger: `python -m tests.fuzz.fuzz_ocpp [corpus]`. Anything but a refusal or a well-formed answer is a bug."""

import sys

from chargepki.core.bundle import OcppVersion
from chargepki.protocols.ocpp.schemas import check_request
from chargepki.protocols.ocpp.versions.registry import DIALECTS
from chargepki.protocols.ocpp.wire import Call, FrameRefused, encode, parse_frame, refusal_of


def one_input(data: bytes) -> None:
    text = data.decode(errors="surrogateescape")
    for version in OcppVersion:
        try:
            _read(text, version)
        except FrameRefused as refused:
            parse_frame(encode(refusal_of(refused), version), version)


def _read(text: str, version: OcppVersion) -> None:
    frame = parse_frame(text, version)
    encode(frame, version).encode()
    if isinstance(frame, Call):
        check_request(version, frame.action, frame.payload, message_id=frame.id)
        DIALECTS[version].parse_request(frame.action, frame.payload, message_id=frame.id)


if __name__ == "__main__":
    import atheris

    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
