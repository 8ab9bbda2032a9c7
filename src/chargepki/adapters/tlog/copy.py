"""A copy of a log in a directory: read for an audit, without the process that wrote it, and filled from elsewhere."""

import asyncio
from pathlib import Path
from typing import Final

from chargepki.adapters.keys.durable import make_private_directory, write_durably
from chargepki.core.tlog.audit import COSIGNED_PATH
from chargepki.core.tlog.policy import POLICY_OCTETS_MAX, Policy, parse_policy
from chargepki.core.tlog.tiles import BUNDLE_OCTETS_MAX, CHECKPOINT_PATH, parse_tile_path
from chargepki.errors import Broken, NotFound, Refused

POLICY_FILE: Final = "policy"  # whose signatures make the checkpoint believable; written beside it by the node
FILE_OCTETS_MAX: Final = BUNDLE_OCTETS_MAX + 1  # one more tells that it is too long
MEMORY_FILE: Final = "monitor.json"


class CopyDirectory:
    """A `core.tlog.audit.CopyReader`, and for monitors a `LogFiles`. Reads at most what a bundle may have."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def __call__(self, path: str) -> bytes | None:
        if path not in (CHECKPOINT_PATH, COSIGNED_PATH):
            parse_tile_path(path)  # no name leads out of the directory
        return read_bounded(self.directory / path, FILE_OCTETS_MAX)

    async def read(self, path: str) -> bytes:
        data = await asyncio.to_thread(self, path)
        if data is None:
            raise NotFound.because("log.file.unknown", f"the copy has no {path}", path="path")
        return data


class FileMemory:
    """A monitor's memory in one file, readable by its owner alone. Replaced as a whole, durably."""

    def __init__(self, file: Path, octets_max: int) -> None:
        self._file, self._octets_max = file, octets_max

    async def load(self) -> bytes | None:
        return await asyncio.to_thread(read_bounded, self._file, self._octets_max)

    async def save(self, content: bytes) -> None:
        await asyncio.to_thread(self._save, content)

    def forget(self) -> None:
        self._file.unlink(missing_ok=True)

    def _save(self, content: bytes) -> None:
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            write_durably(self._file, content)
        except OSError as error:
            raise Broken(f"{self._file} cannot be written: {error.strerror}", hint="make room there, or name another --state") from error


def find_log(directory: Path) -> Path:
    """The log in a data directory, or the directory itself. `Refused` when neither has a checkpoint."""
    for candidate in (directory, directory / "log"):
        if (candidate / CHECKPOINT_PATH).is_file() or (candidate / "tile").is_dir():
            return candidate
    raise Refused.because(
        "log.copy.missing", f"there is no log in {directory}", path=str(directory), hint="name the data directory or the copy: --data DIR"
    )


def read_policy(file: Path) -> Policy:
    data = read_bounded(file, POLICY_OCTETS_MAX + 1)
    if data is None:
        raise Refused.because(
            "log.policy.missing", f"there is no policy file {file}", path=str(file), hint="chargepki log policy prints it on the platform"
        )
    return parse_policy(data.decode("utf-8", "replace"))


def read_bounded(file: Path, octets_max: int) -> bytes | None:
    try:
        with file.open("rb") as stream:
            return stream.read(octets_max)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None
    except OSError as error:
        raise Refused.because("log.copy.unreadable", f"{file} cannot be read: {error.strerror}", path=str(file)) from error


def write_copy(directory: Path, path: str, data: bytes) -> None:
    """One file of a copy, whole or absent."""
    target = directory / path
    try:
        if not target.parent.is_dir():
            make_private_directory(target.parent)
        write_durably(target, data)
    except OSError as error:
        raise Broken(f"{target} cannot be written: {error.strerror}", hint="make room there, or name another directory") from error
