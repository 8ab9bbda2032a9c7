"""Whoever owns the platform's process does not own its keys: the signer signs what fits, says why not, and writes both down."""

import asyncio
import errno
import hashlib
import json
import os
import pwd
import re
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from chargepki.adapters.keys.signer import journal, server, wire
from chargepki.adapters.keys.signer import signer as signer_module
from chargepki.adapters.keys.signer.client import SignerVault
from chargepki.adapters.keys.signer.journal import ChainBreak, Head, verify_list
from chargepki.adapters.keys.signer.policy import SignerFile, parse_signer_file
from chargepki.core import der
from chargepki.core.algorithms import KeySpec, SignatureAlgorithm
from chargepki.core.names import Name
from chargepki.core.ocsp import CertId, ResponderTemplate, SingleAnswer, Unrevoked, cert_id_hashes, plan_response
from chargepki.errors import Broken, Refused, TooMany, VaultUnavailable
from chargepki.ports import KeyHandle, SigningOrder, SigningPurpose
from chargepki.testing.vault import MemoryVault
from tests.adapters.keys.contract import verifies
from tests.adapters.keys.orders import (
    CA_DECISION,
    DECISION,
    LABEL,
    NAME,
    NOW,
    certificate_order,
    certificate_plan,
    checkpoint_order,
    crl_order,
    fresh_spki,
    order_of,
    request_order,
    root_order,
    with_plan,
)
from tests.adapters.keys.signer_thread import SignerThread

OTHER = Name.of(("O", "demo-cpo"), ("CN", "Another CA"))
ALGORITHM = SignatureAlgorithm.ECDSA_SHA256


class CountingVault(MemoryVault):
    """What the key really signed."""

    def __init__(self) -> None:
        super().__init__()
        self.signed: list[SigningOrder] = []

    async def sign(self, order: SigningOrder) -> bytes:
        self.signed.append(order)
        return await super().sign(order)


@pytest.fixture
def behind() -> CountingVault:
    return CountingVault()


@pytest.fixture
def signer(tmp_path: Path, behind: CountingVault) -> Iterator[SignerThread]:
    signer = SignerThread(tmp_path, behind)
    yield signer
    signer.stop()


@pytest.fixture
def vault(signer: SignerThread) -> SignerVault:
    return signer.client()


async def refused(vault: SignerVault, order: SigningOrder) -> set[str]:
    with pytest.raises(Refused) as refusal:
        await vault.sign(order)
    return {finding.code for finding in refusal.value.findings}


def lines(data: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for path in sorted((data / "list").iterdir()) for line in path.read_bytes().splitlines()]


# ---------------------------------------------------------------------------------------------------------- what is signed


@pytest.mark.parametrize("purpose", list(SigningPurpose))
@pytest.mark.parametrize(
    "data",
    [b"", b"\x11" * 32, b"to be signed", der.sequence(), der.octet_string(b"\x11" * 32), der.sequence(der.octet_string(b"\x11" * 32))],
    ids=["nothing", "a digest", "text", "an empty structure", "a wrapped digest", "a DigestInfo"],
)
async def test_what_is_not_the_object_it_claims_to_be_is_not_signed(
    vault: SignerVault, behind: CountingVault, purpose: SigningPurpose, data: bytes
) -> None:
    handle = await vault.generate(KeySpec.ED25519, label="log demo" if purpose is SigningPurpose.LOG else LABEL)
    order = certificate_order(handle, b"SN-1", SignatureAlgorithm.ED25519)
    assert await refused(vault, replace(order, data=data, purpose=purpose, plan=order.plan)) == {"signer.data.unreadable"}
    assert behind.signed == []


