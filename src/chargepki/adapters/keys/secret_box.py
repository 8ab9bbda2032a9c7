"""Small secrets of the store, sealed: a TOTP secret in a stolen database opens nothing.

One random key, which never changes, lies in the keys directory under the vault's passphrase; so a change of the passphrase writes
one file anew and no row of the database.
"""

import base64
import json
import secrets
from pathlib import Path
from typing import Final, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from chargepki.adapters.keys.durable import make_private_directory, write_durably
from chargepki.adapters.keys.sealing import DerivationCost, new_vault_header, open_vault_header
from chargepki.errors import Broken, VaultUnavailable

FILE: Final = "secrets.json"
FILE_OCTETS_MAX: Final = 8 * 1024  # a header and one sealed key
KEY_OCTETS: Final = 32
SALT_OCTETS: Final = 16
NONCE_OCTETS: Final = 12
VERSION: Final = b"\x01"
SEALED_OCTETS_MAX: Final = 64 * 1024  # a TOTP secret has 20 octets, a sign-in under way some hundred
_HINT: Final = "restore the keys directory and the database from the same backup"


class FileSecretBox:
    """Implements `ports.SecretBox`: version, salt, nonce, AES-256-GCM.

    Each secret has a key of its own, derived with a fresh salt, so that no number of them wears the nonce out (SP 800-38D 8.3).
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    def __repr__(self) -> str:
        return "FileSecretBox(...)"

    @classmethod
    def ensure(cls, directory: Path, passphrase: bytes, cost: DerivationCost | None = None) -> Self:
        """The box in `directory`, made on the first call. `VaultUnavailable` when the passphrase does not open it."""
        path = directory / FILE
        try:
            if not path.exists():
                make_private_directory(directory)
                write_durably(path, _new_file(passphrase, cost or DerivationCost()))
            with path.open("rb") as file:
                content = file.read(FILE_OCTETS_MAX + 1)
        except OSError as error:
            raise VaultUnavailable(
                f"{path} cannot be used: {error.strerror}", hint="check the directory, its owner and its mode"
            ) from error
        return cls(_open_file(content, passphrase))

    def seal(self, secret: bytes, context: str) -> bytes:
        salt, nonce = secrets.token_bytes(SALT_OCTETS), secrets.token_bytes(NONCE_OCTETS)
        return VERSION + salt + nonce + AESGCM(self._derive(salt)).encrypt(nonce, secret, context.encode())

    def open(self, sealed: bytes, context: str) -> bytes:
        """Raises `Broken` when it was changed or belongs elsewhere."""
        head = len(VERSION) + SALT_OCTETS
        if len(sealed) > SEALED_OCTETS_MAX or sealed[:1] != VERSION:
            raise Broken("a sealed secret is damaged", hint=_HINT)
        key, nonce = self._derive(sealed[len(VERSION) : head]), sealed[head : head + NONCE_OCTETS]
        try:
            return AESGCM(key).decrypt(nonce, sealed[head + NONCE_OCTETS :], context.encode())
        except (InvalidTag, ValueError) as error:
            raise Broken("a sealed secret was changed, or belongs elsewhere", hint=_HINT) from error

    def _derive(self, salt: bytes) -> bytes:
        return HKDF(hashes.SHA256(), KEY_OCTETS, salt, b"chargepki:secret-box:1").derive(self._key)


def _new_file(passphrase: bytes, cost: DerivationCost) -> bytes:
    header, master = new_vault_header(passphrase, cost)
    sealed = master.seal("secret-box", secrets.token_bytes(KEY_OCTETS), header)
    return json.dumps({"header": header.decode(), "sealed": base64.b64encode(sealed).decode()}, indent=1).encode() + b"\n"


def _open_file(content: bytes, passphrase: bytes) -> bytes:
    try:
        if len(content) > FILE_OCTETS_MAX:
            raise ValueError("too long")
        document = json.loads(content)
        header, sealed = document["header"].encode(), base64.b64decode(document["sealed"], validate=True)
        return open_vault_header(header, passphrase).open("secret-box", sealed, header)
    except (InvalidTag, ValueError, KeyError, TypeError, AttributeError) as error:
        raise VaultUnavailable(f"{FILE} in the keys directory is damaged", hint=_HINT) from error
