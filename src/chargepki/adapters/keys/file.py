"""The vault of a single machine: one directory, one sealed file per key."""

import asyncio
import re
import threading
from pathlib import Path
from typing import Final, Self, cast

from cryptography.hazmat.primitives import serialization

from chargepki.adapters.entropy import SystemEntropy
from chargepki.adapters.keys.backup import open_backup, seal_backup
from chargepki.adapters.keys.durable import erase, make_private_directory, write_durably
from chargepki.adapters.keys.private_keys import (
    check_export_passphrase,
    check_exportable,
    check_label,
    encrypted_pem,
    no_such_key,
    sign_order,
)
from chargepki.adapters.keys.sealing import (
    FILE_OCTETS_MAX,
    DerivationCost,
    MasterKey,
    new_vault_header,
    open_key,
    open_vault_header,
    read_handle,
    seal_key,
)
from chargepki.core.algorithms import KeySpec, PrivateKey, generate_private_key, spki_of
from chargepki.core.records import KeyRef
from chargepki.errors import Conflict, Refused, VaultUnavailable
from chargepki.ports import KeyAttestation, KeyHandle, SigningOrder

HEADER_FILE: Final = "vault.json"
KEY_SUFFIX: Final = ".key"
PASSPHRASE_OCTETS_MIN: Final = 12
PASSPHRASE_OCTETS_MAX: Final = 1024

_REF: Final = re.compile(r"key_[0-9A-HJKMNP-TV-Z]{26}")  # what may become a file name


