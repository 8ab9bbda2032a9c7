"""Sealed secrets open with the key directory's passphrase, in their own place, unchanged, and in no other way."""

from pathlib import Path

import pytest

from chargepki.adapters.keys.sealing import DerivationCost
from chargepki.adapters.keys.secret_box import FILE, FileSecretBox
from chargepki.errors import Broken, VaultUnavailable

CHEAP = DerivationCost(1024, 1, 1)
PASSPHRASE = b"a passphrase of some length"


def test_what_was_sealed_opens_after_a_restart_and_only_in_its_place(tmp_path: Path) -> None:
    sealed = FileSecretBox.ensure(tmp_path, PASSPHRASE, CHEAP).seal(b"secret", "totp:per_1")
    assert b"secret" not in sealed
    box = FileSecretBox.ensure(tmp_path, PASSPHRASE)
    assert box.open(sealed, "totp:per_1") == b"secret"
    with pytest.raises(Broken, match="elsewhere"):
        box.open(sealed, "totp:per_2")
    assert (tmp_path / FILE).stat().st_mode & 0o077 == 0


def test_two_seals_of_one_secret_differ(tmp_path: Path) -> None:
    box = FileSecretBox.ensure(tmp_path, PASSPHRASE, CHEAP)
    assert box.seal(b"same", "c") != box.seal(b"same", "c")


def test_every_flipped_bit_is_noticed(tmp_path: Path) -> None:
    box = FileSecretBox.ensure(tmp_path, PASSPHRASE, CHEAP)
    sealed = box.seal(b"secret", "c")
    for at in range(len(sealed)):
        with pytest.raises(Broken):
            box.open(sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :], "c")
    for size in range(0, len(sealed), 7):
        with pytest.raises(Broken):
            box.open(sealed[:size], "c")


def test_a_wrong_passphrase_or_a_damaged_file_opens_nothing(tmp_path: Path) -> None:
    FileSecretBox.ensure(tmp_path, PASSPHRASE, CHEAP)
    with pytest.raises(VaultUnavailable, match="passphrase is wrong"):
        FileSecretBox.ensure(tmp_path, b"another passphrase")
    content = (tmp_path / FILE).read_bytes()
    for damaged in (b"", b"[]", b"{}", content[:-20], content.replace(b"sealed", b"SEALED"), b"x" * 100_000):
        (tmp_path / FILE).write_bytes(damaged)
        with pytest.raises(VaultUnavailable):
            FileSecretBox.ensure(tmp_path, PASSPHRASE)


def test_a_box_shows_nothing_of_itself(tmp_path: Path) -> None:
    assert repr(FileSecretBox(b"k" * 32)) == "FileSecretBox(...)"
