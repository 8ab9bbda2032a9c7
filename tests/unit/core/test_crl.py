"""The CRL that core/crl.py splices, judged by `cryptography`, OpenSSL and pkilint."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given, settings
from hypothesis import strategies as st

from chargepki.core.algorithms import KeySpec
from chargepki.core.crl import CrlPlan, EntryList, assemble_crl, check_crl, encode_entry, plan_crl
from chargepki.core.revocation import REASON_CODE, RevocationReason, Revoked
from chargepki.errors import Broken
from tests.unit.core.status_pki import NOW, SmallPki

REVOKED_AT = NOW - timedelta(minutes=3)


def make_plan(pki: SmallPki, entries: list[Revoked], number: int = 7) -> CrlPlan:
    collected = EntryList()
    for entry in entries:
        collected.add(entry)
    return plan_crl(
        collected,
        issuer_name=pki.ca.name,
        key_id=pki.ca.key_id,
        signature=pki.ca.signature,
        number=number,
        this_update=NOW,
        next_update=NOW + timedelta(days=1),
    )


def make_crl(pki: SmallPki, entries: list[Revoked], number: int = 7) -> bytes:
    plan = make_plan(pki, entries, number)
    crl = assemble_crl(plan, pki.ca.sign(plan.tbs))
    check_crl(crl, plan, pki.ca.key.public_key())
    return crl


@pytest.mark.clause("RFC 5280 5.1.2", "RFC 5280 5.2.1", "RFC 5280 5.2.3")
@pytest.mark.parametrize(
    "spec", [KeySpec.P256, KeySpec.P384, KeySpec.P521, KeySpec.RSA2048, KeySpec.ED25519, KeySpec.ED448, KeySpec.MLDSA65]
)
def test_a_list_says_who_when_and_which_number(spec: KeySpec) -> None:
    pki = SmallPki(spec)
    parsed = x509.load_der_x509_crl(make_crl(pki, [Revoked(2**126 + 5, REVOKED_AT, RevocationReason.KEY_COMPROMISE)], number=300))
    assert parsed.is_signature_valid(pki.ca.key.public_key())  # type: ignore[arg-type]
    assert parsed.issuer == pki.ca.certificate.subject
    assert (parsed.last_update_utc, parsed.next_update_utc) == (NOW, NOW + timedelta(days=1))
    assert parsed.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number == 300
    assert parsed.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier == pki.ca.key_id
    assert [extension.critical for extension in parsed.extensions] == [False, False]


@pytest.mark.clause("RFC 5280 5.3.1")
@pytest.mark.parametrize("reason", list(RevocationReason))
def test_each_reason_is_spelt_as_its_code_and_unspecified_by_silence(reason: RevocationReason) -> None:
    entry = next(iter(x509.load_der_x509_crl(make_crl(SmallPki(), [Revoked(77, REVOKED_AT, reason)]))))
    assert (entry.serial_number, entry.revocation_date_utc) == (77, REVOKED_AT)
    if reason is RevocationReason.UNSPECIFIED:
        assert not list(entry.extensions)
    else:
        assert entry.extensions.get_extension_for_class(x509.CRLReason).value.reason.value == reason.value
        assert encode_entry(Revoked(77, REVOKED_AT, reason))[-1] == REASON_CODE[reason]


@pytest.mark.clause("RFC 5280 5.1.2.6")
def test_without_entries_the_list_of_entries_is_absent() -> None:
    parsed = x509.load_der_x509_crl(make_crl(SmallPki(), []))
    assert len(parsed) == 0
    assert parsed.next_update_utc is not None


@pytest.mark.clause("RFC 5280 5.1.2.4")
def test_dates_from_2050_on_are_generalized_time() -> None:
    late = datetime(2051, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert b"20510102030405Z" in encode_entry(Revoked(1, late, RevocationReason.SUPERSEDED))
    assert b"\x17\x0d491231235959Z" in encode_entry(Revoked(1, datetime(2049, 12, 31, 23, 59, 59, tzinfo=UTC), RevocationReason.SUPERSEDED))


@settings(max_examples=60, deadline=None)
@given(
    serials=st.lists(st.integers(min_value=1, max_value=2**159 - 1), max_size=40),
    reason=st.sampled_from(list(RevocationReason)),
    number=st.integers(min_value=1, max_value=2**159 - 1),
)
def test_what_went_in_comes_out_in_its_order(serials: list[int], reason: RevocationReason, number: int) -> None:
    parsed = x509.load_der_x509_crl(make_crl(_PKI, [Revoked(serial, REVOKED_AT, reason) for serial in serials], number))
    assert [entry.serial_number for entry in parsed] == serials
    assert parsed.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number == number


def test_a_signature_that_does_not_verify_is_discarded() -> None:
    pki, stranger = SmallPki(), SmallPki()
    plan = make_plan(pki, [])
    with pytest.raises(Broken, match="does not verify"):
        check_crl(assemble_crl(plan, stranger.ca.sign(plan.tbs)), plan, pki.ca.key.public_key())
    with pytest.raises(Broken, match="differs from its plan"):
        check_crl(make_crl(pki, [], number=8), plan, pki.ca.key.public_key())


def test_a_number_beyond_the_standard_is_a_bug_not_a_list() -> None:
    with pytest.raises(ValueError, match="out of range"):
        make_plan(_PKI, [], number=2**159)


def test_the_entries_leave_the_collector_with_the_plan() -> None:
    entries = EntryList()
    entries.add(Revoked(5, REVOKED_AT, RevocationReason.SUPERSEDED))
    assert entries.count == 1
    assert len(entries.take()) > 0
    assert (entries.count, entries.take()) == (0, b"")


def test_openssl_reads_the_list_and_finds_the_revoked_leaf(tmp_path: Path) -> None:
    pki = SmallPki()
    good, bad = pki.leaf(41), pki.leaf(42)
    crl = tmp_path / "ca.crl"
    crl.write_bytes(make_crl(pki, [Revoked(42, REVOKED_AT, RevocationReason.KEY_COMPROMISE)]))
    ca = pki.ca.write(tmp_path / "ca.pem")
    text = _run("openssl", "crl", "-inform", "DER", "-in", str(crl), "-CAfile", str(ca), "-noout", "-text")
    assert "verify OK" in text.stderr
    assert "Key Compromise" in text.stdout
    pem = tmp_path / "crl.pem"
    pem.write_bytes(x509.load_der_x509_crl(crl.read_bytes()).public_bytes(Encoding.PEM))
    verify = ("openssl", "verify", "-crl_check", "-CRLfile", str(pem), "-CAfile", str(ca))
    assert _run(*verify, str(good.write(tmp_path / "good.pem"))).returncode == 0
    refused = _run(*verify, str(bad.write(tmp_path / "bad.pem")))
    assert refused.returncode != 0
    assert "certificate revoked" in refused.stderr


@pytest.mark.clause("RFC 5280 5")
def test_pkilint_has_nothing_against_the_list(tmp_path: Path) -> None:
    path = tmp_path / "full.crl"
    path.write_bytes(make_crl(SmallPki(), [Revoked(100 + i, REVOKED_AT, reason) for i, reason in enumerate(RevocationReason)]))
    lint = Path(sys.executable).with_name("lint_crl")
    report = _run(str(lint), "lint", "-t", "CRL", "-p", "PKIX", "-s", "WARNING", "-f", "TEXT", str(path))
    assert report.returncode == 0, report.stdout + report.stderr


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


_PKI = SmallPki()
