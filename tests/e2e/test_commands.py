"""Commands that need a whole platform around them: the responder, the listeners, the first start."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from chargepki.cli.exits import Exit
from chargepki.testing.server import ServerProcess, running_server


async def chargepki(server: ServerProcess, *arguments: str) -> tuple[int, Any]:
    """The exit code, and what --json said."""
    command = [sys.executable, "-m", "chargepki", *arguments, "--data", str(server.data), "--json"]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, json.loads(out)


@pytest.mark.clause("RFC 6960 2.2", "RFC 6960 4.2.2.2", "RFC 9654 2.1")
async def test_ocsp_check_verifies_what_the_responder_says_of_a_certificate_and_of_a_sub_ca(tmp_path: Path) -> None:
    async with running_server(tmp_path) as server, server.client() as client:
        issued = await client.certificates.order(profile="backend/tls-server", key_spec="ec-p256", host="csms.example.org")
        id = issued.certificate.id
        code, verdict = await chargepki(server, "ocsp", "check", id, "--nonce")
        assert (code, verdict["status"], verdict["is_trusted"]) == (Exit.DONE, "good", True)
        await client.certificates.revoke(id, reason="superseded")
        code, verdict = await chargepki(server, "ocsp", "check", id)
        assert (code, verdict["status"], verdict["reason"], verdict["is_trusted"]) == (Exit.REFUSED, "revoked", "superseded", True)
        sub = (await client.authorities.get("operator-sub")).certificate
        code, verdict = await chargepki(server, "ocsp", "check", sub)
        assert (code, verdict["status"], verdict["responder"]) == (Exit.DONE, "good", "CN=OCSP responder operator-root,O=demo-cpo")
        unheard = ("ocsp", "check", id, "--responder", "http://127.0.0.1:1/ocsp")
        assert (await chargepki(server, *unheard))[0] == Exit.UNREACHABLE


async def test_doctor_finds_a_fresh_platform_well(tmp_path: Path) -> None:
    async with running_server(tmp_path) as server:
        code, checks = await chargepki(server, "doctor")
    assert code == Exit.DONE
    assert {check["name"] for check in checks} == {"reach", "tls", "clock", "token", "ready", "crl", "ocsp"}


async def test_up_says_as_json_where_it_listens_and_what_to_trust(tmp_path: Path) -> None:
    async with running_server(tmp_path, "--json") as server:
        log = server.log()
        said = json.loads(log[log.index("{") : log.rindex("}") + 1])
    assert (said["api"], said["is_new"]) == (server.api, True)
    assert sorted(root["id"] for root in said["roots"]) == ["manufacturer-root", "operator-root", "operator-rsa-root"]
