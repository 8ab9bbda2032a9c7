"""Small secret files: whole or absent, durable, and for the owner only."""

import os
import secrets
from pathlib import Path
from typing import Final

DIRECTORY_MODE: Final = 0o700
FILE_MODE: Final = 0o600
TEMPORARY_PREFIX: Final = ".new-"


def make_private_directory(directory: Path) -> None:
    """Makes `directory` with mode 0700, or sets that mode where it exists. `OSError` as it comes."""
    directory.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
    directory.chmod(DIRECTORY_MODE)


def write_durably(path: Path, content: bytes) -> None:
    """Writes a new file of mode 0600 under another name, syncs it, renames it and syncs the directory. `OSError` as it comes."""
    temporary = path.with_name(f"{TEMPORARY_PREFIX}{secrets.token_hex(8)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, FILE_MODE)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def erase(path: Path) -> None:
    """Overwrites the file once with random octets and removes it.

    On journalling and flash file systems old blocks may survive; what survives is sealed, and useless without the passphrase.
    """
    with path.open("r+b", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        file.write(secrets.token_bytes(size))
        os.fsync(file.fileno())
    path.unlink()
    sync_directory(path.parent)


def sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
