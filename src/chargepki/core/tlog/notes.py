"""Signed notes: a text and the lines of those who signed it (C2SP signed-note, tlog-cosignature).

Private keys live in a vault, so a note is signed in two steps: `signature_input` says what to sign, `assemble_signature` makes the line.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from hashlib import sha256
from typing import Final

from chargepki.core.algorithms import PublicKey, SignatureAlgorithm, is_signature_valid, parse_spki
from chargepki.core.tlog.checkpoint import parse_checkpoint
from chargepki.core.tlog.cosignature import (
    NAME_OCTETS_MAX,
    TimestampedSignature,
    ed25519_message,
    parse_timestamped_signature,
    subtree_message,
)
from chargepki.core.tlog.lines import parse_base64, spell_base64
from chargepki.errors import Refused

SIGNATURES_MAX: Final = 32  # C2SP signed-note asks for at least 16; two lines of our own and two for each of 15 witnesses
NOTE_OCTETS_MAX: Final = 160 * 1024  # 32 lines of ML-DSA-44 are 110 KiB
VKEY_CHARACTERS_MAX: Final = 4096  # ML-DSA-44: 1,313 octets in Base64 and a name
_DASH: Final = "\u2014 "
_KEY_ID_OCTETS: Final = 4


class NoteKind(IntEnum):
    """The signature types of C2SP signed-note that are used here; the value goes into key ids and verifier keys."""

    ED25519 = 0x01
    COSIGNATURE_ED25519 = 0x04
    COSIGNATURE_MLDSA44 = 0x06  # also what a log itself signs with, under its own name (C2SP tlog-checkpoint)


@dataclass(frozen=True, slots=True)
class _Shape:
    """The key and the signature of one kind. `spki_prefix` and the raw key make the DER SubjectPublicKeyInfo."""

    algorithm: SignatureAlgorithm
    spki_prefix: bytes
    key_octets: int
    signature_octets: int


_ED25519: Final = _Shape(SignatureAlgorithm.ED25519, bytes.fromhex("302a300506032b6570032100"), 32, 64)  # RFC 8410 4
_MLDSA44: Final = _Shape(  # RFC 9881 4, FIPS 204 table 2
    SignatureAlgorithm.MLDSA44, bytes.fromhex("30820532300b06096086480165030403110382052100"), 1312, 2420
)
_SHAPES: Final = {NoteKind.ED25519: _ED25519, NoteKind.COSIGNATURE_ED25519: _ED25519, NoteKind.COSIGNATURE_MLDSA44: _MLDSA44}


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """Whose signature counts as whose. `key` is the raw public key."""

    name: str
    kind: NoteKind
    key: bytes

    @property
    def id(self) -> bytes:
        return sha256(self.name.encode() + b"\n" + bytes([self.kind]) + self.key).digest()[:_KEY_ID_OCTETS]

    @property
    def algorithm(self) -> SignatureAlgorithm:
        return _SHAPES[self.kind].algorithm

    @property
    def is_timestamped(self) -> bool:
        return self.kind is not NoteKind.ED25519

    def __str__(self) -> str:
        """The verifier key as one word: name, id and key."""
        return f"{self.name}+{self.id.hex()}+{spell_base64(bytes([self.kind]) + self.key)}"


@dataclass(frozen=True, slots=True)
class NoteSignature:
    """One line. `blob` is what follows the key id."""

    name: str
    key_id: bytes
    blob: bytes

    def __str__(self) -> str:
        return f"{_DASH}{self.name} {spell_base64(self.key_id + self.blob)}\n"


@dataclass(frozen=True, slots=True)
class Note:
    text: bytes
    signatures: tuple[NoteSignature, ...]

    def encode(self) -> bytes:
        return self.text + b"\n" + "".join(map(str, self.signatures)).encode()


@dataclass(frozen=True, slots=True)
class Signed:
    """A signature that verifies. `timestamp` is None for a kind that carries none."""

    key: VerifierKey
    timestamp: int | None
    line: NoteSignature


@dataclass(frozen=True, slots=True)
class Verification:
    """Which of the asked keys signed a note, and which are claimed to have but did not. Lines of other keys are in neither."""

    signed: tuple[Signed, ...]
    broken: tuple[VerifierKey, ...]


def verifier_key_of(name: str, kind: NoteKind, spki: bytes) -> VerifierKey:
    """The verifier key of a key in a vault. `ValueError` when the key is not of that kind, or the name cannot stand in a line."""
    shape = _SHAPES[kind]
    key = spki[len(shape.spki_prefix) :]
    if not spki.startswith(shape.spki_prefix) or len(key) != shape.key_octets or not _is_key_name(name):
        raise ValueError(f"this is no key of kind {kind.name}, or {name!r} cannot be its name")
    return VerifierKey(name, kind, key)


def parse_verifier_key(text: str) -> VerifierKey:
    """`Refused` unless name, id and key belong together and the kind is one that is used here."""
    parts = text.split("+", 2)
    if len(text) > VKEY_CHARACTERS_MAX or len(parts) != 3 or not _is_key_name(parts[0]):
        raise _bad_vkey("it is not name+id+key")
    octets = parse_base64(parts[2])
    if not octets or octets[0] not in list(NoteKind):
        raise _bad_vkey("its kind is none of Ed25519, cosignature/v1 and ML-DSA-44")
    key = VerifierKey(parts[0], NoteKind(octets[0]), octets[1:])
    if len(key.key) != _SHAPES[key.kind].key_octets:
        raise _bad_vkey(f"a key of kind {key.kind.name} has {_SHAPES[key.kind].key_octets} octets")
    if parts[1] != key.id.hex():
        raise _bad_vkey(f"its id is {key.id.hex()}, not {parts[1][:16]!r}")
    _public_key(key)
    return key


def parse_note(data: bytes) -> Note:
    """`Refused` unless the note is well-formed; says nothing about who signed it."""
    if len(data) > NOTE_OCTETS_MAX:
        raise _bad_note(f"it has {len(data)} octets, the limit is {NOTE_OCTETS_MAX}")
    try:
        whole = data.decode()
    except UnicodeDecodeError as error:
        raise _bad_note("it is not UTF-8") from error
    if any(character < " " and character != "\n" for character in whole):
        raise _bad_note("it has control characters")
    text, blank, lines = whole.rpartition("\n\n")
    if not blank or not lines.endswith("\n"):
        raise _bad_note("it has no signatures")
    return Note(f"{text}\n".encode(), parse_signatures(lines.encode()))


def parse_signatures(data: bytes) -> tuple[NoteSignature, ...]:
    """The signature lines alone, as a witness answers; `Refused` when one is malformed or there are none."""
    if len(data) > NOTE_OCTETS_MAX:
        raise _bad_note(f"the signatures have {len(data)} octets, the limit is {NOTE_OCTETS_MAX}")
    try:
        lines = data.decode().split("\n")
    except UnicodeDecodeError as error:
        raise _bad_note("the signatures are not UTF-8") from error
    if lines.pop() or not 0 < len(lines) <= SIGNATURES_MAX:
        raise _bad_note(f"it needs 1 to {SIGNATURES_MAX} signature lines, each ending in a newline")
    return tuple(_parse_line(line) for line in lines)


def signature_input(key: VerifierKey, text: bytes, timestamp: int = 0) -> bytes:
    """What `key` signs for a note with this text. `Refused` when a cosigner's text is no checkpoint."""
    if key.kind is NoteKind.ED25519:
        return text
    if key.kind is NoteKind.COSIGNATURE_ED25519:
        return ed25519_message(text, timestamp)
    return subtree_message(key.name, parse_checkpoint(text), timestamp)


