"""The OCSP door on a real socket, asked by OpenSSL, GnuTLS, curl and httpx."""

import base64
import re
import shutil
from collections.abc import AsyncIterator
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from chargepki.core import oids
from chargepki.core.ocsp import MALFORMED_REQUEST, REQUEST_OCTETS_MAX, TRY_LATER, UNAUTHORIZED, cert_id_hashes
from chargepki.core.records import AuthorityId, Certificate, CertificateEvent
from chargepki.core.revocation import RevocationReason
from chargepki.errors import StoreUnavailable
from chargepki.testing.workbench import ADMIN, Workbench
from tests.protocols.plain_server import run, serving
from tests.unit.services.status_bench import SUB, at_real_time, issue, request_for

POST = {"content-type": "application/ocsp-request"}


@pytest.fixture
async def url(bench: Workbench) -> AsyncIterator[str]:
    async with serving(at_real_time(bench)) as base:
        yield base


async def write_chain(bench: Workbench, directory: Path, certificate: Certificate) -> tuple[str, str, str]:
    """Paths of the leaf, its issuer, and the root."""
    view = await bench.services.authorities.view(certificate.issuer)
    paths = []
    for name, der in (("leaf", certificate.der), ("sub", view.chain[0]), ("root", view.chain[-1])):
        path = directory / f"{name}-{certificate.id}.pem"
        path.write_bytes(x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM))
        paths.append(str(path))
    return paths[0], paths[1], paths[2]


@pytest.mark.clause("RFC 6960 4.2.1", "RFC 6960 A.1", "OCPP M06")
@pytest.mark.parametrize("issuer", ["operator-sub", "operator-rsa-sub"])
async def test_openssl_asks_with_each_hash_and_believes_the_answer(bench: Workbench, url: str, tmp_path: Path, issuer: str) -> None:
    good, bad = [await issue(bench, f"{name}.example.org", issuer=AuthorityId(issuer)) for name in ("good", "bad")]
    await bench.services.revocation.revoke(ADMIN, bad.id, reason=RevocationReason.KEY_COMPROMISE)
    for certificate, status in ((good, "good"), (bad, "revoked")):
        leaf, sub, root = await write_chain(bench, tmp_path, certificate)
        asked = ("openssl", "ocsp", "-issuer", sub, "-CAfile", root, "-verify_other", sub, "-url", f"{url}/ocsp")
        for digest in ("-sha1", "-sha256", "-sha384", "-sha512"):
            for nonce in ((), ("-no_nonce",)):
                code, shown = await run(*asked, *nonce, digest, "-cert", leaf)
                assert code == 0, shown
                assert "Response verify OK" in shown
                assert f"{leaf}: {status}" in shown
                assert "WARNING" not in shown
        if status == "revoked":
            assert "Reason: keyCompromise" in shown


async def test_openssl_learns_that_a_serial_number_was_never_issued(bench: Workbench, url: str, tmp_path: Path) -> None:
    leaf, sub, root = await write_chain(bench, tmp_path, await issue(bench))
    _, shown = await run("openssl", "ocsp", "-issuer", sub, "-CAfile", root, "-url", f"{url}/ocsp", "-serial", "0x1234", "-cert", leaf)
    assert "0x1234: unknown" in shown
    assert f"{leaf}: good" in shown


@pytest.mark.skipif(shutil.which("ocsptool") is None, reason="GnuTLS ocsptool is not installed")
async def test_gnutls_asks_and_believes_the_answer(bench: Workbench, url: str, tmp_path: Path) -> None:
    certificate = await issue(bench)
    leaf, sub, _ = await write_chain(bench, tmp_path, certificate)
    asked = ("ocsptool", f"--ask={url}/ocsp", "--load-cert", leaf, "--load-issuer", sub)
    code, shown = await run(*asked)
    assert code == 0, shown
    assert "Certificate Status: good" in shown
    await bench.services.revocation.revoke(ADMIN, certificate.id, reason=RevocationReason.SUPERSEDED)
    _, shown = await run(*asked)
    assert "Certificate Status: revoked" in shown
    assert "Verifying OCSP Response: Success" in shown


@pytest.mark.clause("RFC 6960 A.1", "RFC 5019 5")
@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
async def test_curl_gets_what_a_post_gets(bench: Workbench, url: str, tmp_path: Path) -> None:
    request, body = await request_for(bench, await issue(bench)), tmp_path / "answer.der"
    encoded = base64.b64encode(request).decode()
    for path in (quote(encoded, safe=""), encoded, f"/{encoded}"):
        code, shown = await run("curl", "-sS", "--path-as-is", "-o", str(body), "-D", "-", f"{url}/ocsp/{path}")
        assert code == 0, shown
        assert "application/ocsp-response" in shown
        async with httpx.AsyncClient() as client:
            posted = await client.post(f"{url}/ocsp", content=request, headers=POST)
        assert body.read_bytes() == posted.content
        assert "cache-control: max-age=" in shown


