"""How a key lies at rest: one passphrase, one memory-hard derivation, one sealed file per key (docs/adr/0003-keys-at-rest.md).

    passphrase -- Argon2id (RFC 9106) --> master -- HKDF-Expand (RFC 5869) --> one sealing key per file, one header key

A file is a JSON object: the header in the clear, the private key sealed with AES-256-GCM. The canonical header is the
additional data of the seal and is authenticated by itself as well, so a header is true before its key was ever opened.
"""

import base64
import binascii
import hmac
import json
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from chargepki.core import canonical_json
from chargepki.core.algorithms import KeySpec
from chargepki.core.canonical_json import JsonValue
from chargepki.core.records import KeyRef
from chargepki.errors import VaultUnavailable
from chargepki.ports import KeyHandle

FORMAT: Final = 1
KEY_OCTETS: Final = 32
NONCE_OCTETS: Final = 12
SALT_OCTETS: Final = 16
FILE_OCTETS_MAX: Final = 64 * 1024  # ML-DSA-87: 5 KiB of PKCS#8, 3.5 KiB of public key, in base64
MEMORY_KIB_MAX: Final = 4 * 1024 * 1024  # a header from a disk cannot make us allocate more than 4 GiB
ITERATIONS_MAX: Final = 64
LANES_MAX: Final = 16

_CHECK: Final = b"chargepki vault"
_BROKEN_HINT: Final = "restore the key directory from a backup; do not edit its files"


@dataclass(frozen=True, slots=True)
class DerivationCost:
    """Argon2id parameters. The default is RFC 9106 section 4's second recommendation: 64 MiB, 3 passes."""

    memory_kib: int = 64 * 1024
    iterations: int = 3
    lanes: int = 2


class MasterKey:
    """What the passphrase opens. Shows nothing of itself."""

    __slots__ = ("_master",)

    def __init__(self, passphrase: bytes, salt: bytes, cost: DerivationCost) -> None:
        kdf = Argon2id(salt=salt, length=KEY_OCTETS, iterations=cost.iterations, lanes=cost.lanes, memory_cost=cost.memory_kib)
        self._master = kdf.derive(passphrase)

    def __repr__(self) -> str:
        return "MasterKey(...)"

    def seal(self, name: str, plain: bytes, header: bytes) -> bytes:
        """Nonce, ciphertext and tag. `name` selects the sealing key, `header` is bound to the seal."""
        nonce = secrets.token_bytes(NONCE_OCTETS)
        return nonce + AESGCM(self._derive(f"seal:{name}")).encrypt(nonce, plain, header)

    def open(self, name: str, sealed: bytes, header: bytes) -> bytes:
        """Raises `cryptography.exceptions.InvalidTag` when anything differs."""
        return AESGCM(self._derive(f"seal:{name}")).decrypt(sealed[:NONCE_OCTETS], sealed[NONCE_OCTETS:], header)

    def header_mac(self, header: bytes) -> bytes:
        return hmac.digest(self._derive("headers"), header, "sha256")

    def _derive(self, info: str) -> bytes:
        return HKDFExpand(hashes.SHA256(), KEY_OCTETS, f"chargepki:vault:{FORMAT}:{info}".encode()).derive(self._master)


def new_vault_header(passphrase: bytes, cost: DerivationCost) -> tuple[bytes, MasterKey]:
    """The content of a fresh vault's header file, and its master key."""
    salt = secrets.token_bytes(SALT_OCTETS)
    master = MasterKey(passphrase, salt, cost)
    header: dict[str, JsonValue] = {"format": FORMAT, "kdf": {"name": "argon2id", **asdict(cost)}, "salt": _text(salt)}
    check = master.seal("check", _CHECK, canonical_json.encode(header))
    return _document({**header, "check": _text(check)}), master