class FileVault:
    """Implements `ports.KeyVault`. Private keys are opened on first use and stay in this process's memory only."""

    def __init__(self, directory: Path, master: MasterKey) -> None:
        self._directory = directory
        self._master = master
        self._entropy = SystemEntropy()
        self._lock = threading.Lock()
        self._opened: dict[KeyRef, tuple[KeyHandle, PrivateKey]] = {}

    def __repr__(self) -> str:
        return f"FileVault({str(self._directory)!r})"

    @classmethod
    def create(cls, directory: Path, passphrase: bytes, cost: DerivationCost | None = None) -> Self:
        """A new vault in `directory`. `Conflict` when it has one; `Refused` for a passphrase that is no secret."""
        _check_passphrase(passphrase)
        header, master = new_vault_header(passphrase, cost or DerivationCost())
        try:
            make_private_directory(directory)
            if cls.exists(directory):
                raise Conflict.because(
                    "vault.exists", f"there is a key vault in {directory} already", hint="open it, or name another directory"
                )
            write_durably(directory / HEADER_FILE, header)
        except OSError as error:
            raise _unavailable("cannot create the key vault", directory, error) from error
        return cls(directory, master)

    @classmethod
    def open(cls, directory: Path, passphrase: bytes) -> Self:
        """The vault in `directory`; `VaultUnavailable` when there is none, or `passphrase` does not open it."""
        try:
            header = _read_bounded(directory / HEADER_FILE)
        except OSError as error:
            raise _unavailable("cannot open the key vault", directory, error) from error
        return cls(directory, open_vault_header(header, passphrase))

    @staticmethod
    def exists(directory: Path) -> bool:
        return (directory / HEADER_FILE).exists()

    async def generate(self, spec: KeySpec, *, label: str, exportable: bool = False) -> KeyHandle:
        check_label(label)
        return await asyncio.to_thread(self._generate, spec, label, exportable)

    async def get(self, ref: KeyRef) -> KeyHandle:
        if opened := self._opened.get(ref):
            return opened[0]
        return await asyncio.to_thread(self._handle, ref)

    async def sign(self, order: SigningOrder) -> bytes:
        handle, key = await self._open(order.key)
        return await sign_order(key, handle.spec, order)

    async def export(self, ref: KeyRef, passphrase: bytes) -> bytes:
        handle, key = await self._open(ref)
        check_exportable(handle)
        check_export_passphrase(passphrase)
        return await asyncio.to_thread(encrypted_pem, key, passphrase)

    async def destroy(self, ref: KeyRef) -> None:
        await asyncio.to_thread(self._destroy, ref)

    async def list(self) -> tuple[KeyHandle, ...]:
        """Oldest first, from the headers: no private key is opened."""
        return await asyncio.to_thread(self._list)

    async def attest(self, ref: KeyRef) -> KeyAttestation | None:
        """None: no device stands behind a file."""
        await self.get(ref)
        return None

    async def back_up(self, ref: KeyRef, wrapping_key: bytes) -> bytes:
        """The key's sealed copy: the one way in which a key of an authority leaves, and only a ceremony takes it."""
        handle, key = await self._open(ref)
        return seal_backup(wrapping_key, handle, _pkcs8(key))

    async def restore(self, sealed: bytes, wrapping_key: bytes) -> KeyHandle:
        """Takes a key back in, under the reference it had. `Conflict` when it is here."""
        return await asyncio.to_thread(self._restore, sealed, wrapping_key)

    def read_backup(self, sealed: bytes, wrapping_key: bytes) -> KeyHandle:
        """Which key a sealed copy holds. `Refused` when the wrapping key does not open it."""
        return open_backup(wrapping_key, sealed)[0]

    async def _open(self, ref: KeyRef) -> tuple[KeyHandle, PrivateKey]:
        if opened := self._opened.get(ref):
            return opened
        return await asyncio.to_thread(self._load, ref)

    def _generate(self, spec: KeySpec, label: str, exportable: bool) -> KeyHandle:
        key = generate_private_key(spec)
        handle = KeyHandle(KeyRef(self._entropy.ulid("key")), spec, spki_of(key.public_key()), label, exportable)
        plain = _pkcs8(key)
        try:
            write_durably(self._path(handle.ref), seal_key(self._master, handle, plain))
        except OSError as error:
            raise _unavailable("cannot write a key", self._directory, error) from error
        with self._lock:
            self._opened[handle.ref] = (handle, key)
        return handle

    def _restore(self, sealed: bytes, wrapping_key: bytes) -> KeyHandle:
        handle, plain = open_backup(wrapping_key, sealed)
        path = self._path(handle.ref)
        key = cast(PrivateKey, serialization.load_der_private_key(plain, None))
        if spki_of(key.public_key()) != handle.spki:
            raise VaultUnavailable(f"the copy of key {handle.ref} holds another key than its header says")
        with self._lock:
            if path.exists():
                raise Conflict.because("vault.key.exists", f"the key {handle.ref} is in the vault already", path="key")
            try:
                write_durably(path, seal_key(self._master, handle, plain))
            except OSError as error:
                raise _unavailable("cannot write a key", self._directory, error) from error
            self._opened[handle.ref] = (handle, key)
        return handle

    def _load(self, ref: KeyRef) -> tuple[KeyHandle, PrivateKey]:
        with self._lock:
            if ref in self._opened:
                return self._opened[ref]
            handle, plain = open_key(self._master, ref, self._read(ref))
            # The seal vouches for the octets, so RSA's slow primality checks would prove nothing more.
            key = cast(PrivateKey, serialization.load_der_private_key(plain, None, unsafe_skip_rsa_key_validation=True))
            if spki_of(key.public_key()) != handle.spki:
                raise VaultUnavailable(f"the file of key {ref} holds another key than its header says")
            self._opened[ref] = (handle, key)
            return self._opened[ref]

    def _handle(self, ref: KeyRef) -> KeyHandle:
        return read_handle(self._master, ref, self._read(ref))

    def _list(self) -> tuple[KeyHandle, ...]:
        try:
            refs = sorted(KeyRef(path.stem) for path in self._directory.glob(f"*{KEY_SUFFIX}") if _REF.fullmatch(path.stem))
        except OSError as error:
            raise _unavailable("cannot list the keys", self._directory, error) from error
        return tuple(self._handle(ref) for ref in refs)

    def _destroy(self, ref: KeyRef) -> None:
        with self._lock:
            self._opened.pop(ref, None)
            try:
                erase(self._path(ref))
            except FileNotFoundError as error:
                raise no_such_key(ref) from error
            except OSError as error:
                raise _unavailable("cannot destroy a key", self._directory, error) from error

    def _read(self, ref: KeyRef) -> bytes:
        try:
            return _read_bounded(self._path(ref))
        except FileNotFoundError as error:
            raise no_such_key(ref) from error
        except OSError as error:
            raise _unavailable("cannot read a key", self._directory, error) from error

    def _path(self, ref: KeyRef) -> Path:
        if not _REF.fullmatch(ref):
            raise no_such_key(ref)
        return self._directory / f"{ref}{KEY_SUFFIX}"


def _pkcs8(key: PrivateKey) -> bytes:
    return key.private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def _check_passphrase(passphrase: bytes) -> None:
    if not PASSPHRASE_OCTETS_MIN <= len(passphrase) <= PASSPHRASE_OCTETS_MAX:
        raise Refused.because(
            "vault.passphrase.length",
            f"the vault's passphrase has {PASSPHRASE_OCTETS_MIN} to {PASSPHRASE_OCTETS_MAX} octets",
            path="keys.passphrase",
            hint="openssl rand -base64 32",
        )


def _read_bounded(path: Path) -> bytes:
    with path.open("rb") as file:
        content = file.read(FILE_OCTETS_MAX + 1)
    if len(content) > FILE_OCTETS_MAX:
        raise VaultUnavailable(f"{path.name} is larger than any file of a vault", hint="it is none of ours; restore it from a backup")
    return content


def _unavailable(what: str, directory: Path, error: OSError) -> VaultUnavailable:
    reason = error.strerror or type(error).__name__
    return VaultUnavailable(f"{what} in {directory}: {reason}", hint="check the directory, its owner, its mode (0700) and the free space")
