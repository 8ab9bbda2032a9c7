"""Files and secrets that come into and go out of commands."""

import os
import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from chargepki.errors import Refused

INPUT_OCTETS_MAX: Final = 8 * 1024 * 1024  # a large CRL; nobody pipes more by intention
PASSPHRASE_CHARS_MIN: Final = 8  # the API's own bounds, said before anything is signed
PASSPHRASE_CHARS_MAX: Final = 256

# Never a flag's value: command lines are seen by other users and kept in histories.
PassphraseOption = Annotated[
    Path | None, typer.Option("--passphrase-file", metavar="FILE", help="the passphrase's file; asked for unless said")
]


def read_input(name: str) -> bytes:
    """The file's octets, or stdin's for `-`. `Refused` when it cannot be read or is too long."""
    try:
        if name == "-":
            data = sys.stdin.buffer.read(INPUT_OCTETS_MAX + 1)
        else:
            with Path(name).open("rb") as file:
                data = file.read(INPUT_OCTETS_MAX + 1)
    except OSError as error:
        raise Refused.because(
            "cli.file.unreadable", f"{name} cannot be read: {error.strerror}", hint="name a file, or - for stdin"
        ) from error
    if len(data) > INPUT_OCTETS_MAX:
        raise Refused.because("cli.file.too_long", f"{name} has more than {INPUT_OCTETS_MAX} octets", hint="give one object at a time")
    return data


def read_csr(name: str) -> str:
    """A CSR in PEM, as the API takes it; a file in DER is put into PEM."""
    from chargepki.core.pem import encode_pem

    octets = read_input(name)
    is_der = octets[:1] == b"\x30" and octets[1:2] >= b"\x80"  # a SEQUENCE in the long form; text has no such octet
    return encode_pem("CERTIFICATE REQUEST", octets) if is_der else octets.decode("ascii", "replace")


def read_passphrase(path: Path | None, prompt: str) -> str:
    """From the first line of a file, or asked for twice on the terminal."""
    if path is not None:
        passphrase = read_input(str(path)).decode("utf-8", "replace").split("\n", 1)[0].rstrip("\r")
    elif sys.stdin.isatty():
        passphrase = str(typer.prompt(prompt, hide_input=True, confirmation_prompt=True, err=True))
    else:
        raise Refused.because("cli.passphrase", "there is no terminal to ask for the passphrase", hint="--passphrase-file FILE")
    if not PASSPHRASE_CHARS_MIN <= len(passphrase) <= PASSPHRASE_CHARS_MAX:
        raise Refused.because("cli.passphrase", f"a passphrase has {PASSPHRASE_CHARS_MIN} to {PASSPHRASE_CHARS_MAX} characters")
    return passphrase


def write_new(path: Path, octets: bytes, *, force: bool, is_secret: bool = False) -> None:
    """Writes `path`; an existing file only with `force`. A secret is readable by its owner alone."""
    flags = os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if force else os.O_EXCL)
    try:
        with os.fdopen(os.open(path, flags, 0o600 if is_secret else 0o644), "wb") as file:
            file.write(octets)
        if is_secret:
            path.chmod(0o600)
    except FileExistsError as error:
        raise Refused.because("cli.file.exists", f"{path} exists", hint="choose another file, or overwrite it with --force") from error
    except OSError as error:
        raise Refused.because("cli.file.unwritable", f"{path} cannot be written: {error.strerror}") from error
