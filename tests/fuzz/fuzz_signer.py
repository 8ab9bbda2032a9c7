"""What the signer reads: frames, requests, the octets to sign, its policy files, its list. Refused or understood, nothing else."""

from chargepki.adapters.keys.signer import wire
from chargepki.adapters.keys.signer.claims import (
    parse_certificate,
    parse_checkpoint,
    parse_crl,
    parse_request_info,
    parse_response_data,
)
from chargepki.adapters.keys.signer.journal import parse_line
from chargepki.adapters.keys.signer.policy import default_policy, parse_registration, parse_signer_file
from chargepki.core.algorithms import KeySpec, SignatureAlgorithm
from chargepki.core.names import Name
from chargepki.core.records import KeyRef
from chargepki.core.request import assemble_request_info
from chargepki.errors import ChargePkiError, Refused
from chargepki.ports import SigningOrder, SigningPlan, SigningPurpose

_ALGORITHM = SignatureAlgorithm.ED25519
_SPKI = bytes.fromhex("302a300506032b6570032100") + b"\x11" * 32  # RFC 8410 4
_PLAN = SigningPlan("operator-sub", 77, "ocpp/station", b"\x11" * 32, b'{"actor":"a","permission":"a:b:c","result":"allow"}')
_ORDER = SigningOrder(KeyRef("key_1"), _ALGORITHM, b"data", SigningPurpose.CERTIFICATE, "int_1", _PLAN)
_REQUESTS = (
    wire.Sign(_ORDER),
    wire.Generate(KeySpec.P256, "authority operator-sub", False),
    wire.Export(KeyRef("key_1"), b"secret"),
    wire.ListKeys(),
)

SEEDS = (
    assemble_request_info(Name.of(("O", "demo-cpo"), ("CN", "Test CA")), _SPKI),
    *(wire.encode_request(number, request) for number, request in enumerate(_REQUESTS)),
    wire.encode_frame(1, wire.encode_error(Refused.because("signer.rate", "too often"))),
    b"example.org/log\n42\nEREREREREREREREREREREREREREREREREREREREREREREQ=\n",
    b"cosignature/v1\ntime 1700000000\nexample.org/log\n42\nEREREREREREREREREREREREREREREREREREREREREREREQ=\n",
    b"subtree/v1\n\0\x01w" + bytes(8) + b"\x01o" + bytes(8) + (42).to_bytes(8, "big") + b"\x11" * 32,
    b'{"n":1,"outcome":"signed","prev":"' + b"0" * 64 + b'"}\n',
    b'[server]\nusers = ["chargepki"]\n[keys."*"]\npurposes = ["crl"]\nrates = { ca = { per_minute = 1, per_hour = 2 } }\n',
    b'{"issuer":"","may_sign_ca":false,"profile":"","profiles":["ocpp/station"],"purposes":["ocsp"],"rates":{"ocsp":'
    b'{"per_hour":1,"per_minute":1}},"subject":"x","v":1}',
)


def one_input(data: bytes) -> None:
    _read_frames(data)
    for read in (
        lambda: parse_certificate(data, _ALGORITHM),
        lambda: parse_crl(data, _ALGORITHM),
        lambda: parse_response_data(data),
        lambda: parse_checkpoint(data),
        lambda: parse_request_info(data, _ALGORITHM),
        lambda: parse_signer_file(data),
        lambda: parse_registration(data),
        lambda: default_policy(data.decode(errors="replace"), is_exportable=False),
    ):
        try:
            read()
        except Refused:
            continue
    try:
        parse_line(data, None)
    except ValueError:
        return


def _read_frames(data: bytes) -> None:
    """However the octets arrive, the same frames come out."""
    try:
        frames = list(wire.FrameReader(1 << 16).feed(data))
    except wire.FrameBroken:
        return
    reader = wire.FrameReader(1 << 16)
    assert [frame for octet in data for frame in reader.feed(bytes((octet,)))] == frames
    for frame in frames:
        try:
            request = wire.parse_request(frame)
            assert next(iter(wire.FrameReader(1 << 16).feed(wire.encode_request(1, request))))
        except Refused:
            pass
        try:
            wire.parse_answer(frame)
        except ChargePkiError:
            continue


if __name__ == "__main__":
    import sys

    import atheris

    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
