"""Where the vault's passphrase comes from: a file, or a person at a terminal. Never a flag, never the environment."""

import getpass
import os
import secrets
import stat
import sys
from pathlib import Path
from typing import Final

from chargepki.adapters.keys.durable import make_private_directory, write_durably
from chargepki.errors import Broken

DEVELOPMENT_FILE: Final = "development.passphrase"
PASSPHRASE_OCTETS_MAX: Final = 1024
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


def passphrase_from_file(path: Path) -> bytes:
    """The file's first line. `Broken` when it cannot be read, is empty or too long, or others than its owner may touch it."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if mode & _OTHERS:
                raise Broken(f"others may read the passphrase file {path} (mode {stat.S_IMODE(mode):04o})", hint=f"chmod 600 {path}")
            content = file.read(PASSPHRASE_OCTETS_MAX + 2)
    except OSError as error:
        raise Broken(
            f"cannot read the passphrase file {path}: {error.strerror}", hint="the configuration names it in keys.passphrase"
        ) from error
    passphrase = content.split(b"\n", 1)[0].rstrip(b"\r")
    if not 0 < len(passphrase) <= PASSPHRASE_OCTETS_MAX:
        raise Broken(f"the first line of {path} is no passphrase: it has 1 to {PASSPHRASE_OCTETS_MAX} octets")
    return passphrase


def passphrase_from_terminal(prompt: str = "Passphrase of the key vault: ") -> bytes:
    """What a person types, unseen. `Broken` without a terminal."""
    if not sys.stdin.isatty():
        raise Broken(
            "the key vault needs its passphrase, and there is no terminal to ask at",
            hint='name a file of mode 0600 in the configuration: [keys] passphrase = { file = "..." }',
        )
    return getpass.getpass(prompt).encode()


def development_passphrase(directory: Path) -> bytes:
    """The passphrase of a development platform: made on the first call, kept beside the vault in a file of mode 0600.

    It keeps the format of a real deployment, not its secrecy: who can read the directory can read the keys.
    """
    path = directory / DEVELOPMENT_FILE
    try:
        if not path.exists():
            make_private_directory(directory)
            write_durably(path, secrets.token_urlsafe(32).encode() + b"\n")
    except OSError as error:
        raise Broken(f"cannot write {path}: {error.strerror}", hint="check the data directory, its owner and the free space") from error
    return passphrase_from_file(path)
