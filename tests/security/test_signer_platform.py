"""A whole platform over a signer: everything it signs of its own accord is what the signer signs."""

import json
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509 import ocsp

import chargepki.testing.workbench
from chargepki.adapters.keys.signer.journal import Head, verify_list
from chargepki.core.algorithms import KeySpec
from chargepki.core.records import AuthorityId, ProfileId
from chargepki.services.orders import CertificateOrder
from chargepki.testing.clock import FixedClock
from chargepki.testing.vault import MemoryVault
from chargepki.testing.workbench import ADMIN, open_workbench
from tests.adapters.keys.signer_thread import SignerThread


async def test_a_platform_works_over_a_signer_and_nothing_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = FixedClock()
    signer = SignerThread(tmp_path / "signer", MemoryVault(), clock=clock)
    monkeypatch.setattr(chargepki.testing.workbench, "MemoryVault", signer.client)
    monkeypatch.setattr(chargepki.testing.workbench, "FixedClock", lambda: clock)
    (tmp_path / "platform").mkdir()
    async with open_workbench(tmp_path / "platform") as bench:
        order = CertificateOrder(ProfileId("backend/tls-server"), key_spec=KeySpec.P256, host="csms.example.org")
        issued = await bench.services.issuance.request(ADMIN, order)
        crl = await bench.services.status.current_crl(AuthorityId("operator-sub"))
        view = await bench.services.authorities.view(AuthorityId("operator-sub"))
        asked = ocsp.OCSPRequestBuilder().add_certificate(
            x509.load_der_x509_certificate(issued.certificate.der), x509.load_der_x509_certificate(view.certificate_der), hashes.SHA256()
        )
        answer = await bench.services.status.answer(asked.build().public_bytes(serialization.Encoding.DER))
    signer.stop()
    assert ocsp.load_der_ocsp_response(answer.der).certificate_status is ocsp.OCSPCertStatus.GOOD
    assert isinstance(verify_list(signer.data / "list"), Head)
    lines = [json.loads(line) for path in sorted((signer.data / "list").iterdir()) for line in path.read_bytes().splitlines()]
    assert not [line for line in lines if line["outcome"] in ("refused", "broken")]
    serials = [line["says"]["serial"] for line in lines if line.get("purpose") == "certificate"]
    assert f"{issued.certificate.serial:x}" in serials
    assert len(serials) == 8  # six authorities, the server, the responder
    assert sum(line.get("purpose") == "ocsp" for line in lines) == 1
    assert [line["says"]["number"] for line in lines if line.get("purpose") == "crl"] == [str(crl.number)]
    sizes = [line["says"]["size"] for line in lines if line.get("purpose") == "log"]
    assert sizes == sorted(sizes)
    assert x509.load_der_x509_certificate(issued.certificate.der).serial_number == issued.certificate.serial