async def test_an_object_of_one_kind_is_not_signed_as_another(vault: SignerVault, behind: CountingVault) -> None:
    handle = await vault.generate(KeySpec.P256, label=LABEL)
    certificate, crl = certificate_order(handle, b"SN-1", ALGORITHM), crl_order(handle)
    for order in (
        replace(crl, purpose=SigningPurpose.CERTIFICATE, plan=certificate.plan),
        replace(certificate, purpose=SigningPurpose.CRL),
    ):
        assert await refused(vault, order) == {"signer.data.unreadable"}
    two = replace(certificate, data=certificate.data + certificate.data)
    assert await refused(vault, two) == {"signer.data.unreadable"}
    assert behind.signed == []


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"serial": 4711}, "signer.plan.serial"),
        ({"tbs_sha256": b"\x00" * 32}, "signer.plan.tbs"),
        ({"issuer": "operator-sub"}, "signer.issuer.other"),
        ({"profile": "ocpp/csms-server"}, "signer.profile.purposes"),
        ({"profile": "no/such"}, "signer.profile.unknown"),
        ({"profile": "sub/operator"}, "signer.profile.is_ca"),
        ({"is_ca": True, "decision": CA_DECISION}, "signer.plan.is_ca"),
        ({"decision": b""}, "signer.decision.malformed"),
        ({"decision": b"{}"}, "signer.decision.malformed"),
        ({"decision": DECISION + b" "}, "signer.decision.malformed"),
        ({"decision": DECISION.replace(b"allow", b"deny")}, "signer.decision.denied"),
        ({"decision": DECISION.replace(b"token:admin", b"")}, "signer.decision.denied"),
        ({"decision": DECISION.replace(b"certificate:request:create", b"*:*:*")}, "signer.decision.denied"),
    ],
)
async def test_a_plan_that_says_something_else_signs_nothing(
    vault: SignerVault, behind: CountingVault, change: dict[str, object], code: str
) -> None:
    handle = await vault.generate(KeySpec.P256, label=LABEL)
    assert code in await refused(vault, with_plan(certificate_order(handle, b"SN-1", ALGORITHM), **change))
    assert behind.signed == []


async def test_a_certificate_without_its_plan_is_not_signed(vault: SignerVault, behind: CountingVault) -> None:
    handle = await vault.generate(KeySpec.P256, label=LABEL)
    order = replace(certificate_order(handle, b"SN-1", ALGORITHM), plan=None)
    assert await refused(vault, order) == {"signer.plan.missing"}
    assert behind.signed == []


Forge = Callable[[KeyHandle], SigningOrder]
FORGERIES: dict[str, tuple[Forge, str]] = {
    "a CA under a leaf's profile": (
        lambda h: with_plan(
            order_of(h, certificate_plan(h, b"evil", profile="sub/operator", spki=fresh_spki(), subject=OTHER), decision=CA_DECISION),
            profile="ocpp/station",
        ),
        "signer.profile.is_ca",
    ),
    "a CA by a decision about a station": (
        lambda h: order_of(h, certificate_plan(h, b"evil", profile="sub/operator", spki=fresh_spki(), subject=OTHER), is_ca=True),
        "signer.decision.permission",
    ),
    "a root of somebody else's key": (
        lambda h: order_of(
            h,
            certificate_plan(h, b"evil", profile="root/operator", spki=fresh_spki(), subject=NAME),
            decision=CA_DECISION,
            is_ca=True,
        ),
        "signer.root.other",
    ),
    "ten years for a station": (lambda h: order_of(h, certificate_plan(h, b"old", validity_days=3650)), "signer.profile.validity"),
    "a date in the past": (lambda h: order_of(h, certificate_plan(h, b"old", now=NOW - timedelta(days=2))), "signer.time"),
    "a date in the future": (lambda h: order_of(h, certificate_plan(h, b"new", now=NOW + timedelta(days=2))), "signer.time"),
    "another key's identifier": (
        lambda h: replace(order_of(replace(h, spki=fresh_spki()), certificate_plan(replace(h, spki=fresh_spki()), b"x")), key=h.ref),
        "signer.issuer.key_id",
    ),
    "a signature algorithm that is not inside": (
        lambda h: replace(certificate_order(h, b"x", ALGORITHM), algorithm=SignatureAlgorithm.ECDSA_SHA384),
        "signer.data.unreadable",
    ),
    "a list of another authority": (lambda h: crl_order(h, authority="operator-sub"), "signer.reference"),
}


