"""Authorities: what may be created below what, and what must not exist afterwards when it may not."""

import pytest
from cryptography import x509

from chargepki.core.algorithms import KeySpec, SignatureAlgorithm
from chargepki.core.profiles.authority import ROOT_OPERATOR, SUB_OPERATOR
from chargepki.core.records import AuthorityId, ProfileId
from chargepki.errors import Conflict, NotAuthorised, NotFound, Refused
from chargepki.services.authorities import NewAuthority
from chargepki.testing.workbench import ADMIN, Workbench, limited
from tests.unit.services.test_issuance import codes

ROOT = NewAuthority(AuthorityId("own-root"), ROOT_OPERATOR, None, KeySpec.P256, "Own Root CA", "demo-cpo")
SUB = NewAuthority(AuthorityId("own-sub"), SUB_OPERATOR, AuthorityId("own-root"), KeySpec.P256, "Own Sub CA", "demo-cpo")


def change(new: NewAuthority, **fields: object) -> NewAuthority:
    from dataclasses import replace

    return replace(new, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize("spec", list(KeySpec))
@pytest.mark.clause("RFC 5280 4.2.1.9", "RFC 5280 4.2.1.2", "RFC 5280 4.2.1.12")
async def test_a_hierarchy_of_every_kind_of_key(bench: Workbench, spec: KeySpec) -> None:
    for new in (ROOT, SUB):
        await bench.services.authorities.create(ADMIN, change(new, key_spec=spec))
    view = await bench.services.authorities.view(SUB.id)
    sub, root = map(x509.load_der_x509_certificate, view.chain)
    root.verify_directly_issued_by(root)
    sub.verify_directly_issued_by(root)
    assert sub.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length == 0
    assert root.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length is None
    assert root.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    with pytest.raises(x509.ExtensionNotFound):
        root.extensions.get_extension_for_class(x509.ExtendedKeyUsage)


@pytest.mark.parametrize(
    ("new", "code"),
    [
        (change(SUB, parent=None), "authority.parent"),
        (change(ROOT, parent=AuthorityId("operator-root")), "authority.parent"),
        (change(SUB, parent=AuthorityId("operator-sub")), "authority.parent"),
        (change(SUB, parent=AuthorityId("manufacturer-root")), "authority.parent"),
        (change(ROOT, profile=ProfileId("ocpp/station")), "authority.profile"),
        (change(ROOT, signature=SignatureAlgorithm.RSA_SHA256), "authority.signature"),
        (change(ROOT, validity_days=99999), "authority.validity"),
        (change(ROOT, path_length=-1), "authority.path_length"),
        (change(ROOT, id=AuthorityId("../etc")), "authority.id"),
        (change(ROOT, common_name="x" * 65), "rfc5280.name.too_long"),
        (change(ROOT, organization=""), "rfc5280.name.empty"),
    ],
)
async def test_what_does_not_fit_is_refused_and_leaves_no_key(bench: Workbench, new: NewAuthority, code: str) -> None:
    before = len(await bench.ports.vault.list())
    with pytest.raises(Refused) as refusal:
        await bench.services.authorities.create(ADMIN, new)
    assert code in codes(refusal)
    assert len(await bench.ports.vault.list()) == before


async def test_an_id_is_taken_once_and_the_second_try_leaves_no_key(bench: Workbench) -> None:
    await bench.services.authorities.create(ADMIN, ROOT)
    before = len(await bench.ports.vault.list())
    with pytest.raises(Conflict):
        await bench.services.authorities.create(ADMIN, ROOT)
    assert len(await bench.ports.vault.list()) == before


async def test_an_rsa_authority_may_be_told_to_sign_without_pss(bench: Workbench) -> None:
    new = change(ROOT, key_spec=KeySpec.RSA2048, signature=SignatureAlgorithm.RSA_SHA256)
    await bench.services.authorities.create(ADMIN, new)
    certificate = x509.load_der_x509_certificate((await bench.services.authorities.view(ROOT.id)).certificate_der)
    assert certificate.signature_algorithm_oid.dotted_string == "1.2.840.113549.1.1.11"


async def test_an_interrupted_first_start_goes_on_where_it_stopped(bench: Workbench) -> None:
    before = await bench.services.authorities.list(ADMIN)
    await bench.services.authorities.bootstrap("demo-cpo")
    assert await bench.services.authorities.list(ADMIN) == before


async def test_unknown_authorities_are_named_and_known_ones_listed(bench: Workbench) -> None:
    with pytest.raises(NotFound, match="nothing") as refusal:
        await bench.services.authorities.get(ADMIN, AuthorityId("nothing"))
    assert "operator-sub" in refusal.value.findings[0].hint


async def test_a_caller_without_the_scope_creates_nothing_and_is_on_record(bench: Workbench) -> None:
    reader = bench.caller(limited("reader", frozenset({"ca:authority:read"})))
    with pytest.raises(NotAuthorised):
        await bench.services.authorities.create(reader, ROOT)
    [entry] = (await bench.services.audit.list(ADMIN, actor=reader.actor.id)).items
    assert (entry.action, entry.outcome) == ("ca:certificate:propose", "refused")
