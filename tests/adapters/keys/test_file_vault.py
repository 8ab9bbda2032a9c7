import base64
import json
import os
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from chargepki.adapters.keys.file import FileVault
from chargepki.adapters.keys.sealing import DerivationCost
from chargepki.core.algorithms import KeySpec
from chargepki.errors import Conflict, NotFound, Refused, VaultUnavailable
from tests.adapters.keys.contract import VaultContract, order, verifies

PASSPHRASE = b"correct horse battery staple"
CHEAP = DerivationCost(memory_kib=64, iterations=1, lanes=1)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "keys"


@pytest.fixture
def vault(directory: Path) -> FileVault:
    return FileVault.create(directory, PASSPHRASE, CHEAP)


class TestFileVault(VaultContract):
    pass


async def test_every_kind_of_key_survives_a_restart(directory: Path, vault: FileVault) -> None:
    made = [await vault.generate(spec, label=spec) for spec in KeySpec if spec not in {KeySpec.RSA3072, KeySpec.RSA4096}]
    reopened = FileVault.open(directory, PASSPHRASE)
    assert list(await reopened.list()) == made
    for handle in made:
        assert await reopened.get(handle.ref) == handle
        assert verifies(handle, await reopened.sign(order(handle, b"data")), b"data")


def test_the_default_derivation_is_memory_hard(directory: Path) -> None:
    FileVault.create(directory, PASSPHRASE)
    kdf = json.loads((directory / "vault.json").read_bytes())["kdf"]
    assert kdf == {"name": "argon2id", "memory_kib": 65536, "iterations": 3, "lanes": 2}
    FileVault.open(directory, PASSPHRASE)


def test_a_wrong_passphrase_opens_nothing(directory: Path, vault: FileVault) -> None:
    with pytest.raises(VaultUnavailable, match="passphrase is wrong") as refusal:
        FileVault.open(directory, b"correct horse battery stapler")
    assert "passphrase file" in refusal.value.hint


@pytest.mark.parametrize("passphrase", [b"", b"short", b"x" * 1025])
def test_a_vault_is_not_made_with_a_passphrase_that_is_no_secret(directory: Path, passphrase: bytes) -> None:
    with pytest.raises(Refused, match=r"vault\.passphrase\.length"):
        FileVault.create(directory, passphrase, CHEAP)
    assert not directory.exists()


def test_a_vault_is_made_once(directory: Path, vault: FileVault) -> None:
    before = (directory / "vault.json").read_bytes()
    with pytest.raises(Conflict, match=r"vault\.exists"):
        FileVault.create(directory, PASSPHRASE, CHEAP)
    assert (directory / "vault.json").read_bytes() == before


def test_a_missing_vault_is_named(directory: Path) -> None:
    with pytest.raises(VaultUnavailable, match="No such file"):
        FileVault.open(directory, PASSPHRASE)


async def test_directory_and_files_are_for_the_owner_only(directory: Path) -> None:
    old_mask = os.umask(0)
    try:
        vault = FileVault.create(directory, PASSPHRASE, CHEAP)
        handle = await vault.generate(KeySpec.P256, label="a key")
    finally:
        os.umask(old_mask)
    assert _modes(directory) == {"keys": 0o700, "vault.json": 0o600, f"{handle.ref}.key": 0o600}


async def test_no_private_key_lies_in_any_file(directory: Path, vault: FileVault) -> None:
    handle = await vault.generate(KeySpec.P256, label="a key", exportable=True)
    key = serialization.load_pem_private_key(await vault.export(handle.ref, b"x"), b"x")
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    scalar = key.private_numbers().private_value.to_bytes(32, "big")
    for content in _contents(directory).values():
        assert scalar not in content + base64.b64decode(json.loads(content).get("sealed", ""))
        assert scalar.hex().encode() not in content.lower()
        assert PASSPHRASE not in content


@pytest.mark.parametrize("field", ["format", "ref", "spec", "label", "exportable", "spki", "mac", "sealed"])
async def test_a_changed_field_of_a_key_file_is_noticed(directory: Path, vault: FileVault, field: str) -> None:
    handle = await vault.generate(KeySpec.P256, label="an authority's")
    other = await vault.generate(KeySpec.ED25519, label="another", exportable=True)
    path, other_path = directory / f"{handle.ref}.key", directory / f"{other.ref}.key"
    document = json.loads(path.read_bytes())
    changed = 2 if field == "format" else json.loads(other_path.read_bytes())[field]
    path.write_text(json.dumps({**document, field: changed}))
    reopened = FileVault.open(directory, PASSPHRASE)
    with pytest.raises(VaultUnavailable, match="was changed or damaged"):
        await reopened.sign(order(handle, b"data"))
    if field != "sealed":  # the seal is looked at when the key is used, everything else when the key is named
        with pytest.raises(VaultUnavailable, match="was changed or damaged"):
            await reopened.get(handle.ref)