@pytest.mark.parametrize("name", FORGERIES)
async def test_a_forgery_is_not_signed_and_stands_in_the_list(signer: SignerThread, behind: CountingVault, name: str) -> None:
    forge, code = FORGERIES[name]
    vault = signer.client()
    handle = await vault.generate(KeySpec.P256, label=LABEL)
    assert code in await refused(vault, forge(handle))
    assert behind.signed == []
    last = lines(signer.data)[-1]
    assert (last["outcome"], last["key"], last["uid"]) == ("refused", handle.ref, os.getuid())
    assert code in last["codes"]


async def test_the_first_certificate_fixes_the_name_a_key_signs_under(tmp_path: Path, behind: CountingVault) -> None:
    signer = SignerThread(tmp_path, behind)
    vault = signer.client()
    root = await vault.generate(KeySpec.P256, label="authority root")
    sub = await vault.generate(KeySpec.P256, label=LABEL)
    await vault.sign(root_order(root, authority="root", name=OTHER))
    plan = certificate_plan(root, b"sub", profile="sub/operator", authority="root", name=OTHER, spki=sub.spki, subject=NAME)
    await vault.sign(order_of(root, plan, decision=CA_DECISION, is_ca=True))
    for _ in range(2):  # the second time after a restart
        stranger = order_of(sub, certificate_plan(sub, b"SN-1", name=OTHER))
        assert await refused(vault, stranger) == {"signer.issuer.renamed"}
        assert await refused(vault, crl_order(sub, name=OTHER)) == {"signer.issuer.renamed"}
        below = certificate_plan(sub, b"below", profile="sub/operator", spki=fresh_spki(), subject=OTHER)
        assert "signer.profile.issuer" in await refused(vault, order_of(sub, below, decision=CA_DECISION, is_ca=True))
        assert await vault.sign(certificate_order(sub, b"SN-1", ALGORITHM))
        assert await vault.sign(crl_order(sub))
        signer.stop()
        signer = SignerThread(tmp_path, behind)
        vault = signer.client()
    signer.stop()


async def test_of_two_first_certificates_at_once_one_fixes_the_name(vault: SignerVault, behind: CountingVault) -> None:
    handle = await vault.generate(KeySpec.P384, label=LABEL)
    orders = [order_of(handle, certificate_plan(handle, b"SN-%d" % n, name=OTHER if n % 2 else NAME)) for n in range(10)]
    results = await asyncio.gather(*map(vault.sign, orders), return_exceptions=True)
    assert sum(isinstance(result, bytes) for result in results) == len(behind.signed) == 5


async def test_a_key_signs_for_what_its_label_registered_it_and_nothing_else(vault: SignerVault, behind: CountingVault) -> None:
    for label in ("host:csms.example.org", "OCSP responder of test", "log demo", ""):
        handle = await vault.generate(KeySpec.P256, label=label)
        assert await refused(vault, certificate_order(handle, b"SN-1", ALGORITHM)) == {"signer.purpose.forbidden"}
    assert behind.signed == []


async def test_what_signs_is_never_made_exportable(vault: SignerVault) -> None:
    for label in (LABEL, "log demo", "OCSP responder of test"):
        with pytest.raises(Refused, match=r"signer\.key\.exportable"):
            await vault.generate(KeySpec.P256, label=label, exportable=True)
    assert await vault.list() == ()


def test_a_key_that_was_exportable_before_there_was_a_signer_signs_nothing(tmp_path: Path, behind: CountingVault) -> None:
    handle = asyncio.run(behind.generate(KeySpec.P256, label=LABEL, exportable=True))
    kept = asyncio.run(behind.generate(KeySpec.P256, label=LABEL))
    signer = SignerThread(tmp_path, behind)
    vault = signer.client()
    assert asyncio.run(refused(vault, certificate_order(handle, b"SN-1", ALGORITHM))) == {"signer.purpose.forbidden"}
    assert asyncio.run(vault.sign(certificate_order(kept, b"SN-1", ALGORITHM)))
    signer.stop()


# --------------------------------------------------------------------------------------------------------- answers and logs


