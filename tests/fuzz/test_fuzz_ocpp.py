"""The fuzz target holds for what hypothesis can think of in a moment."""

import json

from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.fuzz_ocpp import one_input

ACTIONS = ["BootNotification", "Heartbeat", "StatusNotification", "SecurityEventNotification", "SignCertificate", "DataTransfer"]
FIELDS = [
    "csr",
    "certificateType",
    "requestId",
    "type",
    "timestamp",
    "techInfo",
    "reason",
    "chargingStation",
    "model",
    "vendorName",
    "status",
]
LEAVES = st.none() | st.booleans() | st.integers() | st.text(max_size=12) | st.just("2026-11-22T12:00:00Z")
PAYLOADS = st.dictionaries(st.sampled_from(FIELDS), LEAVES | st.dictionaries(st.sampled_from(FIELDS), LEAVES))


@given(st.binary(max_size=200))
def test_octets(data: bytes) -> None:
    one_input(data)


@given(st.integers(0, 8), st.text(max_size=40), st.sampled_from(ACTIONS), PAYLOADS)
def test_calls(kind: int, id: str, action: str, payload: dict[str, object]) -> None:
    one_input(json.dumps([kind, id, action, payload]).encode())
