"""The binder of a ceremony: a directory with the script, the transcript, and what is carried away."""

import asyncio
import os
from pathlib import Path
from typing import Final

from chargepki.adapters.keys.durable import make_private_directory, write_durably
from chargepki.core.pem import encode_pem, is_pem, parse_pem
from chargepki.errors import Broken, Refused

INPUT_OCTETS_MAX: Final = 512 * 1024  # a root's CRL in PEM; everything else is far smaller
TRANSCRIPT: Final = "transcript.json"
PRINTED: Final = "transcript.txt"
SCRIPT: Final = "script.toml"


class CeremonyDirectory:
    """Implements `services.ceremony_tools.Binder`. `desk` is where the script lies, and the files it names beside it."""

    def __init__(self, directory: Path, desk: Path) -> None:
        self._directory, self._desk = directory, desk

    async def load(self) -> bytes | None:
        try:
            return await asyncio.to_thread((self._directory / TRANSCRIPT).read_bytes)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _broken(self._directory, error) from error

    async def save(self, transcript: bytes, printed: str) -> None:
        """The printed one first: whoever finds the transcript finds its print, of the same moment or a later one."""
        await self._write(PRINTED, printed.encode())
        await self._write(TRANSCRIPT, transcript)

    async def keep_script(self, octets: bytes) -> None:
        """A copy of the script beside its transcript; the first one stays."""
        if not (self._directory / SCRIPT).exists():
            await self._write(SCRIPT, octets)

    async def put(self, name: str, label: str, octets: bytes) -> None:
        file = f"{name}.pem" if label else name
        await self._write(file, encode_pem(label, octets).encode() if label else octets)

    async def read_output(self, name: str) -> bytes:
        path = self._directory / name
        return await asyncio.to_thread(_read, path if path.suffix == ".json" else path.with_name(f"{name}.pem"))

    async def read_input(self, name: str) -> bytes:
        if not name or Path(name).name != name:
            raise Refused.because("ceremony.file.name", "a file beside the script is named without a directory", path="input")
        return await asyncio.to_thread(_read, self._desk / name)

    async def _write(self, name: str, octets: bytes) -> None:
        try:
            await asyncio.to_thread(_replace, self._directory / name, octets)
        except OSError as error:
            raise _broken(self._directory, error) from error


def _replace(path: Path, octets: bytes) -> None:
    make_private_directory(path.parent)
    write_durably(path, octets)


def _read(path: Path) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            content = file.read(INPUT_OCTETS_MAX + 1)
    except OSError as error:
        hint = f"put it into {path.parent}"
        raise Refused.because(
            "ceremony.file.missing", f"{path.name} cannot be read: {error.strerror}", path=str(path), hint=hint
        ) from error
    if len(content) > INPUT_OCTETS_MAX:
        raise Refused.because("ceremony.file.too_long", f"{path.name} has more than {INPUT_OCTETS_MAX} octets", path=str(path))
    if not is_pem(content):
        return content
    blobs = parse_pem(content, octets_max=INPUT_OCTETS_MAX)
    if len(blobs) != 1:
        raise Refused.because("ceremony.file.several", f"{path.name} holds {len(blobs)} things, and one was expected", path=str(path))
    return blobs[0].der


def _broken(directory: Path, error: OSError) -> Broken:
    return Broken(f"the papers in {directory} cannot be written: {error.strerror}", hint="make room; nothing goes on that is not on paper")