def answer_order(handle: KeyHandle, *, spki: bytes = b"", at: timedelta = timedelta(0), reference: str = "ocsp:test") -> SigningOrder:
    import hashlib

    bits = der.parse_element(spki or handle.spki).children()[1].content[1:]
    responder = ResponderTemplate(ALGORITHM, der.explicit(2, der.octet_string(hashlib.sha1(bits).digest())), b"")
    hashes = cert_id_hashes(NAME.encode(), handle.spki, "2.16.840.1.101.3.4.2.1")
    raw = der.sequence(der.sequence(der.oid(hashes.hash)), der.octet_string(hashes.name), der.octet_string(hashes.key), der.integer(77))
    single = SingleAnswer(CertId(hashes, 77, raw), Unrevoked.GOOD, NOW + at, NOW + at + timedelta(hours=12))
    data = plan_response(responder, [single], produced_at=NOW + at, nonce=b"n" * 16)
    return SigningOrder(handle.ref, ALGORITHM, data, SigningPurpose.OCSP, reference)


@pytest.mark.clause("RFC 6960 4.2.1")
async def test_a_responder_answers_for_itself_and_for_now(vault: SignerVault) -> None:
    handle = await vault.generate(KeySpec.P256, label="OCSP responder of test")
    assert await vault.sign(answer_order(handle))
    assert await refused(vault, answer_order(handle, spki=fresh_spki())) == {"signer.ocsp.responder"}
    assert await refused(vault, answer_order(handle, at=timedelta(hours=1))) == {"signer.time"}
    assert await refused(vault, answer_order(handle, reference="ocsp:other")) == {"signer.reference"}


@pytest.mark.clause("C2SP tlog-checkpoint")
async def test_a_log_key_signs_no_rolled_back_and_no_forked_log_even_after_a_restart(tmp_path: Path, behind: CountingVault) -> None:
    signer = SignerThread(tmp_path, behind)
    vault = signer.client()
    handle = await vault.generate(KeySpec.ED25519, label="log demo")
    await vault.sign(checkpoint_order(handle, 10))
    for _ in range(2):
        assert await refused(vault, checkpoint_order(handle, 9)) == {"signer.log.rollback"}
        assert await refused(vault, checkpoint_order(handle, 10, root=b"\x22" * 32)) == {"signer.log.fork"}
        assert await refused(vault, checkpoint_order(handle, 11, origin="example.org/other")) == {"signer.log.origin"}
        assert await vault.sign(checkpoint_order(handle, 10))
        signer.stop()
        signer = SignerThread(tmp_path, behind)
        vault = signer.client()
    assert await vault.sign(checkpoint_order(handle, 11, root=b"\x22" * 32))
    signer.stop()


@pytest.mark.clause("RFC 2986 3")
async def test_an_authority_requests_a_certificate_for_its_own_key_and_for_no_other(
    signer: SignerThread, vault: SignerVault, behind: CountingVault
) -> None:
    handle = await vault.generate(KeySpec.P256, label=LABEL)
    order = request_order(handle)
    assert await vault.sign(order)
    assert (last := lines(signer.data)[-1])["says"] == {"authority": "test", "spki_sha256": hashlib.sha256(handle.spki).hexdigest()}
    assert (last["purpose"], last["outcome"], last["reference"]) == ("request", "signed", "csr:test")
    assert await refused(vault, request_order(handle, spki=fresh_spki())) == {"signer.request.key"}
    assert await refused(vault, request_order(handle, authority="operator-sub")) == {"signer.reference"}
    with_attributes = der.sequence(*(field.raw for field in der.parse_element(order.data).children()[:3]), der.explicit(0, der.sequence()))
    for other in (with_attributes, order.data + b"\0", certificate_order(handle, b"SN-1", ALGORITHM).data, crl_order(handle).data):
        assert await refused(vault, replace(order, data=other)) == {"signer.data.unreadable"}
    assert await refused(vault, replace(crl_order(handle), data=order.data)) == {"signer.data.unreadable"}
    await vault.sign(crl_order(handle))  # from here on the key has a name
    assert await vault.sign(order)
    assert await refused(vault, request_order(handle, name=OTHER)) == {"signer.issuer.renamed"}
    assert [signed.purpose for signed in behind.signed] == [SigningPurpose.REQUEST, SigningPurpose.CRL, SigningPurpose.REQUEST]