def assemble_signature(key: VerifierKey, signature: bytes, timestamp: int = 0) -> NoteSignature:
    """The line of a signature over `signature_input` with the same timestamp."""
    blob = TimestampedSignature(timestamp, signature).encode() if key.is_timestamped else signature
    return NoteSignature(key.name, key.id, blob)


def verify_note(note: Note, keys: Sequence[VerifierKey]) -> Verification:
    """Who of `keys` signed. Lines of unknown keys are passed over, as C2SP signed-note wants it."""
    signed: dict[VerifierKey, Signed] = {}
    broken: dict[VerifierKey, None] = {}
    known = {(key.name, key.id): key for key in keys}
    for line in note.signatures:
        key = known.get((line.name, line.key_id))
        if key is None or key in signed:
            continue
        found = _verify_line(note.text, key, line)
        if found is None:
            broken[key] = None
        else:
            signed[key] = found
    return Verification(tuple(signed.values()), tuple(key for key in broken if key not in signed))


def _verify_line(text: bytes, key: VerifierKey, line: NoteSignature) -> Signed | None:
    timestamp, signature = None, line.blob
    try:
        if key.is_timestamped:
            stamped = parse_timestamped_signature(line.blob, _SHAPES[key.kind].signature_octets)
            timestamp, signature = stamped.timestamp, stamped.signature
        message = signature_input(key, text, timestamp or 0)
        is_valid = is_signature_valid(_public_key(key), key.algorithm, signature, message)
    except Refused:
        return None  # not even of the right shape
    return Signed(key, timestamp, line) if is_valid else None


@lru_cache(maxsize=128)  # reading an ML-DSA-44 key costs as much as a check with it; 32 logs and 32 witnesses fit
def _public_key(key: VerifierKey) -> PublicKey:
    return parse_spki(_SHAPES[key.kind].spki_prefix + key.key)


def _parse_line(line: str) -> NoteSignature:
    name, _, encoded = line.removeprefix(_DASH).partition(" ")
    octets = parse_base64(encoded)
    if not line.startswith(_DASH) or not _is_key_name(name) or octets is None or len(octets) <= _KEY_ID_OCTETS:
        raise _bad_note("a signature line is not '\u2014 name base64'")
    return NoteSignature(name, octets[:_KEY_ID_OCTETS], octets[_KEY_ID_OCTETS:])


def _is_key_name(name: str) -> bool:
    """Not empty, no space, no plus, no control character; short enough for an ML-DSA-44 cosignature."""
    if not name or len(name.encode("utf-8", "replace")) > NAME_OCTETS_MAX:
        return False
    return not any(character.isspace() or character == "+" or character < " " for character in name)


def _bad_note(why: str) -> Refused:
    return Refused.because("log.note.malformed", f"this is not a signed note: {why}", path="note", clause="C2SP signed-note")


def _bad_vkey(why: str) -> Refused:
    return Refused.because(
        "log.vkey.malformed",
        f"this is not a verifier key: {why}",
        path="vkey",
        clause="C2SP signed-note",
        hint="copy it whole: the name, eight hex digits and the key, joined with +",
    )