def open_vault_header(content: bytes, passphrase: bytes) -> MasterKey:
    """The master key; `VaultUnavailable` when the passphrase is wrong or the header is none of ours."""
    document = _parse(content, "the vault's header")
    try:
        sealed = _octets(document.pop("check"))
        cost = _parse_cost(document["kdf"])
        master = MasterKey(passphrase, _octets(document["salt"]), cost)
        master.open("check", sealed, canonical_json.encode(document))
    except InvalidTag as error:
        raise VaultUnavailable(
            "the key vault does not open: the passphrase is wrong, or its header was changed",
            hint="check the passphrase file that the configuration names (keys.passphrase)",
        ) from error
    except (KeyError, TypeError, ValueError) as error:
        raise VaultUnavailable("the vault's header is damaged", hint=_BROKEN_HINT) from error
    return master


def seal_key(master: MasterKey, handle: KeyHandle, private_key: bytes) -> bytes:
    """The content of a key file. `private_key` is DER PKCS#8."""
    header = _header(handle)
    canonical = canonical_json.encode(header)
    sealed = master.seal(handle.ref, private_key, canonical)
    return _document({**header, "mac": _text(master.header_mac(canonical)), "sealed": _text(sealed)})


def read_handle(master: MasterKey, ref: KeyRef, content: bytes) -> KeyHandle:
    """The authenticated header of key file `ref`; `VaultUnavailable` when a bit of it was changed or it is another key's."""
    return _read(master, ref, content)[0]


def open_key(master: MasterKey, ref: KeyRef, content: bytes) -> tuple[KeyHandle, bytes]:
    """The header and the DER PKCS#8 private key; `VaultUnavailable` when either was changed."""
    handle, header, sealed = _read(master, ref, content)
    try:
        return handle, master.open(ref, sealed, header)
    except (InvalidTag, ValueError) as error:
        raise _tampered(ref) from error


def _read(master: MasterKey, ref: KeyRef, content: bytes) -> tuple[KeyHandle, bytes, bytes]:
    document = _parse(content, f"the file of key {ref}")
    try:
        mac, sealed = _octets(document.pop("mac")), _octets(document.pop("sealed"))
        header = canonical_json.encode(document)
        if not hmac.compare_digest(mac, master.header_mac(header)) or document["ref"] != ref or document["format"] != FORMAT:
            raise _tampered(ref)
        spki = _octets(document["spki"])
        handle = KeyHandle(ref, KeySpec(document["spec"]), spki, document["label"], document["exportable"])
    except (KeyError, TypeError, ValueError) as error:
        raise _tampered(ref) from error
    return handle, header, sealed


def _header(handle: KeyHandle) -> dict[str, JsonValue]:
    return {
        "format": FORMAT,
        "ref": handle.ref,
        "spec": handle.spec,
        "label": handle.label,
        "exportable": handle.is_exportable,
        "spki": _text(handle.spki),
    }


def _parse_cost(kdf: Mapping[str, Any]) -> DerivationCost:
    if kdf["name"] != "argon2id":
        raise ValueError("unknown key derivation")
    cost = DerivationCost(int(kdf["memory_kib"]), int(kdf["iterations"]), int(kdf["lanes"]))
    if not (cost.memory_kib <= MEMORY_KIB_MAX and cost.iterations <= ITERATIONS_MAX and cost.lanes <= LANES_MAX):
        raise ValueError("the key derivation costs more than this program grants")
    return cost


def _parse(content: bytes, what: str) -> dict[str, Any]:
    try:
        document = json.loads(content)
    except ValueError as error:
        raise VaultUnavailable(f"{what} is damaged", hint=_BROKEN_HINT) from error
    if not isinstance(document, dict):
        raise VaultUnavailable(f"{what} is damaged", hint=_BROKEN_HINT)
    return document


def _document(value: Mapping[str, JsonValue]) -> bytes:
    return json.dumps(value, indent=1, ensure_ascii=False).encode() + b"\n"


def _text(octets: bytes) -> str:
    return base64.b64encode(octets).decode()


def _octets(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError("not base64") from error


def _tampered(ref: str) -> VaultUnavailable:
    return VaultUnavailable(f"the file of key {ref} was changed or damaged; it is not used", hint=_BROKEN_HINT)