async def test_only_an_authority_requests_certificates(vault: SignerVault, behind: CountingVault) -> None:
    for label in ("log demo", "OCSP responder of test", "host:csms.example.org"):
        handle = await vault.generate(KeySpec.P256, label=label)
        assert await refused(vault, request_order(handle)) == {"signer.purpose.forbidden"}
    assert behind.signed == []


async def test_a_key_of_a_diagnosis_signs_test_octets_only(vault: SignerVault) -> None:
    handle = await vault.generate(KeySpec.P256, label="chargepki keys doctor, to be destroyed")
    test = SigningOrder(handle.ref, ALGORITHM, b"chargepki keys doctor " + b"\x11" * 32, SigningPurpose.LOG, "keys-doctor")
    assert await vault.sign(test)
    assert await refused(vault, checkpoint_order(handle, 1)) == {"signer.data.unreadable"}
    log = await vault.generate(KeySpec.P256, label="log demo")
    assert await refused(vault, replace(test, key=log.ref)) == {"signer.data.unreadable"}


# ---------------------------------------------------------------------------------------------------------- the operator's limits


def limited(text: str) -> SignerFile:
    return parse_signer_file(text.encode())


@pytest.mark.parametrize(
    ("limits", "code"),
    [
        ('[keys."authority test"]\nprofiles = ["ocpp/csms-server"]', "signer.profile.forbidden"),
        ('[keys."*"]\npurposes = ["crl"]', "signer.purpose.forbidden"),
        ('[keys."*"]\nrates = { certificate = { per_minute = 0, per_hour = 0 } }', "signer.rate"),
    ],
)
async def test_the_operator_takes_away(tmp_path: Path, behind: CountingVault, limits: str, code: str) -> None:
    signer = SignerThread(tmp_path, behind, limited(limits))
    vault = signer.client()
    handle = await vault.generate(KeySpec.P256, label=LABEL)
    assert code in await refused(vault, certificate_order(handle, b"SN-1", ALGORITHM))
    assert behind.signed == []
    signer.stop()


async def test_the_operator_cannot_give(tmp_path: Path, behind: CountingVault) -> None:
    everything = ", ".join(f'"{purpose}"' for purpose in SigningPurpose)
    text = f'[keys."*"]\npurposes = [{everything}]\nmay_sign_ca = true\nrates = {{ ca = {{ per_minute = 999, per_hour = 9999 }} }}'
    signer = SignerThread(tmp_path, behind, limited(text))
    vault = signer.client()
    handle = await vault.generate(KeySpec.P256, label="log demo")
    assert await refused(vault, certificate_order(handle, b"SN-1", ALGORITHM)) == {"signer.purpose.forbidden"}
    authority = await vault.generate(KeySpec.P256, label=LABEL)
    found = [await asyncio.gather(vault.sign(root_order(authority)), return_exceptions=True) for _ in range(11)]
    assert [isinstance(one[0], TooMany) for one in found] == [False] * 10 + [True]  # as registered: ten authorities a minute
    signer.stop()


async def test_a_rate_holds_for_many_at_once_and_says_when_to_come_back(tmp_path: Path, behind: CountingVault) -> None:
    text = '[keys."authority test".rates]\n"ocpp/station" = { per_minute = 5, per_hour = 100 }'
    signer = SignerThread(tmp_path, behind, limited(text))
    vault = signer.client()
    handle = await vault.generate(KeySpec.P256, label=LABEL)
    orders = [certificate_order(handle, b"SN-%d" % n, ALGORITHM) for n in range(50)]
    results = await asyncio.gather(*map(vault.sign, orders), return_exceptions=True)
    refusals = [result for result in results if isinstance(result, TooMany)]
    assert (len(behind.signed), len(refusals)) == (5, 45)
    assert all(0 < refusal.retry_after <= 61 for refusal in refusals)
    signer.stop()


