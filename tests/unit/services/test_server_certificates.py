"""The platform's own server certificates: kept while they are good, renewed in time, for the names it has now."""

from datetime import timedelta

import pytest

from chargepki.core.algorithms import KeySpec
from chargepki.core.records import Certificate, ProfileId
from chargepki.core.revocation import RevocationReason
from chargepki.services.server_certificates import ServerCertificates, ServerNames
from chargepki.testing.workbench import ADMIN, Workbench

SERVER = ProfileId("ocpp/csms-server")
NAMES = ServerNames(("csms.example.org",), ("192.0.2.1",))


async def ensure(bench: Workbench, names: ServerNames = NAMES, spec: KeySpec = KeySpec.P256) -> Certificate:
    return (await ServerCertificates(bench.ports, bench.services.issuance, names).ensure(SERVER, spec)).certificate


async def test_a_good_certificate_is_kept_over_a_restart(bench: Workbench) -> None:
    assert await ensure(bench) == await ensure(bench)


@pytest.mark.clause("OCPP A00.FR.318")
async def test_each_kind_of_key_has_a_certificate_and_an_authority_of_its_own(bench: Workbench) -> None:
    ecdsa, rsa = await ensure(bench), await ensure(bench, spec=KeySpec.RSA2048)
    assert (ecdsa.issuer, rsa.issuer) == ("operator-sub", "operator-rsa-sub")
    assert (await ensure(bench), await ensure(bench, spec=KeySpec.RSA2048)) == (ecdsa, rsa)


async def test_the_last_third_of_a_lifetime_brings_a_new_one_with_a_new_key(bench: Workbench) -> None:
    first = await ensure(bench)
    lifetime = first.not_after - first.not_before
    bench.clock.set(first.not_before + lifetime * 2 / 3 - timedelta(hours=1))
    assert await ensure(bench) == first
    bench.clock.advance(timedelta(hours=2))
    second = await ensure(bench)
    assert second.not_after > first.not_after
    assert second.spki_sha256 != first.spki_sha256
    assert await ensure(bench) == second


async def test_another_name_or_a_revocation_brings_a_new_one(bench: Workbench) -> None:
    first = await ensure(bench)
    renamed = await ensure(bench, ServerNames(("csms.example.org", "csms2.example.org"), ("192.0.2.1",)))
    assert renamed != first
    again = await ensure(bench)
    await bench.services.revocation.revoke(ADMIN, again.id, reason=RevocationReason.SUPERSEDED)
    assert (await ensure(bench)).id not in (again.id, renamed.id)