@pytest.mark.clause("RFC 5019 6.2")
async def test_a_get_without_a_nonce_may_be_kept_until_its_validator_changes(bench: Workbench, url: str) -> None:
    certificate = await issue(bench)
    path = f"{url}/ocsp/{quote(base64.b64encode(await request_for(bench, certificate)), safe='')}"
    async with httpx.AsyncClient() as client:
        first = await client.get(path)
        answer, etag = ocsp.load_der_ocsp_response(first.content), first.headers["etag"]
        assert re.fullmatch(r"max-age=300, public, no-transform, must-revalidate", first.headers["cache-control"])
        assert parsedate_to_datetime(first.headers["last-modified"]) == answer.this_update_utc
        assert parsedate_to_datetime(first.headers["expires"]) == answer.next_update_utc
        again = await client.get(path, headers={"if-none-match": f'"other", W/{etag}'})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
        head = await client.head(path)
        assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", str(len(first.content)))
        await bench.services.revocation.revoke(ADMIN, certificate.id, reason=RevocationReason.SUPERSEDED)
        changed = await client.get(path, headers={"if-none-match": etag})
        assert changed.status_code == 200
        assert ocsp.load_der_ocsp_response(changed.content).certificate_status is ocsp.OCSPCertStatus.REVOKED


@pytest.mark.clause("RFC 5019 6.2")
async def test_what_must_not_be_kept_says_so(bench: Workbench, url: str) -> None:
    request = await request_for(bench, await issue(bench), nonce=b"n" * 32)
    async with httpx.AsyncClient() as client:
        answers = [
            await client.get(f"{url}/ocsp/{quote(base64.b64encode(request), safe='')}"),
            await client.post(f"{url}/ocsp", content=request, headers=POST),
            await client.get(f"{url}/ocsp/not-base64-at-all"),
        ]
    assert [answer.headers["cache-control"] for answer in answers] == ["no-store"] * 3
    assert all("etag" not in answer.headers for answer in answers)


@pytest.mark.clause("RFC 6960 2.3")
async def test_errors_of_the_protocol_are_answers_of_the_protocol(bench: Workbench, url: str) -> None:
    request = await request_for(bench, await issue(bench))
    view = await bench.services.authorities.view(SUB)
    stranger = request.replace(cert_id_hashes(view.name_der, view.spki, oids.SHA256).key, b"?" * 32)
    async with httpx.AsyncClient() as client:
        for content, expected in ((b"", MALFORMED_REQUEST), (b"\x30\x03abc", MALFORMED_REQUEST), (stranger, UNAUTHORIZED)):
            answer = await client.post(f"{url}/ocsp", content=content, headers=POST)
            assert (answer.status_code, answer.content) == (200, expected)
            assert answer.headers["content-type"] == "application/ocsp-response"


async def test_a_lost_store_answers_try_later_and_never_good(bench: Workbench, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    request = await request_for(bench, await issue(bench))

    async def lost(*_: object) -> tuple[bool, CertificateEvent | None]:
        raise StoreUnavailable("the disk is gone")

    monkeypatch.setattr(bench.ports.store, "lookup_status", lost)
    async with httpx.AsyncClient() as client:
        answer = await client.post(f"{url}/ocsp", content=request, headers=POST)
    assert (answer.status_code, answer.content) == (200, TRY_LATER)


async def test_other_methods_types_paths_and_sizes_get_their_http_code(bench: Workbench, url: str) -> None:
    async with httpx.AsyncClient() as client:
        wrong_type = await client.post(f"{url}/ocsp", content=b"{}", headers={"content-type": "application/json"})
        no_type = await client.post(f"{url}/ocsp", content=b"x")
        too_long = await client.post(f"{url}/ocsp", content=b"\x30" * (REQUEST_OCTETS_MAX + 1), headers=POST)
        put = await client.put(f"{url}/ocsp", content=b"x")
        bare = await client.get(f"{url}/ocsp")
        elsewhere = await client.post(f"{url}/ocsp/elsewhere", content=b"x", headers=POST)
        with_charset = await client.post(f"{url}/ocsp", content=b"", headers={"content-type": "Application/OCSP-Request; charset=x"})
    answers = (wrong_type, no_type, too_long, put, bare, elsewhere, with_charset)
    assert [answer.status_code for answer in answers] == [415, 415, 413, 405, 404, 404, 200]
    assert put.headers["allow"] == "GET, HEAD, POST"
    assert "application/ocsp-request" in wrong_type.text
    assert "POST an OCSP request to /ocsp" in bare.text
