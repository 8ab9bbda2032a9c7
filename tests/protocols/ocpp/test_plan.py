"""What a station's certificate needs next."""

from datetime import UTC, datetime, timedelta

import pytest

from chargepki.core.rates import RateWindow
from chargepki.core.records import AuthorityId, Certificate, CertificateId, IntentId, ProfileId, SecurityProfile, StationId
from chargepki.protocols.ocpp.plan import AskForRequest, AskForUpgrade, CertificateAction, Nothing, StationView, plan_certificate_action

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
BASIC, MUTUAL = SecurityProfile.TLS_BASIC, SecurityProfile.MUTUAL_TLS


def certificate(id: str, days: int) -> Certificate:
    return Certificate(
        CertificateId(id),
        AuthorityId("operator-sub"),
        1,
        ProfileId("ocpp/station"),
        "CN=SN",
        b"",
        b"",
        NOW,
        NOW + timedelta(days=days),
        IntentId("int"),
        "station:CS",
        NOW,
        StationId("CS"),
    )


def plan(view: StationView, *, may_upgrade: bool = True) -> CertificateAction:
    return plan_certificate_action(view, now=NOW, renew_before=timedelta(days=30), may_upgrade=may_upgrade)


def installed(*certificates: Certificate) -> frozenset[CertificateId]:
    return frozenset(each.id for each in certificates)


OLD, NEW, LOST = certificate("old", 20), certificate("new", 300), certificate("lost", 300)


@pytest.mark.clause("OCPP A02", "OCPP A03.FR.01")
def test_a_station_without_a_certificate_is_asked_for_a_request() -> None:
    assert isinstance(plan(StationView(BASIC, None, (), frozenset())), AskForRequest)


def test_a_certificate_that_never_arrived_counts_as_none() -> None:
    assert isinstance(plan(StationView(BASIC, None, (LOST,), frozenset())), AskForRequest)


def test_a_station_that_has_its_certificate_is_told_to_use_it() -> None:
    view = StationView(BASIC, None, (NEW,), installed(NEW))
    assert isinstance(plan(view), AskForUpgrade)
    assert isinstance(plan(view, may_upgrade=False), Nothing)


def test_a_certificate_near_its_end_is_renewed_unless_that_was_done() -> None:
    assert isinstance(plan(StationView(MUTUAL, OLD, (OLD,), installed(OLD))), AskForRequest)
    assert isinstance(plan(StationView(MUTUAL, OLD, (OLD, NEW), installed(OLD, NEW))), Nothing)
    assert isinstance(plan(StationView(MUTUAL, OLD, (OLD, LOST), installed(OLD))), AskForRequest)


def test_a_station_on_mutual_tls_with_time_left_is_left_alone() -> None:
    assert isinstance(plan(StationView(MUTUAL, NEW, (NEW,), frozenset())), Nothing)


def test_a_rate_window_opens_again_and_forgets_the_oldest_key() -> None:
    window = RateWindow(limit=2, seconds=60, keys_max=2)
    window.note("a", 0)
    assert window.retry_after("a", 1) == 0
    window.note("a", 1)
    assert window.retry_after("a", 2) == 58
    assert window.retry_after("b", 2) == 0
    assert window.retry_after("a", 60) == 0
    window.note("a", 60)
    window.note("b", 60)
    window.note("c", 60)
    assert window.retry_after("a", 60) == 0
