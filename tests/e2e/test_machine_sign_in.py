"""A backend orders its certificate with the administrator's help and works with nothing else from then on."""

import asyncio
import ssl
from pathlib import Path

import httpx
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from chargepki.testing.server import running_server

CONFIG = """
[[sign_in.oidc]]
name = "corp"
title = "Example Corporation"
issuer = "http://127.0.0.1:1/realm"
client_id = "chargepki"
"""


async def test_a_backend_signs_in_with_its_certificate_alone_and_is_out_once_it_is_revoked(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "config.toml").write_text(CONFIG)
    async with running_server(tmp_path / "data") as server, server.client() as client:
        assert [way.title for way in (await client.sign_in.ways()).oidc] == ["Example Corporation"]
        machine = await client._transport.post("/machines", {"name": "backend", "role": "csms", "party": "demo-cpo"})
        key = ec.generate_private_key(ec.SECP256R1())
        csr = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
        pem = csr.public_bytes(serialization.Encoding.PEM).decode()
        id = machine["id"] if "id" in machine else machine["machine"]["id"]
        order = {"profile": "backend/mtls-client", "machine": id, "csr": pem}
        issued = await client._transport.post("/certificates", order)
        chain = await client.certificates.chain(issued["certificate"]["id"])
        path = tmp_path / "backend.pem"
        plain = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        path.write_bytes(plain + (chain if isinstance(chain, bytes) else chain.encode()))
        context = ssl.create_default_context(cafile=str(server.ca_file))
        context.load_cert_chain(path)
        async with httpx.AsyncClient(verify=context, base_url=server.api) as http:
            who = await http.get("/api/v1/whoami")
            assert who.json()["actor"] == f"machine:{id}", who.text
            await client.certificates.revoke(issued["certificate"]["id"], reason="keyCompromise")
            await asyncio.sleep(1.1)
            assert (await http.get("/api/v1/whoami")).status_code == 401
