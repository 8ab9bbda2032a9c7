"""A witness's directory: its key, the logs it knows, and what it saw last of each.

    WDIR/
      witness.key     Ed25519, PKCS#8 in PEM, not sealed: mode 0600, or the witness does not start
      witness.name    the name in its lines
      logs            verifier keys of the logs it cosigns, one a line
      seen/           the last cosigned checkpoint of each log, replaced and synced before any signature leaves
      evidence/       two checkpoints of one size that contradict each other, as they came
      .lock           held by the one process that serves

The key stands in the clear on purpose: a witness has to come up again by itself, and what its key can do is cosign. Whoever copies it
can make this witness agree to a fork; a quorum of several witnesses is what that is held against.
"""

import fcntl
import hashlib
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from chargepki.adapters.keys.durable import FILE_MODE, make_private_directory, write_durably
from chargepki.adapters.tlog.copy import read_bounded
from chargepki.core.algorithms import spki_of
from chargepki.core.tlog.checkpoint import parse_checkpoint
from chargepki.core.tlog.notes import (
    NOTE_OCTETS_MAX,
    Note,
    NoteKind,
    NoteSignature,
    VerifierKey,
    assemble_signature,
    parse_note,
    parse_verifier_key,
    signature_input,
    verifier_key_of,
)
from chargepki.core.tlog.policy import LOGS_MAX
from chargepki.core.tlog.witness import Seen
from chargepki.errors import Broken, Refused

LOGS_OCTETS_MAX: Final = 128 * 1024  # 2 keys each of 32 logs, ML-DSA-44 among them
EVIDENCE_MAX: Final = 64  # only the key of a log can make any; the first ones tell enough
_KEY: Final = "witness.key"
_NAME: Final = "witness.name"
_LOGS: Final = "logs"


class WitnessKey:
    """Signs checkpoints. The private key leaves this object in no form."""

    def __init__(self, name: str, private: Ed25519PrivateKey) -> None:
        self._private = private
        self.verifier = verifier_key_of(name, NoteKind.COSIGNATURE_ED25519, spki_of(private.public_key()))

    def cosign(self, text: bytes, timestamp: int) -> NoteSignature:
        """cosignature/v1 (C2SP tlog-cosignature)."""
        return assemble_signature(self.verifier, self._private.sign(signature_input(self.verifier, text, timestamp)), timestamp)


