"""CRLs and issuer certificates on a real socket, fetched by curl and httpx and used by OpenSSL and GnuTLS."""

import shutil
from collections.abc import AsyncIterator
from email.utils import parsedate_to_datetime
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from chargepki.core.records import AuthorityId
from chargepki.core.revocation import RevocationReason
from chargepki.errors import VaultUnavailable
from chargepki.ports import SigningOrder
from chargepki.testing.workbench import ADMIN, Workbench
from tests.protocols.plain_server import run, serving
from tests.unit.services.status_bench import SUB, at_real_time, issue


@pytest.fixture
async def url(bench: Workbench) -> AsyncIterator[str]:
    async with serving(at_real_time(bench)) as base:
        yield base


@pytest.mark.clause("RFC 2585 4.2", "RFC 5280 4.2.1.13")
@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
async def test_openssl_checks_a_chain_with_what_curl_fetched(bench: Workbench, url: str, tmp_path: Path) -> None:
    certificate = await issue(bench)
    await bench.services.revocation.revoke(ADMIN, certificate.id, reason=RevocationReason.KEY_COMPROMISE)
    await bench.services.status.publish_crl(SUB)
    files = {"crl/operator-sub.crl": "crl", "crl/operator-root.crl": "crl", "ca/operator-sub.cer": "x509", "ca/operator-root.cer": "x509"}
    for path, kind in files.items():
        der, pem = tmp_path / "fetched", tmp_path / path.replace("/", "-")
        code, shown = await run("curl", "-sSf", "-o", str(der), f"{url}/{path}")
        assert code == 0, shown
        code, shown = await run("openssl", kind, "-inform", "DER", "-in", str(der), "-out", str(pem))
        assert code == 0, shown
    crls = tmp_path / "crls.pem"
    crls.write_bytes((tmp_path / "crl-operator-sub.crl").read_bytes() + (tmp_path / "crl-operator-root.crl").read_bytes())
    leaf = tmp_path / "leaf.pem"
    leaf.write_bytes(x509.load_der_x509_certificate(certificate.der).public_bytes(Encoding.PEM))
    root, sub = str(tmp_path / "ca-operator-root.cer"), str(tmp_path / "ca-operator-sub.cer")
    checks = ("openssl", "verify", "-crl_check_all", "-CRLfile", str(crls), "-CAfile", root)
    code, shown = await run(*checks, "-untrusted", sub, str(leaf))
    assert code != 0
    assert "certificate revoked" in shown
    code, shown = await run(*checks, sub)
    assert code == 0, shown


@pytest.mark.clause("RFC 2585 4.2")
async def test_a_list_may_be_kept_until_its_number_changes(bench: Workbench, url: str) -> None:
    async with httpx.AsyncClient() as client:
        first = await client.get(f"{url}/crl/operator-sub.crl")
        crl = x509.load_der_x509_crl(first.content)
        assert (first.headers["content-type"], first.headers["etag"]) == ("application/pkix-crl", '"operator-sub-1"')
        assert parsedate_to_datetime(first.headers["last-modified"]) == crl.last_update_utc
        assert parsedate_to_datetime(first.headers["expires"]) == crl.next_update_utc
        assert first.headers["cache-control"].startswith("max-age=300,")
        again = await client.get(f"{url}/crl/operator-sub.crl", headers={"if-none-match": '"operator-sub-1"'})
        assert (again.status_code, again.content) == (304, b"")
        await bench.services.status.publish_crl(SUB)
        changed = await client.get(f"{url}/crl/operator-sub.crl", headers={"if-none-match": '"operator-sub-1"'})
        assert (changed.status_code, changed.headers["etag"]) == (200, '"operator-sub-2"')
        head = await client.head(f"{url}/crl/operator-sub.crl")
        assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", str(len(changed.content)))


@pytest.mark.clause("RFC 5280 4.2.2.1", "RFC 2585 4.1")
async def test_an_issuer_is_fetched_as_its_certificate(bench: Workbench, url: str) -> None:
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"{url}/ca/operator-sub.cer")
        kept = await client.get(f"{url}/ca/operator-sub.cer", headers={"if-none-match": answer.headers["etag"]})
    assert answer.headers["content-type"] == "application/pkix-cert"
    assert answer.content == (await bench.services.authorities.view(SUB)).certificate_der
    assert kept.status_code == 304


@pytest.mark.skipif(shutil.which("certtool") is None, reason="GnuTLS certtool is not installed")
async def test_gnutls_verifies_the_list(bench: Workbench, url: str, tmp_path: Path) -> None:
    async with httpx.AsyncClient() as client:
        (tmp_path / "sub.crl").write_bytes((await client.get(f"{url}/crl/operator-sub.crl")).content)
    view = await bench.services.authorities.view(SUB)
    (tmp_path / "sub.cer").write_bytes(view.certificate_der)
    files = ("--load-ca-certificate", str(tmp_path / "sub.cer"), "--infile", str(tmp_path / "sub.crl"))
    code, shown = await run("certtool", "--verify-crl", "--inder", *files)
    assert code == 0, shown
    assert "Verification output: Verified" in shown


async def test_what_is_not_there_is_explained(bench: Workbench, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with httpx.AsyncClient() as client:
        nobody = await client.get(f"{url}/crl/nobody.crl")
        odd = [
            await client.get(f"{url}{path}")
            for path in ("/crl/", "/crl/x", "/crl/.crl", f"/ca/{'x' * 65}.cer", "/ca/../crl/operator-sub.cer")
        ]
        post = await client.post(f"{url}/crl/operator-sub.crl")
    assert nobody.status_code == 404
    assert "operator-sub" in nobody.text
    assert [answer.status_code for answer in odd] == [404] * 5
    assert (post.status_code, post.headers["allow"]) == (405, "GET, HEAD")


async def test_without_a_vault_the_first_list_is_asked_for_later(bench: Workbench, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def locked(order: SigningOrder) -> bytes:
        raise VaultUnavailable("locked")

    monkeypatch.setattr(bench.ports.vault, "sign", locked)
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"{url}/crl/{AuthorityId('operator-sub')}.crl")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "10")
