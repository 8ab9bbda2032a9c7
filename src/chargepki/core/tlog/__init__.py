"""A transparency log: Merkle tree, tiles, signed checkpoints, proofs, witnesses. Bytes in, values out (docs/specs/log.md)."""
