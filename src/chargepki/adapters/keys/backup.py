"""A key's sealed copy: its PKCS#8 under a wrapping key that is random, used once, and known in shares alone.

The copy may lie anywhere; it opens with the wrapping key only. The header (which key it is) is readable and bound to the seal.
"""

import base64
import binascii
import json
import secrets
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from chargepki.core import canonical_json
from chargepki.core.algorithms import KeySpec
from chargepki.core.canonical_json import JsonValue
from chargepki.core.records import KeyRef
from chargepki.errors import Refused
from chargepki.ports import KeyHandle

FORMAT: Final = "chargepki-key-backup-1"
BACKUP_OCTETS_MAX: Final = 64 * 1024  # ML-DSA-87: 5 KiB of PKCS#8, 3.5 KiB of public key, in base64
WRAPPING_KEY_OCTETS: Final = 32
NONCE_OCTETS: Final = 12
_HEADER: Final = frozenset({"format", "ref", "spec", "label", "spki"})


def seal_backup(wrapping_key: bytes, handle: KeyHandle, private_key: bytes) -> bytes:
    """The content of a backup file. `private_key` is DER PKCS#8. A wrapping key seals one copy and no second one."""
    header = _header(handle)
    nonce = secrets.token_bytes(NONCE_OCTETS)
    sealed = nonce + AESGCM(wrapping_key).encrypt(nonce, private_key, canonical_json.encode(header))
    return json.dumps({**header, "sealed": _text(sealed)}, indent=1, ensure_ascii=False).encode() + b"\n"


def open_backup(wrapping_key: bytes, content: bytes) -> tuple[KeyHandle, bytes]:
    """Which key it is, and its DER PKCS#8. `Refused` for another wrapping key, and for a copy that was changed."""
    handle, sealed = read_backup_header(content)
    try:
        nonce, octets = sealed[:NONCE_OCTETS], sealed[NONCE_OCTETS:]
        return handle, AESGCM(wrapping_key).decrypt(nonce, octets, canonical_json.encode(_header(handle)))
    except (InvalidTag, ValueError) as error:
        raise Refused.because(
            "vault.backup.sealed", "these shares do not open this copy, or the copy was changed", hint="are both of the same ceremony?"
        ) from error


def read_backup_header(content: bytes) -> tuple[KeyHandle, bytes]:
    """What the copy says it is, which only the seal can prove; and the sealed octets. `Refused` for anything else."""
    if len(content) > BACKUP_OCTETS_MAX:
        raise _no_backup(f"it has more than {BACKUP_OCTETS_MAX} octets")
    try:
        document: Any = json.loads(content)
        if not isinstance(document, dict) or set(document) != _HEADER | {"sealed"} or document["format"] != FORMAT:
            raise ValueError("its fields are others")
        spec, label, ref = KeySpec(document["spec"]), document["label"], document["ref"]
        if not isinstance(label, str) or not isinstance(ref, str):
            raise TypeError("its fields are of other types")
        label.encode()
        ref.encode()
        handle = KeyHandle(KeyRef(ref), spec, _octets(document["spki"]), label, is_exportable=False)
        return handle, _octets(document["sealed"])
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise _no_backup(str(error)[:80]) from error


def _header(handle: KeyHandle) -> dict[str, JsonValue]:
    return {"format": FORMAT, "ref": handle.ref, "spec": handle.spec.value, "label": handle.label, "spki": _text(handle.spki)}


def _text(octets: bytes) -> str:
    return base64.b64encode(octets).decode()


def _octets(text: Any) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError("not base64") from error


def _no_backup(why: str) -> Refused:
    return Refused.because("vault.backup.format", f"this is no sealed copy of a key: {why}", hint="was the right file brought?")