@pytest.mark.parametrize(
    "text",
    [
        "[keys",
        "[keys.x]\nprofile = []",
        '[keys.x]\nprofiles = ["ocpp/sation"]',
        "[keys.x.rates]\ncertificates = { per_minute = 1, per_hour = 1 }",
    ],
)
def test_a_misspelt_limit_stops_the_start(text: str) -> None:
    with pytest.raises(Refused, match=r"signer\.policy\."):
        limited(text)


def test_the_file_of_the_how_to_is_accepted() -> None:
    page = (Path(__file__).parents[2] / "docs/how-to/run-the-signer.md").read_text()
    file = limited(page.partition("signer/signer.toml\n")[2].partition("```")[0])
    assert (file.server.users, sorted(file.keys)) == (("chargepki",), ["authority operator-root", "authority operator-sub"])


def test_a_damaged_registration_stops_the_start(tmp_path: Path, behind: CountingVault) -> None:
    handle = asyncio.run(behind.generate(KeySpec.P256, label=LABEL))
    SignerThread(tmp_path, behind).stop()
    (tmp_path / "policies" / f"{handle.ref}.json").write_bytes(b"{}")
    with pytest.raises(Broken, match="damaged"):
        SignerThread(tmp_path, behind)


# ------------------------------------------------------------------------------------------------------------------ its list


async def test_everything_is_in_the_list_before_it_is_answered(signer: SignerThread, vault: SignerVault) -> None:
    handle = await vault.generate(KeySpec.P256, label=LABEL)
    given = await vault.generate(KeySpec.P256, label="host:csms.example.org", exportable=True)
    order = certificate_order(handle, b"SN-1", ALGORITHM)
    assert verifies(handle, await vault.sign(order), b"SN-1")
    await refused(vault, replace(order, plan=None))
    await vault.export(given.ref, b"a passphrase nobody writes down")
    await vault.destroy(given.ref)
    found = lines(signer.data)
    assert [line["outcome"] for line in found] == ["opened", "generated", "generated", "signed", "refused", "exported", "destroying"]
    signed = found[3]
    assert signed["says"]["serial"] == f"{order.plan.serial:x}" if order.plan else False
    assert (signed["says"]["actor"], signed["says"]["profile"], signed["reference"]) == ("token:admin", "ocpp/station", "int_test")
    assert "nobody writes down" not in str(found)
    assert verify_list(signer.data / "list") == signer.server.signer.head


def _filled(data: Path, behind: CountingVault) -> Path:
    signer = SignerThread(data, behind)
    vault = signer.client()
    handle = asyncio.run(vault.generate(KeySpec.P256, label=LABEL))
    for n in range(20):
        asyncio.run(vault.sign(certificate_order(handle, b"SN-%d" % n, ALGORITHM)))
    signer.stop()
    (path,) = (data / "list").iterdir()
    return path


@pytest.mark.parametrize("number", [1, 7, 22])
def test_one_changed_byte_is_found_and_its_line_named(tmp_path: Path, behind: CountingVault, number: int) -> None:
    path = _filled(tmp_path, behind)
    content = path.read_bytes().splitlines(keepends=True)
    assert len(content) == 23
    content[number - 1] = content[number - 1].replace(b'"time":"20', b'"time":"21')
    path.write_bytes(b"".join(content))
    found = verify_list(path.parent)
    assert isinstance(found, ChainBreak)
    assert (found.file, found.line) == (path.name, number)
    with pytest.raises(Broken, match="list is broken"):
        SignerThread(tmp_path, behind)


@pytest.mark.parametrize("change", ["dropped", "doubled", "swapped", "no JSON"])
def test_a_line_that_is_missing_or_too_many_is_found(tmp_path: Path, behind: CountingVault, change: str) -> None:
    path = _filled(tmp_path, behind)
    content = path.read_bytes().splitlines(keepends=True)
    match change:
        case "dropped":
            del content[9]
        case "doubled":
            content.insert(9, content[9])
        case "swapped":
            content[9], content[10] = content[10], content[9]
        case _:
            content[9] = b"{}\n"
    path.write_bytes(b"".join(content))
    found = verify_list(path)
    assert isinstance(found, ChainBreak)
    assert found.line in (10, 11)


