"""The log's own keys: apart from every CA key, found by their label, and what they put under a checkpoint."""

from dataclasses import dataclass
from typing import Final

from chargepki.core.algorithms import DEFAULT_SIGNATURE, KeySpec
from chargepki.core.tlog.notes import (
    Note,
    NoteKind,
    NoteSignature,
    VerifierKey,
    assemble_signature,
    signature_input,
    verifier_key_of,
    verify_note,
)
from chargepki.errors import LogInconsistent, LogUnavailable
from chargepki.ports import KeyHandle, KeyVault, SigningOrder, SigningPurpose

# C2SP tlog-checkpoint: ML-DSA-44 for new logs; C2SP tlog-tiles: Ed25519 for whoever deals with the public witnesses.
KINDS: Final = {NoteKind.ED25519: KeySpec.ED25519, NoteKind.COSIGNATURE_MLDSA44: KeySpec.MLDSA44}


@dataclass(frozen=True, slots=True)
class LogKey:
    """One line of the log. `key` is what others check it with."""

    key: VerifierKey
    handle: KeyHandle


@dataclass(frozen=True, slots=True)
class LogKeys:
    ed25519: LogKey
    mldsa44: LogKey

    @property
    def verifier_keys(self) -> tuple[VerifierKey, ...]:
        return self.ed25519.key, self.mldsa44.key


def label_of(kind: NoteKind, origin: str) -> str:
    return f"log {KINDS[kind]} {origin}"


async def find_keys(vault: KeyVault, origin: str) -> LogKeys | None:
    """The keys of this log; None when the vault has not both of them. `LogInconsistent` when it has one of them twice."""
    handles = await vault.list()
    found: dict[NoteKind, LogKey] = {}
    for kind, spec in KINDS.items():
        mine = [handle for handle in handles if handle.label == label_of(kind, origin) and handle.spec is spec]
        if len(mine) > 1:
            raise LogInconsistent(
                f"the vault has {len(mine)} keys with the label {label_of(kind, origin)!r}", hint="destroy the ones that never signed"
            )
        if mine:
            found[kind] = LogKey(verifier_key_of(origin, kind, mine[0].spki), mine[0])
    if len(found) != len(KINDS):
        return None
    return LogKeys(found[NoteKind.ED25519], found[NoteKind.COSIGNATURE_MLDSA44])


async def make_keys(vault: KeyVault, origin: str) -> LogKeys:
    """The keys of a log that begins. What a crash half way left is used."""
    labels = {handle.label for handle in await vault.list()}
    for kind, spec in KINDS.items():
        if label_of(kind, origin) not in labels:
            await vault.generate(spec, label=label_of(kind, origin))
    keys = await find_keys(vault, origin)
    assert keys is not None
    return keys


async def sign_line(vault: KeyVault, key: LogKey, text: bytes, timestamp: int, reference: str) -> NoteSignature:
    """The line, checked: a vault that signs wrongly is found out before anybody else sees it."""
    timestamp = timestamp if key.key.is_timestamped else 0
    order = SigningOrder(
        key.handle.ref,
        DEFAULT_SIGNATURE[key.handle.spec],
        signature_input(key.key, text, timestamp),
        SigningPurpose.LOG,
        reference,
    )
    line = assemble_signature(key.key, await vault.sign(order), timestamp)
    if not verify_note(Note(text, (line,)), (key.key,)).signed:
        raise LogUnavailable(f"the vault's signature with {key.handle.label!r} does not verify", hint="chargepki keys doctor")
    return line
