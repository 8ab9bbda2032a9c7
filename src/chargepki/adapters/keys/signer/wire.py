"""What client and signer say to each other: bounded frames, a JSON header, raw octets behind it.

    length    4 octets, of everything behind them
    version   1 octet
    number    4 octets: the request's, repeated by its answer; answers come in any order
    header    2 octets of length, then JSON: one object
    body      the octets to sign, a passphrase, a signature, a PEM, a listing

Integers are big-endian. Each side closes the connection on a frame it cannot read: behind it nothing can be trusted.
"""

import base64
import binascii
import json
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from chargepki.core import canonical_json
from chargepki.core.algorithms import KeySpec, SignatureAlgorithm
from chargepki.core.canonical_json import JsonValue
from chargepki.core.records import KeyRef
from chargepki.errors import (
    Broken,
    ChargePkiError,
    Conflict,
    Finding,
    NotAuthorised,
    NotFound,
    Refused,
    Severity,
    TooMany,
    VaultUnavailable,
)
from chargepki.ports import KeyAttestation, KeyHandle, SigningOrder, SigningPlan, SigningPurpose

VERSION: Final = 1
HEADER_OCTETS_MAX: Final = 0xFFFF  # its length has two octets; an audit entry, the longest decision there is, has 16 KiB
REQUEST_BODY_MAX: Final = 64 * 1024 * 1024  # a CRL of 1.3 million entries
ANSWER_BODY_MAX: Final = 16 * 1024 * 1024  # a listing of 40,000 P-256 keys
TEXT_MAX: Final = 512  # identifiers and labels; the vaults' own limits are lower
SERIAL_DIGITS_MAX: Final = 40  # RFC 5280 4.1.2.2: 20 octets

_PREFIX: Final = struct.Struct(">IBIH")
_LENGTH_OCTETS: Final = 4
_REST_OF_PREFIX: Final = _PREFIX.size - _LENGTH_OCTETS


class FrameBroken(ValueError):
    """The other side does not speak this protocol."""


@dataclass(frozen=True, slots=True)
class Frame:
    number: int
    header: bytes
    body: bytes


def encode_frame(number: int, header: JsonValue, body: bytes = b"") -> bytes:
    """`Refused` when the header is longer than any receiver reads."""
    head = canonical_json.encode(header)
    if len(head) > HEADER_OCTETS_MAX:
        raise Refused.because("signer.request.too_long", f"what accompanies the order has {len(head)} octets, the limit is 65,535")
    return _PREFIX.pack(_REST_OF_PREFIX + len(head) + len(body), VERSION, number, len(head)) + head + body


class FrameReader:
    """Octets in, whole frames out. A frame that announces more than `body_max` is refused before it is received."""

    __slots__ = ("_buffer", "_length_max")

    def __init__(self, body_max: int) -> None:
        self._buffer = bytearray()
        self._length_max = _REST_OF_PREFIX + HEADER_OCTETS_MAX + body_max

    @property
    def is_inside_a_frame(self) -> bool:
        return bool(self._buffer)

    def feed(self, octets: bytes) -> Iterator[Frame]:
        """Raises `FrameBroken`; the reader is of no use afterwards."""
        buffer = self._buffer
        buffer += octets
        while len(buffer) >= _PREFIX.size:
            length, version, number, header_length = _PREFIX.unpack_from(buffer)
            if version != VERSION:
                raise FrameBroken(f"version {version} of the protocol, this is {VERSION}")
            if not _REST_OF_PREFIX + header_length <= length <= self._length_max:
                raise FrameBroken(f"a frame of {length} octets")
            end = _LENGTH_OCTETS + length
            if len(buffer) < end:
                return
            body_at = _PREFIX.size + header_length
            frame = Frame(number, bytes(buffer[_PREFIX.size : body_at]), bytes(buffer[body_at:end]))
            del buffer[:end]
            yield frame


# ----------------------------------------------------------------------------------------------------------------- requests


@dataclass(frozen=True, slots=True)
class Generate:
    spec: KeySpec
    label: str
    is_exportable: bool


@dataclass(frozen=True, slots=True)
class Get:
    ref: KeyRef


@dataclass(frozen=True, slots=True)
class Sign:
    order: SigningOrder


@dataclass(frozen=True, slots=True)
class Export:
    """The passphrase travels as the body: headers may be shown, bodies never are."""

    ref: KeyRef
    passphrase: bytes

    def __repr__(self) -> str:
        return f"Export({self.ref!r})"


