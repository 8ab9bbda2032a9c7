"""chargepki keys over real vaults on this machine: sealed files and a SoftHSM token. No server."""

import json
import shutil
from pathlib import Path

import pytest

from chargepki.adapters.keys.pkcs11 import token
from chargepki.cli.main import main
from tests.adapters.keys.softhsm import PIN, SoftHsm
from tests.unit.cli.cli_runs import Said

LABEL = "ChargePKI doctor"


class Doctor:
    """Runs the command over one data directory."""

    def __init__(self, capsys: pytest.CaptureFixture[str], data: Path) -> None:
        self._capsys, self.data = capsys, data

    def __call__(self, *arguments: str) -> Said:
        code = main(["keys", *arguments, "--data", str(self.data)])
        out, err = self._capsys.readouterr()
        return Said(code, out, err)


@pytest.fixture
def keys(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Doctor:
    monkeypatch.setattr("chargepki.adapters.keys.process.harden_process", lambda: None)  # it would last for the tests after this
    monkeypatch.setattr(token, "_refused", token._RefusedPins())
    (tmp_path / "data").mkdir()
    return Doctor(capsys, tmp_path / "data")


@pytest.fixture
def hsm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keys: Doctor) -> SoftHsm:
    hsm = SoftHsm(tmp_path)
    hsm.set_up(LABEL)
    monkeypatch.setenv("SOFTHSM2_CONF", str(hsm.configuration))
    _write_pin(keys.data / "pin", PIN)
    _configure(keys.data, hsm.module)
    return hsm


def test_a_vault_of_files_is_well_and_left_as_it_was(keys: Doctor) -> None:
    said = keys("doctor", "--json")
    assert said.code == 0
    assert {check["name"] for check in json.loads(said.out)} == {"keys", "clock", "signature"}
    assert json.loads(keys("list", "--json").out) == []


def test_a_token_is_well_from_module_to_signature(hsm: SoftHsm, keys: Doctor) -> None:
    said = keys("doctor")
    assert said.code == 0, said.out + said.err
    names = [check["name"] for check in json.loads(keys("doctor", "--json").out)]
    assert names == ["module", "slots", "token", "pin", "login", "mechanisms", "sessions", "keys", "clock", "signature"]
    assert "and was destroyed" in said.out
    assert "CKM_ECDSA" in said.out
    assert PIN.decode() not in said.out + said.err
    assert json.loads(keys("list", "--json").out) == []


def test_a_wrong_pin_is_said_with_what_to_do_and_tried_once(hsm: SoftHsm, keys: Doctor) -> None:
    _write_pin(keys.data / "pin", b"wrong-1234")
    first, second = _failing(keys), _failing(keys)
    assert first["name"] == "login"
    assert "the PIN is wrong" in first["seen"]
    assert "locks" in first["fix"]
    assert "not tried again" in second["seen"]
    _write_pin(keys.data / "pin", PIN)
    checks = {check["name"]: check for check in json.loads(keys("doctor", "--json").out)}
    assert "somebody gave a wrong PIN" in checks["pin"]["seen"]
    assert checks["signature"]["is_well"]


def test_a_pin_file_that_others_may_read_is_not_used(hsm: SoftHsm, keys: Doctor) -> None:
    (keys.data / "pin").chmod(0o644)
    failing = _failing(keys)
    assert failing["name"] == "login"
    assert "chmod 600" in failing["fix"]


def test_an_absent_token_is_answered_with_those_there_are(hsm: SoftHsm, keys: Doctor) -> None:
    _configure(keys.data, hsm.module, token="elsewhere")
    failing = _failing(keys)
    assert LABEL in failing["seen"]
    assert "keys.token" in failing["fix"]


def test_a_token_that_nobody_initialised_is_said_so(hsm: SoftHsm, keys: Doctor) -> None:
    for entry in hsm.tokens.iterdir():
        shutil.rmtree(entry)
    failing = _failing(keys)
    assert failing["name"] == "slots"
    assert "not initialised" in failing["seen"]
    assert "--init-token" in failing["fix"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "No such file"),
        (b"#!/bin/sh\n", "is no library"),
        (b"\x7fELF\x02\x01\x01" + bytes(11) + b"\xf3\x00", "another kind of machine"),
    ],
)
def test_a_module_that_cannot_work_is_not_loaded(tmp_path: Path, keys: Doctor, content: bytes | None, words: str) -> None:
    module = tmp_path / "module.so"
    if content is not None:
        module.write_bytes(content)
        module.chmod(0o755)
    _configure(keys.data, module)
    failing = _failing(keys)
    assert failing["name"] == "module"
    assert words in failing["seen"]
    assert failing["fix"]


def test_a_module_that_others_may_change_is_not_loaded(tmp_path: Path, hsm: SoftHsm, keys: Doctor) -> None:
    module = tmp_path / "module.so"
    shutil.copy(hsm.module, module)
    module.chmod(0o777)
    _configure(keys.data, module)
    assert "others may change" in _failing(keys)["seen"]


def test_a_named_key_is_used_and_kept(keys: Doctor) -> None:
    assert keys("doctor", "--key", "../../etc/passwd").code == 1


def test_a_pin_in_the_configuration_is_refused_and_not_repeated(hsm: SoftHsm, keys: Doctor) -> None:
    _configure(keys.data, hsm.module, token="pkcs11:token=A?pin-value=secret-1234")
    said = keys("doctor")
    assert said.code == 1
    assert "keys.pin" in said.err
    assert "secret-1234" not in said.out + said.err


def _failing(keys: Doctor) -> dict[str, str]:
    said = keys("doctor", "--json")
    assert said.code == 1
    failing = [check for check in json.loads(said.out) if not check["is_well"]]
    return dict(failing[0])


def _configure(data: Path, module: Path, token: str = LABEL) -> None:
    (data / "config.toml").write_text(f'[keys]\ntype = "pkcs11"\nmodule = "{module}"\ntoken = "{token}"\npin = {{ file = "pin" }}\n')


def _write_pin(path: Path, pin: bytes) -> None:
    path.write_bytes(pin + b"\n")
    path.chmod(0o600)
