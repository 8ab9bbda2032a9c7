"""The official schemas decide, each version says it in its words."""

from collections.abc import Callable
from typing import Any

import pytest

from chargepki.core.bundle import OcppVersion
from chargepki.protocols.ocpp.schemas import check_request, check_response, is_known_action
from chargepki.protocols.ocpp.wire import FrameRefused, RpcError

V16, V201, V21 = OcppVersion.V16, OcppVersion.V201, OcppVersion.V21


def refusal(check: Callable[..., None], *args: Any) -> FrameRefused:
    with pytest.raises(FrameRefused) as refused:
        check(*args, message_id="m1")
    assert refused.value.message_id == "m1"
    return refused.value


@pytest.mark.parametrize(
    ("version", "action", "payload", "error"),
    [
        (V16, "SignCertificate", {}, RpcError.PROTOCOL),
        (V201, "SignCertificate", {}, RpcError.OCCURRENCE_CONSTRAINT_VIOLATION),
        (V201, "SignCertificate", {"csr": 7}, RpcError.TYPE_CONSTRAINT_VIOLATION),
        (V201, "SignCertificate", {"csr": "x" * 5501}, RpcError.PROPERTY_CONSTRAINT_VIOLATION),
        (V201, "SignCertificate", {"csr": "x", "certificateType": "V2G20Certificate"}, RpcError.PROPERTY_CONSTRAINT_VIOLATION),
        (V201, "SignCertificate", {"csr": "x", "requestId": 1}, RpcError.FORMAT_VIOLATION),
        (V16, "SignCertificate", {"csr": "x", "certificateType": "V2GCertificate"}, RpcError.FORMAT_VIOLATION),
        (V21, "Nonsense", {}, RpcError.NOT_IMPLEMENTED),
        (V16, "TransactionEvent", {}, RpcError.NOT_IMPLEMENTED),
    ],
)
@pytest.mark.clause("OCPP 2.1 part 4, 4.3")
def test_a_payload_that_breaks_the_schema_gets_the_code_for_it(
    version: OcppVersion, action: str, payload: dict[str, Any], error: RpcError
) -> None:
    assert refusal(check_request, version, action, payload).error is error


def test_a_refusal_names_the_field_and_never_the_value() -> None:
    refused = refusal(check_request, V201, "SignCertificate", {"csr": "secret" * 1000})
    assert refused.description == "csr: maxLength 5500"


def test_answers_are_checked_too() -> None:
    check_response(V21, "SignCertificate", {"status": "Accepted"}, message_id="m1")
    assert refusal(check_response, V21, "SignCertificate", {"status": "Perhaps"}).error is RpcError.PROPERTY_CONSTRAINT_VIOLATION


def test_all_three_versions_have_the_certificate_messages() -> None:
    for version in OcppVersion:
        for action in ("SignCertificate", "CertificateSigned", "SecurityEventNotification", "BootNotification"):
            assert is_known_action(version, action)
    assert is_known_action(V16, "ExtendedTriggerMessage")
    assert not is_known_action(V16, "SignCertificateResponse")