@dataclass(frozen=True, slots=True)
class Destroy:
    ref: KeyRef


@dataclass(frozen=True, slots=True)
class ListKeys:
    pass


@dataclass(frozen=True, slots=True)
class Attest:
    ref: KeyRef


Request = Generate | Get | Sign | Export | Destroy | ListKeys | Attest


def encode_request(number: int, request: Request) -> bytes:
    match request:
        case Sign(order):
            return encode_frame(number, _sign_header(order), order.data)
        case Generate(spec, label, is_exportable):
            return encode_frame(number, {"op": "generate", "spec": spec, "label": label, "exportable": is_exportable})
        case Export(ref, passphrase):
            return encode_frame(number, {"op": "export", "key": ref}, passphrase)
        case Get(ref):
            return encode_frame(number, {"op": "get", "key": ref})
        case Destroy(ref):
            return encode_frame(number, {"op": "destroy", "key": ref})
        case Attest(ref):
            return encode_frame(number, {"op": "attest", "key": ref})
        case ListKeys():
            return encode_frame(number, {"op": "list"})


def parse_request(frame: Frame) -> Request:
    """`Refused` for a header that is no request."""
    header = _parse_header(frame.header)
    try:
        return _request(header, frame.body)
    except (KeyError, TypeError, ValueError) as error:
        raise Refused.because("signer.request.malformed", f"not a request: {type(error).__name__} {_cut(str(error))}") from error


def _request(header: Mapping[str, Any], body: bytes) -> Request:
    match header["op"]:
        case "sign":
            return Sign(_order(header, body))
        case "generate":
            return Generate(KeySpec(header["spec"]), _text(header["label"]), _flag(header["exportable"]))
        case "get":
            return Get(_ref(header))
        case "export":
            return Export(_ref(header), body)
        case "destroy":
            return Destroy(_ref(header))
        case "list":
            return ListKeys()
        case "attest":
            return Attest(_ref(header))
        case _:
            raise ValueError("no such operation")


def _sign_header(order: SigningOrder) -> dict[str, JsonValue]:
    header: dict[str, JsonValue] = {
        "op": "sign",
        "key": order.key,
        "algorithm": order.algorithm,
        "purpose": order.purpose,
        "reference": order.reference,
    }
    if (plan := order.plan) is not None:
        header["plan"] = {
            "issuer": plan.issuer,
            "serial": f"{plan.serial:x}",
            "profile": plan.profile,
            "tbs_sha256": plan.tbs_sha256.hex(),
            "decision": plan.decision.decode(),
            "is_ca": plan.is_ca,
        }
    return header


def _order(header: Mapping[str, Any], body: bytes) -> SigningOrder:
    plan = header.get("plan")
    return SigningOrder(
        _ref(header),
        SignatureAlgorithm(header["algorithm"]),
        body,
        SigningPurpose(header["purpose"]),
        _text(header["reference"]),
        None if plan is None else _plan(plan),
    )


def _plan(plan: Mapping[str, Any]) -> SigningPlan:
    serial = _text(plan["serial"], SERIAL_DIGITS_MAX)
    return SigningPlan(
        _text(plan["issuer"]),
        int(serial, 16),
        _text(plan["profile"]),
        bytes.fromhex(_text(plan["tbs_sha256"])),
        _text(plan["decision"], HEADER_OCTETS_MAX).encode(),
        _flag(plan["is_ca"]),
    )


# ------------------------------------------------------------------------------------------------------------------ answers


def encode_handle(handle: KeyHandle) -> dict[str, JsonValue]:
    return {
        "ref": handle.ref,
        "spec": handle.spec,
        "spki": base64.b64encode(handle.spki).decode(),
        "label": handle.label,
        "exportable": handle.is_exportable,
    }


def parse_handle(value: Mapping[str, Any]) -> KeyHandle:
    """`VaultUnavailable` when it is none."""
    try:
        spki = base64.b64decode(value["spki"], validate=True)
        return KeyHandle(KeyRef(_text(value["ref"])), KeySpec(value["spec"]), spki, _text(value["label"]), _flag(value["exportable"]))
    except (KeyError, TypeError, ValueError, binascii.Error) as error:
        raise _not_understood() from error


