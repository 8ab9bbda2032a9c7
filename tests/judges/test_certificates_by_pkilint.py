"""pkilint, an independent linter, finds no error in a certificate of any profile, with any kind of key it allows."""

from collections.abc import Callable
from typing import Any

import pytest
from pkilint import loader, validation
from pkilint.pkix import certificate, extension, name
from tests.judges.waivers import PKILINT_WAIVERS

from chargepki.core.algorithms import KeySpec
from chargepki.core.pem import encode_pem
from chargepki.core.profiles.authority import ROOT_OPERATOR, SUB_OPERATOR
from chargepki.core.profiles.model import Profile, ProfileKind, SubjectKind
from chargepki.core.profiles.registry import BUILT_IN
from chargepki.core.records import AuthorityId, StationId
from chargepki.services.authorities import NewAuthority
from chargepki.services.orders import CertificateOrder
from chargepki.testing.workbench import ADMIN, Workbench

LEAFS = [profile for profile in BUILT_IN if profile.kind is ProfileKind.LEAF]
SERIOUS = (validation.ValidationFindingSeverity.ERROR, validation.ValidationFindingSeverity.FATAL)
STATION_ID = StationId("CS-1")


@pytest.fixture(scope="session")
def find_errors() -> Callable[[bytes], list[str]]:
    validator = certificate.create_pkix_certificate_validator_container(
        certificate.create_decoding_validators(name.ATTRIBUTE_TYPE_MAPPINGS, extension.EXTENSION_MAPPINGS),
        [
            certificate.create_issuer_validator_container([]),
            certificate.create_validity_validator_container(),
            certificate.create_subject_validator_container([]),
            certificate.create_extensions_validator_container([]),
            certificate.create_spki_validator_container([]),
        ],
    )

    def find(der: bytes) -> list[str]:
        document: Any = loader.load_pem_certificate(encode_pem("CERTIFICATE", der), "certificate")
        findings = [found for result in validator.validate(document.root) for found in result.finding_descriptions]
        serious = [f for f in findings if f.finding.severity in SERIOUS]
        return [f"{f.finding.code} {f.message or ''}" for f in serious if f.finding.code not in PKILINT_WAIVERS]

    return find


async def issue(bench: Workbench, profile: Profile, key_spec: KeySpec) -> bytes:
    """A certificate of `profile` for a key of the vault."""
    key = await bench.ports.vault.generate(key_spec, label="judged")
    is_station, is_host = profile.subject_kind is SubjectKind.STATION, profile.subject_kind is SubjectKind.HOST
    order = CertificateOrder(
        profile.id,
        vault_key=key.ref,
        station=STATION_ID if is_station else None,
        host="csms.example.org" if is_host else "",
        common_name="" if is_host or is_station else "SN-0001",
        organization="" if is_station else "demo-cpo",
    )
    caller = bench.system if profile.subject_kind is SubjectKind.RESPONDER else ADMIN
    return (await bench.services.issuance.request(caller, order)).certificate.der


@pytest.mark.parametrize("profile", LEAFS, ids=lambda profile: profile.id)
@pytest.mark.clause("RFC 5280 4.1", "RFC 5280 4.2")
async def test_pkilint_finds_no_error_in_a_leaf(bench: Workbench, find_errors: Callable[[bytes], list[str]], profile: Profile) -> None:
    await bench.services.inventory.add_station(ADMIN, id=STATION_ID, serial_number="SN-0001", operator="demo-cpo")
    for key_spec in sorted(profile.keys):
        assert find_errors(await issue(bench, profile, key_spec)) == [], key_spec


@pytest.mark.parametrize("key_spec", list(KeySpec))
@pytest.mark.clause("RFC 5280 4.2.1.9", "RFC 5280 4.2.1.2")
async def test_pkilint_finds_no_error_in_authorities(
    bench: Workbench, find_errors: Callable[[bytes], list[str]], key_spec: KeySpec
) -> None:
    root, sub = AuthorityId("judged-root"), AuthorityId("judged-sub")
    await bench.services.authorities.create(ADMIN, NewAuthority(root, ROOT_OPERATOR, None, key_spec, "Judged Root CA", "demo-cpo"))
    await bench.services.authorities.create(ADMIN, NewAuthority(sub, SUB_OPERATOR, root, key_spec, "Judged Sub CA", "demo-cpo"))
    for id in (root, sub):
        assert find_errors((await bench.services.authorities.view(id)).certificate_der) == []