class WitnessDirectory:
    def __init__(self, directory: Path) -> None:
        self._directory = directory

    @contextmanager
    def held(self) -> Iterator[None]:
        """Two processes with one memory would cosign two histories."""
        make_private_directory(self._directory)
        with (self._directory / ".lock").open("ab") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise Broken(f"another witness works in {self._directory}", hint="stop it, or give this one its own --data") from error
            yield

    # ------------------------------------------------------------------------------------------------------------------- key

    def make_key(self, name: str) -> WitnessKey:
        """A new key. `Refused` when there is one, or the name cannot stand in a signature line."""
        file = self._directory / _KEY
        if file.exists():
            raise Refused.because("witness.key.exists", f"{file} exists", hint="chargepki witness key without --name shows it")
        private = Ed25519PrivateKey.generate()
        try:
            key = WitnessKey(name, private)
        except ValueError as error:
            raise Refused.because("witness.name", str(error), path="name", hint="a host name of yours: witness.hub.example") from error
        make_private_directory(self._directory)
        pem = private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        write_durably(self._directory / _NAME, f"{name}\n".encode())
        write_durably(file, pem)
        return key

    def key(self) -> WitnessKey:
        """`Refused` when there is none, `Broken` when others may read it."""
        file = self._directory / _KEY
        try:
            descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError as error:
            hint = f"chargepki witness key --name NAME --data {self._directory}"
            raise Refused.because("witness.key.missing", f"there is no witness key in {self._directory}", hint=hint) from error
        except OSError as error:
            raise Broken(f"{file} cannot be read: {error.strerror}") from error
        with os.fdopen(descriptor, "rb") as stream:
            status = os.fstat(descriptor)
            if stat.S_IMODE(status.st_mode) & 0o077 or status.st_uid != os.getuid():
                raise Broken(
                    f"{file} can be read or replaced by others", hint=f"chmod {FILE_MODE:o} {file}; if others could read it: make a new key"
                )
            pem = stream.read(4096)
        name = (read_bounded(self._directory / _NAME, 512) or b"").decode("utf-8", "replace").strip()
        try:
            private = serialization.load_pem_private_key(pem, None)
        except (ValueError, TypeError) as error:
            raise Broken(f"{file} is no private key in PEM", hint="restore it from your backup") from error
        if not isinstance(private, Ed25519PrivateKey):
            raise Broken(f"{file} is not an Ed25519 key", hint="restore it from your backup")
        return WitnessKey(name, private)

    # ------------------------------------------------------------------------------------------------------------------ logs

    def logs(self) -> Mapping[str, Sequence[VerifierKey]]:
        """The keys of every log that is cosigned here, by its origin. `Refused` names a line that is wrong."""
        text = (read_bounded(self._directory / _LOGS, LOGS_OCTETS_MAX + 1) or b"").decode("utf-8", "replace")
        if len(text) > LOGS_OCTETS_MAX:
            raise Refused.because("witness.logs.too_long", f"{self._directory / _LOGS} has more than {LOGS_OCTETS_MAX} octets")
        found: dict[str, list[VerifierKey]] = {}
        for line in text.splitlines():
            if line.strip() and not line.startswith("#"):
                key = parse_verifier_key(line.strip())
                found.setdefault(key.name, []).append(key)
        if len(found) > LOGS_MAX:
            raise Refused.because("witness.logs.many", f"a witness looks after at most {LOGS_MAX} logs")
        return found

    def add_log(self, vkey: str) -> VerifierKey:
        """From now on (the next start) this log's checkpoints are cosigned when this key signed them."""
        key = parse_verifier_key(vkey)
        if key.kind is NoteKind.COSIGNATURE_ED25519:
            raise Refused.because("witness.log.kind", f"{key.name} is the key of a witness, not of a log", path="vkey")
        known = self.logs()
        if key not in known.get(key.name, ()):
            make_private_directory(self._directory)
            keys = [*(one for keys in known.values() for one in keys), key]
            write_durably(self._directory / _LOGS, "".join(f"{one}\n" for one in keys).encode())
        return key

    # ------------------------------------------------------------------------------------------------------------------ seen

    def seen(self, origin: str) -> Seen | None:
        """None: this log was never cosigned here. `Broken` when the memory is damaged: then nothing may be."""
        file = self._seen_file(origin)
        data = read_bounded(file, NOTE_OCTETS_MAX + 1)
        if data is None:
            return None
        try:
            checkpoint = parse_checkpoint(parse_note(data).text)
        except Refused as refusal:
            raise Broken(f"what was seen of {origin} cannot be read: {refusal}", hint=f"restore {file}; do not delete it") from refusal
        if checkpoint.origin != origin:
            raise Broken(f"{file} is about {checkpoint.origin}, not about {origin}", hint="restore it; do not delete it")
        return Seen(checkpoint.size, checkpoint.root)

    def replace_seen(self, origin: str, expected: Seen | None, note: Note) -> bool:
        """Compare and swap, durable on return. False when something else was seen meanwhile."""
        if self.seen(origin) != expected:
            return False
        make_private_directory(self._directory / "seen")
        write_durably(self._seen_file(origin), note.encode())
        return True

    def keep_evidence(self, origin: str, note: Note) -> Path | None:
        """Both heads of a fork, in one file; None when there are enough of them."""
        directory = self._directory / "evidence"
        make_private_directory(directory)
        before = read_bounded(self._seen_file(origin), NOTE_OCTETS_MAX + 1) or b""
        content = before + b"\n--\n" + note.encode()
        file = directory / f"{hashlib.sha256(note.text).hexdigest()}.txt"
        if file.exists() or sum(1 for _ in directory.iterdir()) >= EVIDENCE_MAX:
            return None
        write_durably(file, content)
        return file

    def _seen_file(self, origin: str) -> Path:
        return self._directory / "seen" / f"{hashlib.sha256(origin.encode()).hexdigest()}.checkpoint"  # no name leads out of it