def test_a_list_cut_at_its_end_is_shorter_than_what_was_noted(tmp_path: Path, behind: CountingVault) -> None:
    path = _filled(tmp_path, behind)
    noted = verify_list(path)
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    found = verify_list(path)
    assert isinstance(noted, Head)
    assert isinstance(found, Head)
    assert found.n == noted.n - 1


def test_a_line_that_a_crash_cut_off_was_never_answered_and_goes(tmp_path: Path, behind: CountingVault) -> None:
    path = _filled(tmp_path, behind)
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"half a li')
    SignerThread(tmp_path, behind).stop()
    assert path.read_bytes().startswith(whole)
    assert isinstance(verify_list(path), Head)


async def test_the_chain_goes_on_over_segments(tmp_path: Path, behind: CountingVault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "SEGMENT_OCTETS_MAX", 2000)
    for _ in range(3):
        signer = SignerThread(tmp_path, behind)
        vault = signer.client()
        handle = await vault.generate(KeySpec.P256, label=LABEL)
        for n in range(10):
            await vault.sign(certificate_order(handle, b"SN-%d" % n, ALGORITHM))
        signer.stop()
    segments = sorted((tmp_path / "list").iterdir())
    assert len(segments) > 3
    assert isinstance(head := verify_list(tmp_path / "list"), Head)
    assert head.n == len(lines(tmp_path)) == 39
    assert isinstance(verify_list(segments[2]), Head)
    segments[1].unlink()
    found = verify_list(tmp_path / "list")
    assert isinstance(found, ChainBreak)
    assert found.file == segments[2].name


async def test_without_room_for_the_list_no_signature_leaves(
    signer: SignerThread, vault: SignerVault, monkeypatch: pytest.MonkeyPatch
) -> None:
    handle = await vault.generate(KeySpec.P256, label=LABEL)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(journal.os, "fdatasync", full)
        with pytest.raises(VaultUnavailable, match="No space left"):
            await vault.sign(certificate_order(handle, b"SN-1", ALGORITHM))
    with pytest.raises(VaultUnavailable, match="No space left"):  # and none afterwards, until somebody has looked
        await vault.sign(certificate_order(handle, b"SN-2", ALGORITHM))


async def test_a_flood_of_refusals_is_counted_not_written(
    signer: SignerThread, vault: SignerVault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signer_module, "REFUSALS_LISTED_MAX", 10)
    handle = await vault.generate(KeySpec.P256, label=LABEL)
    order = replace(certificate_order(handle, b"SN-1", ALGORITHM), plan=None)
    await asyncio.gather(*(refused(vault, order) for _ in range(100)))
    assert sum(line["outcome"] == "refused" for line in lines(signer.data)) <= 20  # a minute may begin meanwhile


# ---------------------------------------------------------------------------------------------------------------- its socket


def test_the_socket_is_for_its_owner_and_its_group(signer: SignerThread) -> None:
    assert stat.S_IMODE(signer.server.socket_path.stat().st_mode) == 0o660
    assert stat.S_IMODE((signer.data / "list").stat().st_mode) == 0o700


@pytest.mark.skipif(os.getuid() != 0, reason="only root can be somebody else")
def test_another_user_is_turned_away_even_where_the_file_system_lets_him_in(tmp_path: Path, behind: CountingVault) -> None:
    nobody = pwd.getpwnam("nobody").pw_uid
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        signer = SignerThread(tmp_path, behind, limited(f'[server]\nsocket = "{directory}/signer.sock"'))
        signer.server.socket_path.chmod(0o666)
        assert _octets_got_as(nobody, signer.server.socket_path) == 0
        signer.stop()
    found = [line for line in lines(tmp_path) if line["outcome"] == "refused"]
    assert [(line["uid"], line["codes"]) for line in found] == [(nobody, ["signer.peer.refused"])]


