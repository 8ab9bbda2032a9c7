"""After a full life of a real server, no secret lies anywhere but where it belongs, and nobody else may read what does."""

import asyncio
import base64
import json
import os
import resource
import ssl
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives import serialization
from tests.api.api_platform import make_csr

from chargepki.adapters.keys.file import FileVault
from chargepki.adapters.keys.passphrase import development_passphrase
from chargepki.testing.server import ServerProcess, running_server
from chargepki.testing.station.link import UpgradeRefused
from chargepki.testing.station.simulator import StationSimulator

PASSPHRASE = "a passphrase for one file"
WRONG_PASSWORD = "a-wrong-password-that-somebody-typed"
FORGED_TOKEN = "cpat_somebodys-token-for-another-platform"
PUBLIC = {"endpoints.json", "server.log", "policy"}  # what anybody on the machine may read, like everything in trust/


async def live(server: ServerProcess) -> dict[str, str]:
    """Uses every secret there is, rightly and wrongly. Answers them by name."""
    async with httpx.AsyncClient(base_url=f"{server.api}/api/v1", verify=ssl.create_default_context(cafile=server.ca_file)) as http:
        administrator = {"Authorization": f"Bearer {server.admin_token}"}

        async def post(path: str, body: dict[str, object] | None = None, **headers: str) -> httpx.Response:
            return await http.post(path, json=body, headers={**administrator, **headers})

        await post("/stations", {"id": "CS-17", "serial_number": "SN-17", "operator": "demo-cpo"})
        password = (await post("/stations/CS-17/password", **{"Idempotency-Key": "password-1"})).json()["password"]
        enrolment = (await post("/stations/CS-17/enrolment-tokens", {}, **{"Idempotency-Key": "enrolment-1"})).json()["secret"]
        token = (await post("/tokens", {"name": "t", "scopes": ["*:*:*"]}, **{"Idempotency-Key": "token-1"})).json()["secret"]
        order = {"profile": "backend/mtls-client", "key_spec": "ec-p256", "common_name": "billing"}
        certificate = (await post("/certificates", order)).json()["certificate"]["id"]
        for body in ({"passphrase": PASSPHRASE}, {"passphrase": [PASSPHRASE]}, {"passphrase": PASSPHRASE, "extra": PASSPHRASE}):
            await post(f"/certificates/{certificate}/pkcs12", body, **{"Idempotency-Key": f"pkcs12-{len(str(body))}"})
        await http.get("/tokens", headers={"Authorization": f"Bearer {FORGED_TOKEN}"})
        ordered = {"profile": "ocpp/station", "station": "CS-17", "csr": make_csr()}
        for _ in range(2):  # the second time it was used already
            await http.post("/certificates", json=ordered, headers={"Authorization": f"Bearer {enrolment}"})
        await http.post("/certificates", json={"csr": enrolment, enrolment: 1}, headers=administrator)  # pasted into the wrong field
    async with StationSimulator("CS-17", server.ocpp, server.operator_roots_pem(), serial_number="SN-17") as station:
        with pytest.raises(UpgradeRefused):
            await station.connect_basic(WRONG_PASSWORD)
        await station.connect_basic(password)
        await station.boot()
        await station.wait_for_certificate()
    return {"password": password, "enrolment token": enrolment, "token": token, "administrator's token": server.admin_token}


def spellings(secret: bytes) -> Iterator[bytes]:
    """How a secret could have been written down."""
    yield secret
    yield secret.hex().encode()
    for shift in range(3):  # base64 depends on where in the text the secret begins
        encoded = base64.b64encode(b"\0" * shift + secret)
        yield encoded[4 if shift else 0 : -4]


async def private_scalars(data: Path) -> dict[str, bytes]:
    vault = FileVault.open(data / "keys", development_passphrase(data / "keys"))
    found = {}
    for handle in await vault.list():
        _, key = await vault._open(handle.ref)
        plain = key.private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        found[f"{handle.ref} of {handle.label}"] = (
            plain[-180:-150] if len(plain) > 400 else plain[36:68]
        )  # RSA: inside a prime; EC: the scalar
    return found


def find_secrets(data: Path, secrets: dict[str, bytes]) -> list[str]:
    """Where each secret turned up."""
    found = []
    for path in sorted(path for path in data.rglob("*") if path.is_file()):
        content = path.read_bytes()
        for name, secret in secrets.items():
            if any(spelling in content for spelling in spellings(secret)):
                found.append(f"{name} in {path.relative_to(data)}")
    return found


async def test_no_secret_is_written_down(tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with running_server(data) as server:
        secrets = {name: text.encode() for name, text in (await live(server)).items()}
        process = Path(f"/proc/{server.pid}")
        if sys.platform == "linux":
            arguments = await asyncio.to_thread((process / "cmdline").read_bytes)
            assert not [name for name, secret in secrets.items() if secret in arguments]
    secrets |= {"PKCS#12 passphrase": PASSPHRASE.encode(), "wrong password": WRONG_PASSWORD.encode(), "forged token": FORGED_TOKEN.encode()}
    scalars = await private_scalars(data)
    assert len(scalars) >= 10
    found = await asyncio.to_thread(find_secrets, data, secrets | scalars)
    assert found == ["administrator's token in admin.token"]  # its home; that it is found shows that the search works


async def test_nobody_else_may_read_what_is_secret(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir(mode=0o755)  # as somebody makes it who thinks of nothing
    async with running_server(data) as server:
        await live(server)
        open_files = {
            str(path.relative_to(data)): stat.filemode(path.stat().st_mode)
            for path in data.rglob("*")
            if path.is_file() and path.parent.name != "trust" and path.name not in PUBLIC and path.stat().st_mode & 0o077
        }
        assert open_files == {}
        assert stat.S_IMODE((data / "keys").stat().st_mode) == 0o700
        endpoints = json.loads((data / "endpoints.json").read_text())
        assert server.admin_token not in str(endpoints)


@pytest.mark.skipif(sys.platform != "linux", reason="/proc belongs to Linux")
async def test_the_server_leaves_no_core_file_and_lets_nobody_look_into_it(tmp_path: Path) -> None:
    async with running_server(tmp_path / "data") as server:
        limits = resource.prlimit(server.pid, resource.RLIMIT_CORE)
        assert limits == (0, 0)
        if os.geteuid():  # an undumpable process belongs to root in /proc: another process of this user may not read its memory
            assert (await asyncio.to_thread(Path(f"/proc/{server.pid}/mem").stat)).st_uid == 0
