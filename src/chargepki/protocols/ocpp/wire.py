"""OCPP-J framing (OCPP 2.1 part 4, chapter 4; OCPP-J 1.6, chapter 4): text to frames and back, pure and bounded.

    text ──parse_frame──► Call | CallResult | CallError | CallResultError | Send
    frame ──encode──────► text

Payloads are JSON objects here; `schemas.py` checks them, `versions/` gives them meaning.
"""

import json
import math
import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from chargepki.core.bundle import OcppVersion
from chargepki.errors import Refused

FRAME_OCTETS_MAX: Final = 256 * 1024  # the largest certificate message is 18,000 characters; device-model reports are larger
DEPTH_MAX: Final = 16  # the deepest message of OCPP 2.1 nests to 11
VALUES_MAX: Final = 50_000  # elements of one frame; a full device-model report stays below
MESSAGE_ID_CHARS_MAX: Final = 36  # OCPP 2.1 part 4, table 4
DESCRIPTION_CHARS_MAX: Final = 255  # OCPP 2.1 part 4, table 7
UNREADABLE_ID: Final = "-1"  # OCPP 2.1 part 4, 4.2.3

JsonObject = dict[str, Any]

_ACTION: Final = re.compile(r"[A-Za-z][A-Za-z0-9]{0,49}")


def subprotocol(version: OcppVersion) -> str:
    """The web socket sub-protocol name (OCPP 2.1 part 4, table 1)."""
    return f"ocpp{version.value}"


class RpcError(StrEnum):
    """Why a message is refused, in the words of OCPP 2.1 part 4, table 9. `spell` gives the word of a connection's version."""

    FORMAT_VIOLATION = "FormatViolation"
    GENERIC = "GenericError"
    INTERNAL = "InternalError"
    MESSAGE_TYPE_NOT_SUPPORTED = "MessageTypeNotSupported"
    NOT_IMPLEMENTED = "NotImplemented"
    NOT_SUPPORTED = "NotSupported"
    OCCURRENCE_CONSTRAINT_VIOLATION = "OccurrenceConstraintViolation"
    PROPERTY_CONSTRAINT_VIOLATION = "PropertyConstraintViolation"
    PROTOCOL = "ProtocolError"
    RPC_FRAMEWORK = "RpcFrameworkError"
    SECURITY = "SecurityError"
    TYPE_CONSTRAINT_VIOLATION = "TypeConstraintViolation"


# OCPP-J 1.6 4.2.3, table 7: other names, one of them misspelt in the standard itself, and none for two of the later codes.
_SPELT_16: Final[dict[RpcError, str]] = {
    RpcError.FORMAT_VIOLATION: "FormationViolation",
    RpcError.OCCURRENCE_CONSTRAINT_VIOLATION: "OccurenceConstraintViolation",
    RpcError.RPC_FRAMEWORK: "ProtocolError",
    RpcError.MESSAGE_TYPE_NOT_SUPPORTED: "GenericError",
}


def spell(error: RpcError, version: OcppVersion) -> str:
    """The error code as `version` writes it."""
    return _SPELT_16.get(error, error.value) if version is OcppVersion.V16 else error.value


class FrameRefused(Refused):
    """A frame or payload that is answered with CALLERROR: which code, and to which message id."""

    def __init__(self, error: RpcError, description: str, *, message_id: str = UNREADABLE_ID) -> None:
        cut = description[:DESCRIPTION_CHARS_MAX]
        super().__init__(*Refused.because(f"ocpp.rpc.{error.value}", cut, clause="OCPP 2.1 part 4, 4.3").findings)
        self.error = error
        self.description = cut
        self.message_id = message_id


@dataclass(frozen=True, slots=True)
class Call:
    id: str
    action: str
    payload: JsonObject


@dataclass(frozen=True, slots=True)
class CallResult:
    id: str
    payload: JsonObject


@dataclass(frozen=True, slots=True)
class CallError:
    id: str
    code: str
    description: str = ""
    details: JsonObject = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CallResultError:
    """OCPP 2.1: our answer could not be processed."""

    id: str
    code: str
    description: str = ""
    details: JsonObject = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Send:
    """OCPP 2.1: a message that wants no answer."""

    id: str
    action: str
    payload: JsonObject


Frame = Call | CallResult | CallError | CallResultError | Send


