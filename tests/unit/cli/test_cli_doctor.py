"""The doctor against a server as it really runs: TLS, status port, metrics port."""

import asyncio
import json
from pathlib import Path

import pytest

from chargepki.cli.exits import Exit
from chargepki.cli.main import main
from chargepki.testing.server import running_server


async def test_the_doctor_finds_a_fresh_platform_well_and_names_what_is_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    data = str(tmp_path / "data")
    (tmp_path / "wrong").write_text("cpat_wrong")
    async with running_server(tmp_path / "data"):
        well = await asyncio.to_thread(main, ["doctor", "--data", data, "--json"])
        checks = json.loads(capsys.readouterr().out)
        ill = await asyncio.to_thread(main, ["doctor", "--data", data, "--token-file", str(tmp_path / "wrong")])
        said = capsys.readouterr().out
    assert well == Exit.DONE, checks
    assert {"reach", "tls", "clock", "token", "ready", "crl", "ocsp"} == {check["name"] for check in checks}
    assert ill == Exit.REFUSED
    assert "FAIL  token" in said
    assert "fix: chargepki token create" in said


def test_the_doctor_says_when_nobody_is_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "admin.token").write_text("cpat_x")
    assert main(["doctor", "--data", str(tmp_path), "--url", "https://127.0.0.1:9"]) == Exit.REFUSED
    assert "chargepki up" in capsys.readouterr().out
