"""Payloads against the official JSON schemas, which PyPI `ocpp` carries, in the version of the connection."""

from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from typing import Any, Final

from ocpp.messages import get_validator

from chargepki.core.bundle import OcppVersion
from chargepki.protocols.ocpp.wire import FrameRefused, JsonObject, RpcError

VIOLATIONS_MAX: Final = 5  # named in one answer; the description has 255 characters

_CALL: Final = 2
_CALL_RESULT: Final = 3

# The schema keyword that failed tells which kind of violation it is (OCPP 2.1 part 4, table 9).
_ERROR_OF_KEYWORD: Final[dict[str, RpcError]] = {
    "type": RpcError.TYPE_CONSTRAINT_VIOLATION,
    "required": RpcError.OCCURRENCE_CONSTRAINT_VIOLATION,
    "minItems": RpcError.OCCURRENCE_CONSTRAINT_VIOLATION,
    "maxItems": RpcError.OCCURRENCE_CONSTRAINT_VIOLATION,
    "additionalProperties": RpcError.FORMAT_VIOLATION,
}


def is_known_action(version: OcppVersion, action: str) -> bool:
    """True when `version` defines a request of that name."""
    return action in _known_actions(version)


def check_request(version: OcppVersion, action: str, payload: JsonObject, *, message_id: str) -> None:
    """Raises `FrameRefused` with the code of the first violation and the names of up to `VIOLATIONS_MAX`."""
    if not is_known_action(version, action):
        raise FrameRefused(RpcError.NOT_IMPLEMENTED, f"OCPP {version} has no such action", message_id=message_id)
    _check(get_validator(_CALL, action, version.value), version, payload, message_id)


def check_response(version: OcppVersion, action: str, payload: JsonObject, *, message_id: str) -> None:
    """The same for the answer to `action`."""
    _check(get_validator(_CALL_RESULT, action, version.value), version, payload, message_id)


def _check(validator: Any, version: OcppVersion, payload: JsonObject, message_id: str) -> None:
    errors = sorted(validator.iter_errors(payload), key=lambda error: [str(step) for step in error.absolute_path])
    if not errors:
        return
    keyword = errors[0].validator
    code = _ERROR_OF_KEYWORD.get(keyword, RpcError.PROPERTY_CONSTRAINT_VIOLATION)
    if keyword == "required" and version is OcppVersion.V16:
        code = RpcError.PROTOCOL  # OCPP-J 1.6 table 7: "incomplete" is a ProtocolError there
    raise FrameRefused(code, "; ".join(_describe(error) for error in errors[:VIOLATIONS_MAX]), message_id=message_id)


def _describe(error: Any) -> str:
    """Which field breaks which rule; never the value, which may be secret or endless."""
    path = ".".join(str(step) for step in error.absolute_path) or "payload"
    match error.validator:
        case "required":
            return f"{path}: {_first_missing(error.validator_value, error.instance)} is missing"
        case "maxLength" | "minLength" | "maxItems" | "minItems" | "maximum" | "minimum" | "type":
            return f"{path}: {error.validator} {error.validator_value}"
        case keyword:
            return f"{path}: {keyword}"


def _first_missing(names: Iterable[str], instance: Any) -> str:
    return next((name for name in names if name not in instance), "a field")


@cache
def _known_actions(version: OcppVersion) -> frozenset[str]:
    folder = files("ocpp") / f"v{version.value.replace('.', '')}" / "schemas"
    names = {entry.name.removesuffix(".json") for entry in folder.iterdir() if entry.name.endswith(".json")}
    if version is OcppVersion.V16:
        return frozenset(name for name in names if not name.endswith("Response"))
    return frozenset(name.removesuffix("Request") for name in names if name.endswith("Request"))