def _octets_got_as(uid: int, path: Path) -> int:
    """How many octets somebody else hears before the connection ends; 99 when he is not even let to the socket."""
    if (child := os.fork()) == 0:
        os.setuid(uid)
        try:
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(5)
                client.connect(str(path))
                os._exit(len(client.recv(1)))
        except ConnectionResetError:
            os._exit(0)
        except OSError:
            os._exit(99)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _is_closed(client: socket.socket) -> bool:
    try:
        return client.recv(100) == b""
    except ConnectionResetError:
        return True


@pytest.mark.parametrize(
    "octets",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x00\x00\x00\x07\x02\x00\x00\x00\x01\x00\x00",
        b"\xff\xff\xff\xff\x01\x00\x00\x00\x01\x00\x00",
        b"\x00\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00",
    ],
    ids=["HTTP", "another version", "four gigabytes", "too short"],
)
def test_who_does_not_speak_the_protocol_is_cut_off(tmp_path: Path, behind: CountingVault, octets: bytes) -> None:
    signer = SignerThread(tmp_path, behind)
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(5)
        client.connect(str(signer.server.socket_path))
        client.sendall(octets)
        assert _is_closed(client)
    signer.stop()  # the line follows the cut, and a stop waits for it
    assert [line["codes"] for line in lines(signer.data) if line["outcome"] == "refused"] == [["signer.peer.refused"]]


@pytest.mark.parametrize(
    "header", [b"", b"[]", b"{}", b'{"op":"sign"}', b'{"op":"get","key":7}', b'{"op":"get","key":"\\ud800"}', b"[" * 60000]
)
def test_a_header_that_is_no_request_is_refused_by_name(signer: SignerThread, header: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(5)
        client.connect(str(signer.server.socket_path))
        client.sendall(wire._PREFIX.pack(wire._REST_OF_PREFIX + len(header), wire.VERSION, 7, len(header)) + header)
        (frame,) = wire.FrameReader(1 << 16).feed(client.recv(65536))
    with pytest.raises(Refused, match=r"signer\.request\.malformed"):
        wire.parse_answer(frame)


def test_who_never_finishes_a_frame_is_let_go(signer: SignerThread, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "FRAME_SECONDS", 0.2)
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(5)
        client.connect(str(signer.server.socket_path))
        client.sendall(b"\x00\x00\x00\x40\x01")
        assert _is_closed(client)


def test_two_signers_do_not_share_a_directory(tmp_path: Path) -> None:
    with server.lock_data(tmp_path), pytest.raises(Broken, match="another signer"):
        server.lock_data(tmp_path)


def test_a_socket_in_use_is_not_taken_over_and_one_left_behind_is(signer: SignerThread, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="in use"):
        server._bind(signer.server.socket_path, None)
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(tmp_path / "left.sock"))
    left.close()
    server._bind(tmp_path / "left.sock", None).close()


# --------------------------------------------------------------------------------------------------------------- its process


def test_the_process_signs_keeps_no_core_and_leaves_a_list_that_verifies(tmp_path: Path) -> None:
    data = tmp_path / "signer"
    command = [sys.executable, "-m", "chargepki", "signer"]
    process = subprocess.Popen([*command, "serve", "--data", str(data), "--json"], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        text = ""
        while not text.endswith("}\n"):
            text += process.stdout.readline()
        vault = SignerVault(Path(json.loads(text)["socket"]))
        handle = asyncio.run(vault.generate(KeySpec.P256, label=LABEL))
        assert verifies(handle, asyncio.run(vault.sign(certificate_order(handle, b"SN-1", ALGORITHM))), b"SN-1")
        limits = Path(f"/proc/{process.pid}/limits").read_text()
        assert re.search(r"Max core file size +0 +0 ", limits)
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    verified = subprocess.run([*command, "log", "verify", str(data / "list"), "--json"], capture_output=True, text=True, check=True)
    assert json.loads(verified.stdout)["lines"] == 4
    path = data / "list" / "000000000001.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"generated"', b'"Generated"'))
    broken = subprocess.run([*command, "log", "verify", str(path)], capture_output=True, text=True, check=False)
    assert broken.returncode == 1
    assert "line 2" in broken.stderr
