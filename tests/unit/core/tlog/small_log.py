"""A log in memory, built from the core alone, with keys that sign where a vault would."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric import ed25519, mldsa

from chargepki.core.algorithms import spki_of
from chargepki.core.tlog.checkpoint import Checkpoint
from chargepki.core.tlog.edge import TreeEdge
from chargepki.core.tlog.merkle import hash_leaf, hash_node
from chargepki.core.tlog.notes import Note, NoteKind, NoteSignature, VerifierKey, assemble_signature, signature_input, verifier_key_of
from chargepki.core.tlog.tiles import ENTRIES, TileId, encode_bundle, tiles_between

ORIGIN = "log.example/audit"
Key = ed25519.Ed25519PrivateKey | mldsa.MLDSA44PrivateKey


@dataclass(frozen=True)
class Signer:
    """A key that signs notes under a name."""

    private: Key
    verifier: VerifierKey

    @classmethod
    def make(cls, name: str, kind: NoteKind, seed: int = 0) -> "Signer":
        octets = bytes([seed, kind]) * 16
        private: Key = (
            mldsa.MLDSA44PrivateKey.from_seed_bytes(octets)
            if kind is NoteKind.COSIGNATURE_MLDSA44
            else ed25519.Ed25519PrivateKey.from_private_bytes(octets)
        )
        return cls(private, verifier_key_of(name, kind, spki_of(private.public_key())))

    def line(self, text: bytes, timestamp: int = 1_790_000_000) -> NoteSignature:
        timestamp = timestamp if self.verifier.is_timestamped else 0
        return assemble_signature(self.verifier, self.private.sign(signature_input(self.verifier, text, timestamp)), timestamp)


LOG_ED25519 = Signer.make(ORIGIN, NoteKind.ED25519)
LOG_MLDSA44 = Signer.make(ORIGIN, NoteKind.COSIGNATURE_MLDSA44)
WITNESSES = tuple(Signer.make(f"w{n}.example", NoteKind.COSIGNATURE_ED25519, n) for n in (1, 2, 3))


def root_of(leaves: Sequence[bytes]) -> bytes:
    """RFC 6962 2.1, as it is written there."""
    if not leaves:
        return bytes.fromhex("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
    if len(leaves) == 1:
        return hash_leaf(leaves[0])
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return hash_node(root_of(leaves[:split]), root_of(leaves[split:]))


def entries_of(count: int) -> list[bytes]:
    return [f'{{"entry":{number},"text":"{"x" * (number % 7)}"}}'.encode() for number in range(count)]


def sign(checkpoint: Checkpoint, *signers: Signer) -> Note:
    return Note(checkpoint.text, tuple(signer.line(checkpoint.text) for signer in signers))


@dataclass
class SmallLog:
    """Its files by path, as an auditor copies them."""

    entries: list[bytes] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    edge: TreeEdge = field(default_factory=TreeEdge)

    @classmethod
    def of(cls, count: int) -> "SmallLog":
        log = cls()
        log.append(entries_of(count))
        return log

    def append(self, entries: Sequence[bytes], *signers: Signer) -> None:
        old = self.edge.size
        self.entries += entries
        tiles = dict(self.edge.append(map(hash_leaf, entries)))
        tiles.update(self.edge.partial_tiles())
        for tile in tiles_between(old, self.edge.size):
            self.files[tile.path] = self._bundle(tile) if tile.level == ENTRIES else tiles[tile]
        self.files["checkpoint"] = sign(self.checkpoint, *(signers or (LOG_ED25519,))).encode()

    def _bundle(self, tile: TileId) -> bytes:
        return encode_bundle(self.entries[tile.first_entry : tile.first_entry + tile.width])

    @property
    def checkpoint(self) -> Checkpoint:
        return Checkpoint(ORIGIN, self.edge.size, self.edge.root())

    def read(self, path: str) -> bytes | None:
        return self.files.get(path)

    def node(self, height: int, index: int) -> bytes:
        """A `merkle.NodeReader` that hashes from the entries, without any tile."""
        return root_of(self.entries[index << height : (index + 1) << height])

    def tiles(self) -> Iterator[TileId]:
        return tiles_between(0, self.edge.size)