async def test_swapped_key_files_are_noticed(directory: Path, vault: FileVault) -> None:
    one, two = [await vault.generate(KeySpec.P256, label=label, exportable=True) for label in ("one", "two")]
    (directory / f"{one.ref}.key").write_bytes((directory / f"{two.ref}.key").read_bytes())
    with pytest.raises(VaultUnavailable, match="was changed or damaged"):
        await FileVault.open(directory, PASSPHRASE).export(one.ref, b"passphrase")


async def test_a_key_of_another_vault_with_the_same_passphrase_is_not_used(tmp_path: Path) -> None:
    mine, theirs = (FileVault.create(tmp_path / name, PASSPHRASE, CHEAP) for name in ("mine", "theirs"))
    handle = await theirs.generate(KeySpec.P256, label="planted")
    (tmp_path / "mine" / f"{handle.ref}.key").write_bytes((tmp_path / "theirs" / f"{handle.ref}.key").read_bytes())
    with pytest.raises(VaultUnavailable):
        await mine.list()


@pytest.mark.parametrize("cut", [0, 1, 100])
async def test_a_truncated_key_file_is_noticed(directory: Path, vault: FileVault, cut: int) -> None:
    handle = await vault.generate(KeySpec.P256, label="a key")
    path = directory / f"{handle.ref}.key"
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(VaultUnavailable, match="damaged"):
        await FileVault.open(directory, PASSPHRASE).get(handle.ref)


async def test_a_file_of_any_size_is_not_read_whole(directory: Path, vault: FileVault) -> None:
    handle = await vault.generate(KeySpec.P256, label="a key")
    (directory / f"{handle.ref}.key").write_bytes(b" " * (1 << 20))
    with pytest.raises(VaultUnavailable, match="larger than"):
        await FileVault.open(directory, PASSPHRASE).get(handle.ref)


@pytest.mark.parametrize(
    "change",
    [
        lambda document: document["kdf"].update(iterations=2),
        lambda document: document["kdf"].update(memory_kib=1 << 40),
        lambda document: document["kdf"].update(lanes=0),
        lambda document: document["kdf"].update(name="scrypt"),
        lambda document: document.update(salt="AAAA"),
        lambda document: document.update(salt="*"),
        lambda document: document.pop("check"),
        lambda document: document.update(format=2),
        lambda document: document.clear(),
    ],
)
def test_a_changed_vault_header_opens_nothing(directory: Path, vault: FileVault, change: object) -> None:
    assert callable(change)
    document = json.loads((directory / "vault.json").read_bytes())
    change(document)
    (directory / "vault.json").write_text(json.dumps(document))
    with pytest.raises(VaultUnavailable):
        FileVault.open(directory, PASSPHRASE)


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff\xfe", b'"vault"', b"{"])
def test_a_vault_header_that_is_none_opens_nothing(directory: Path, vault: FileVault, content: bytes) -> None:
    (directory / "vault.json").write_bytes(content)
    with pytest.raises(VaultUnavailable, match="damaged"):
        FileVault.open(directory, PASSPHRASE)


async def test_a_vanished_directory_breaks_the_call_and_not_the_process(directory: Path, vault: FileVault) -> None:
    _move(directory, directory.with_name("moved"))
    with pytest.raises(VaultUnavailable, match="cannot write a key"):
        await vault.generate(KeySpec.P256, label="a key")


async def test_a_key_left_by_a_crash_before_its_rename_is_no_key(directory: Path, vault: FileVault) -> None:
    (directory / ".new-0123456789abcdef").write_bytes(b"half a file")
    assert await FileVault.open(directory, PASSPHRASE).list() == ()


async def test_a_destroyed_key_leaves_no_file(directory: Path, vault: FileVault) -> None:
    handle = await vault.generate(KeySpec.P256, label="a key")
    await vault.destroy(handle.ref)
    assert list(_contents(directory)) == ["vault.json"]
    with pytest.raises(NotFound):
        await FileVault.open(directory, PASSPHRASE).get(handle.ref)


def test_a_vault_shows_its_directory_and_nothing_more(directory: Path, vault: FileVault) -> None:
    assert repr(vault) == f"FileVault({str(directory)!r})"
    assert repr(vault._master) == "MasterKey(...)"
    assert not hasattr(vault._master, "__dict__")


def _modes(directory: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in (directory, *directory.iterdir())}


def _contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def _move(old: Path, new: Path) -> None:
    old.rename(new)