def encode_handles(handles: tuple[KeyHandle, ...]) -> bytes:
    body = canonical_json.encode([encode_handle(handle) for handle in handles])
    if len(body) > ANSWER_BODY_MAX:
        raise Broken("the vault has more keys than one listing holds", hint="destroy what is no longer used")
    return body


def parse_handles(body: bytes) -> tuple[KeyHandle, ...]:
    try:
        return tuple(map(parse_handle, json.loads(body)))
    except (TypeError, ValueError, RecursionError) as error:
        raise _not_understood() from error


def encode_attestation(attestation: KeyAttestation | None) -> tuple[dict[str, JsonValue], bytes]:
    """Header and body."""
    if attestation is None:
        return {"ok": True, "kind": ""}, b""
    return {"ok": True, "kind": attestation.kind, "hardware": attestation.is_hardware}, attestation.statement


def parse_attestation(header: Mapping[str, Any], body: bytes) -> KeyAttestation | None:
    kind = header.get("kind", "")
    return KeyAttestation(kind, body, header.get("hardware") is True) if kind else None


def encode_error(error: ChargePkiError) -> dict[str, JsonValue]:
    if isinstance(error, Refused):
        findings: list[JsonValue] = [
            {
                "code": f.code,
                "message": f.message[:TEXT_MAX],
                "severity": f.severity,
                "path": f.path[:TEXT_MAX],
                "clause": f.clause,
                "hint": f.hint[:TEXT_MAX],
            }
            for f in error.findings[:FINDINGS_MAX]
        ]
        retry_after = error.retry_after if isinstance(error, TooMany) else 0
        return {"ok": False, "error": _family(error), "findings": findings, "retry_after": retry_after}
    hint = error.hint if isinstance(error, Broken) else ""
    return {"ok": False, "error": "broken", "message": str(error)[:TEXT_MAX], "hint": hint[:TEXT_MAX]}


FINDINGS_MAX: Final = 32
_FAMILIES: Final[dict[str, type[Refused]]] = {
    "not_found": NotFound,
    "conflict": Conflict,
    "not_authorised": NotAuthorised,
    "refused": Refused,
}


def parse_answer(frame: Frame) -> Mapping[str, Any]:
    """The header of a success; raises what the signer raised. `VaultUnavailable` for an answer that is none."""
    try:
        header = _parse_header(frame.header)
        if header["ok"] is True:
            return header
        raise _error(header)
    except (KeyError, TypeError, ValueError) as error:
        raise _not_understood() from error


def _error(header: Mapping[str, Any]) -> ChargePkiError:
    if header["error"] == "broken":
        return VaultUnavailable(str(header["message"]), hint=str(header["hint"]))
    findings = tuple(
        Finding(f["code"], f["message"], Severity(f["severity"]), f["path"], f["clause"], f["hint"]) for f in header["findings"]
    )
    if header["error"] == "too_many":
        return TooMany(*findings, retry_after=int(header["retry_after"]))
    return _FAMILIES[header["error"]](*findings)


def _family(error: Refused) -> str:
    if isinstance(error, TooMany):
        return "too_many"
    return next(name for name, kind in _FAMILIES.items() if isinstance(error, kind))


def _parse_header(octets: bytes) -> Mapping[str, Any]:
    try:
        header = json.loads(octets.decode())
    except (ValueError, RecursionError) as error:
        raise Refused.because("signer.request.malformed", "the header is no JSON") from error
    if not isinstance(header, dict):
        raise Refused.because("signer.request.malformed", "the header is no JSON object")
    return header


def _ref(header: Mapping[str, Any]) -> KeyRef:
    ref = header["key"]
    if not isinstance(ref, str):
        raise TypeError("a key's reference is a text")
    return KeyRef(_text(ref[:TEXT_MAX]))  # what is longer names no key either, and the vault says so


def _text(value: object, limit: int = TEXT_MAX) -> str:
    if not isinstance(value, str):
        raise TypeError("a text belongs here")
    if len(value) > limit:
        raise ValueError(f"a text of {len(value)} characters")
    value.encode()  # JSON can spell half a character, which nothing behind this line can write down
    return value


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError("true or false belongs here")
    return value


def _cut(text: str) -> str:
    return text[:100]


def _not_understood() -> VaultUnavailable:
    return VaultUnavailable("the signer's answer cannot be read", hint="run the same version of chargepki on both sides")
