"""Frames: what is one, what is not, and that nothing else can happen."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargepki.core.bundle import OcppVersion
from chargepki.protocols.ocpp.wire import (
    DEPTH_MAX,
    FRAME_OCTETS_MAX,
    VALUES_MAX,
    Call,
    CallError,
    CallResult,
    CallResultError,
    Frame,
    FrameRefused,
    RpcError,
    Send,
    encode,
    parse_frame,
    refusal_of,
    spell,
)

FRAMES: list[Frame] = [
    Call("19223201", "BootNotification", {"reason": "PowerUp"}),
    CallResult("19223201", {"status": "Accepted"}),
    CallError("162376037", "NotSupported", "no", {}),
    CallResultError("1", "FormatViolation", "", {"why": "ä"}),
    Send("1", "NotifyPeriodicEventStream", {"id": 1}),
]


def refusal(text: str, version: OcppVersion = OcppVersion.V21) -> FrameRefused:
    with pytest.raises(FrameRefused) as refused:
        parse_frame(text, version)
    return refused.value


@pytest.mark.parametrize("frame", FRAMES, ids=lambda frame: type(frame).__name__)
@pytest.mark.clause("OCPP 2.1 part 4, 4.2")
def test_what_is_encoded_is_read_back(frame: Frame) -> None:
    assert parse_frame(encode(frame), OcppVersion.V21) == frame


@pytest.mark.parametrize("frame", FRAMES[3:], ids=lambda frame: type(frame).__name__)
@pytest.mark.parametrize("version", [OcppVersion.V16, OcppVersion.V201])
def test_the_message_types_of_2_1_do_not_exist_before(frame: Frame, version: OcppVersion) -> None:
    assert refusal(encode(frame), version).error is RpcError.MESSAGE_TYPE_NOT_SUPPORTED


@pytest.mark.parametrize(
    ("text", "message_id"),
    [
        ("", "-1"),
        ("{}", "-1"),
        ("[]", "-1"),
        ("[2", "-1"),
        ("[2]", "-1"),
        ('[2,7,"Heartbeat",{}]', "-1"),
        (f'[2,"{"x" * 37}","Heartbeat",{{}}]', "-1"),
        ('[2,"","Heartbeat",{}]', "-1"),
        ('[2,"a","Heartbeat"]', "a"),
        ('[2,"a","Heartbeat",[]]', "a"),
        ('[2,"a","Heart beat",{}]', "a"),
        ('[2,"a","../../etc/passwd",{}]', "a"),
        (f'[2,"a","{"x" * 51}",{{}}]', "a"),
        ('[2,"a","Heartbeat",{},1]', "a"),
        ('[true,"a","Heartbeat",{}]', "a"),
        ('["2","a","Heartbeat",{}]', "a"),
        ('[2.0,"a"]', "a"),
        ('[2,"a","Heartbeat",{"a":1,"a":2}]', "-1"),
        ('[2,"a","Heartbeat",{"a":NaN}]', "-1"),
        ('[2,"a","Heartbeat",{"a":1e999}]', "-1"),
        ('[2,"a","Heartbeat",{"a":"\\u0000"}]', "-1"),
        ('[2,"a","Heartbeat",{"a":"\\ud800"}]', "-1"),
        ('[2,"a","Heartbeat",{"\\udfff":1}]', "-1"),
        (f'[2,"a","Heartbeat",{{"a":{"9" * 5000}}}]', "-1"),
    ],
)
@pytest.mark.clause("OCPP 2.1 part 4, 4.2.3")
def test_what_is_no_frame_is_refused_under_the_message_id_that_could_be_read(text: str, message_id: str) -> None:
    refused = refusal(text)
    assert (refused.error, refused.message_id) == (RpcError.RPC_FRAMEWORK, message_id)
    assert refused.findings[0].clause


def test_an_unknown_message_type_is_named_as_such() -> None:
    assert refusal('[9,"a",{}]').error is RpcError.MESSAGE_TYPE_NOT_SUPPORTED


@pytest.mark.parametrize(
    "payload",
    [
        "[" * 200_000,
        '{"a":' * (DEPTH_MAX + 1) + "1" + "}" * (DEPTH_MAX + 1),
        '{"a":[' + ",".join("1" for _ in range(VALUES_MAX + 1)) + "]}",
        '{"a":"' + "x" * FRAME_OCTETS_MAX + '"}',
    ],
    ids=["unclosed", "deep", "many", "long"],
)
def test_bounds_hold(payload: str) -> None:
    assert refusal(f'[2,"a","Heartbeat",{payload}]').error is RpcError.RPC_FRAMEWORK


@pytest.mark.clause("OCPP-J 1.6 4.2.3", "OCPP 2.1 part 4, 4.3")
def test_each_version_spells_its_own_error_codes() -> None:
    assert spell(RpcError.FORMAT_VIOLATION, OcppVersion.V16) == "FormationViolation"
    assert spell(RpcError.FORMAT_VIOLATION, OcppVersion.V201) == "FormatViolation"
    assert spell(RpcError.OCCURRENCE_CONSTRAINT_VIOLATION, OcppVersion.V16) == "OccurenceConstraintViolation"
    assert spell(RpcError.OCCURRENCE_CONSTRAINT_VIOLATION, OcppVersion.V21) == "OccurrenceConstraintViolation"
    known_16 = {"NotImplemented", "NotSupported", "InternalError", "ProtocolError", "SecurityError", "FormationViolation"}
    known_16 |= {"PropertyConstraintViolation", "OccurenceConstraintViolation", "TypeConstraintViolation", "GenericError"}
    assert {spell(error, OcppVersion.V16) for error in RpcError} <= known_16


def test_the_answer_to_a_refused_frame_is_a_call_error() -> None:
    answer = encode(refusal_of(refusal('[2,"a","Heartbeat",[]]', OcppVersion.V16)), OcppVersion.V16)
    assert json.loads(answer)[:3] == [4, "a", "ProtocolError"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


@given(st.one_of(st.text(), JSON.map(json.dumps), st.lists(JSON, max_size=6).map(json.dumps)), st.sampled_from(OcppVersion))
def test_parsing_gives_a_frame_or_a_refusal(text: str, version: OcppVersion) -> None:
    try:
        frame = parse_frame(text, version)
    except FrameRefused as refused:
        parse_frame(encode(refusal_of(refused), version), version)
    else:
        encode(frame, version).encode()