def parse_frame(text: str, version: OcppVersion) -> Frame:
    """The frame in `text`. Raises `FrameRefused`, and nothing else, for whatever is not one."""
    elements = _parse_elements(text)
    message_id = _parse_message_id(elements)
    match elements:
        case [2, _, str() as action, dict() as payload] if _ACTION.fullmatch(action):
            return Call(message_id, action, payload)
        case [3, _, dict() as payload]:
            return CallResult(message_id, payload)
        case [4, _, str() as code, str() as description, dict() as details]:
            return CallError(message_id, code[:50], description[:DESCRIPTION_CHARS_MAX], details)
        case [5, _, str() as code, str() as description, dict() as details] if version is OcppVersion.V21:
            return CallResultError(message_id, code[:50], description[:DESCRIPTION_CHARS_MAX], details)
        case [6, _, str() as action, dict() as payload] if version is OcppVersion.V21 and _ACTION.fullmatch(action):
            return Send(message_id, action, payload)
        case [bool(), *_] | [2 | 3 | 4, *_]:
            raise FrameRefused(RpcError.RPC_FRAMEWORK, "the elements do not fit the message type", message_id=message_id)
        case [int(), *_]:
            raise FrameRefused(RpcError.MESSAGE_TYPE_NOT_SUPPORTED, "unknown message type number", message_id=message_id)
    raise FrameRefused(RpcError.RPC_FRAMEWORK, "the first element is not a message type number", message_id=message_id)


def encode(frame: Frame, version: OcppVersion = OcppVersion.V21) -> str:
    """One line of compact JSON. `version` spells the error code, when it is one of `RpcError`."""
    match frame:
        case Call(id, action, payload):
            return _dump([2, id, action, payload])
        case CallResult(id, payload):
            return _dump([3, id, payload])
        case CallError(id, code, description, details):
            return _dump([4, id, _spell_any(code, version), description, details])
        case CallResultError(id, code, description, details):
            return _dump([5, id, _spell_any(code, version), description, details])
        case Send(id, action, payload):
            return _dump([6, id, action, payload])


def refusal_of(refused: FrameRefused) -> CallError:
    """The CALLERROR that answers a refused frame."""
    return CallError(refused.message_id, refused.error.value, refused.description)


def _spell_any(code: str, version: OcppVersion) -> str:
    try:
        return spell(RpcError(code), version)
    except ValueError:
        return code


def _dump(elements: list[Any]) -> str:
    return json.dumps(elements, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _parse_elements(text: str) -> list[Any]:
    if len(text) > FRAME_OCTETS_MAX:
        raise FrameRefused(RpcError.RPC_FRAMEWORK, f"the frame is longer than {FRAME_OCTETS_MAX} octets")
    try:
        elements = json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_unique_object)
    except (ValueError, RecursionError):  # RecursionError: nested far beyond DEPTH_MAX
        raise FrameRefused(RpcError.RPC_FRAMEWORK, "the frame is not valid JSON") from None
    if not isinstance(elements, list) or not elements:
        raise FrameRefused(RpcError.RPC_FRAMEWORK, "the frame is not a JSON array")
    _check_values(elements)
    return elements


def _parse_message_id(elements: list[Any]) -> str:
    message_id = elements[1] if len(elements) > 1 else None
    if not isinstance(message_id, str) or not 0 < len(message_id) <= MESSAGE_ID_CHARS_MAX:
        raise FrameRefused(RpcError.RPC_FRAMEWORK, f"the message id is not a string of 1 to {MESSAGE_ID_CHARS_MAX} characters")
    return message_id


def _refuse_constant(name: str) -> float:
    raise ValueError(name)  # NaN and Infinity are not JSON (RFC 8259 6)


def _unique_object(pairs: list[tuple[str, Any]]) -> JsonObject:
    made = dict(pairs)
    if len(made) != len(pairs):  # RFC 8259 4: two readers would see two different messages
        raise ValueError("a name appears twice")
    return made


def _check_values(root: list[Any]) -> None:
    """Refuses what JSON allows and a store or a peer would choke on: depth, sheer count, infinite numbers, NUL, lone surrogates."""
    pending: list[tuple[Any, int]] = [(root, 1)]
    seen = 0
    while pending:
        value, depth = pending.pop()
        seen += 1
        if depth > DEPTH_MAX or seen > VALUES_MAX:
            raise FrameRefused(RpcError.RPC_FRAMEWORK, "the frame is nested too deep or has too many elements")
        if isinstance(value, dict):
            pending.extend((name, depth + 1) for name in value)
            pending.extend((child, depth + 1) for child in value.values())
        elif isinstance(value, list):
            pending.extend((child, depth + 1) for child in value)
        elif isinstance(value, str):
            _check_text(value)
        elif isinstance(value, float) and not math.isfinite(value):
            raise FrameRefused(RpcError.RPC_FRAMEWORK, "a number is out of range")


def _check_text(text: str) -> None:
    if "\x00" in text or (not text.isascii() and any("\ud800" <= char <= "\udfff" for char in text)):
        raise FrameRefused(RpcError.RPC_FRAMEWORK, "a string holds a NUL or half a surrogate pair")
