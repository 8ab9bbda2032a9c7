import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from chargepki.adapters.keys.passphrase import development_passphrase, passphrase_from_file, passphrase_from_terminal
from chargepki.errors import Broken


def _file(tmp_path: Path, content: bytes, mode: int = 0o600) -> Path:
    path = tmp_path / "passphrase"
    path.write_bytes(content)
    path.chmod(mode)
    return path


@pytest.mark.parametrize("content", [b"correct horse", b"correct horse\n", b"correct horse\r\n", b"correct horse\nsecond line\n"])
def test_the_first_line_is_the_passphrase(tmp_path: Path, content: bytes) -> None:
    assert passphrase_from_file(_file(tmp_path, content)) == b"correct horse"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o777])
def test_a_file_that_others_may_read_is_refused_with_the_remedy(tmp_path: Path, mode: int) -> None:
    path = _file(tmp_path, b"correct horse", mode)
    with pytest.raises(Broken, match="others may read") as refusal:
        passphrase_from_file(path)
    assert refusal.value.hint == f"chmod 600 {path}"


@pytest.mark.parametrize("content", [b"", b"\n", b"x" * 1025])
def test_a_file_without_a_passphrase_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(Broken, match="is no passphrase"):
        passphrase_from_file(_file(tmp_path, content))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(Broken, match=r"cannot read the passphrase file .*No such file"):
        passphrase_from_file(tmp_path / "absent")


def test_without_a_terminal_nobody_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    with Path(os.devnull).open() as nobody:
        monkeypatch.setattr(sys, "stdin", nobody)
        with pytest.raises(Broken, match="no terminal"):
            passphrase_from_terminal()


def test_the_development_passphrase_is_made_once_and_for_the_owner_only(tmp_path: Path) -> None:
    first = development_passphrase(tmp_path / "keys")
    assert len(first) >= 32
    assert development_passphrase(tmp_path / "keys") == first
    assert development_passphrase(tmp_path / "other") != first
    assert stat.S_IMODE((tmp_path / "keys" / "development.passphrase").stat().st_mode) == 0o600


def test_a_hardened_process_leaves_no_core() -> None:
    script = (
        "import resource, ctypes; from chargepki.adapters.keys.process import harden_process; harden_process();"
        "print(resource.getrlimit(resource.RLIMIT_CORE), ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))"
    )
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert shown.startswith("(0, 0)")
    if sys.platform == "linux":
        assert shown.split()[-1] == "0"  # PR_GET_DUMPABLE
