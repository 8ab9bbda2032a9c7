"""The log in a directory, laid out as C2SP tlog-tiles serves it: copy it, or put a web server in front of it.

    log/
      checkpoint            replaced
      checkpoint.cosigned   replaced: the newest one that witnesses signed
      tile/...              written once
      .new/                 files on their way; emptied at the start
      .lock                 held by the one process that writes

A file appears whole or not at all: written and synced under `.new`, then renamed, then its directory is synced. The checkpoint is last.
So whatever moment the machine dies at, every checkpoint stands over tiles that are there, and what is missing is written again from the
store, with the same bytes.
"""

import asyncio
import fcntl
import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final, TypeVar

from chargepki.adapters.keys.durable import DIRECTORY_MODE, FILE_MODE, make_private_directory, sync_directory
from chargepki.core.tlog.audit import COSIGNED_PATH
from chargepki.core.tlog.tiles import CHECKPOINT_PATH, TileId, parse_tile_path
from chargepki.errors import LogInconsistent, LogUnavailable, NotFound
from chargepki.ports import TileFile

_NEW: Final = ".new"
_LOCK: Final = ".lock"
_REPLACED: Final = frozenset({CHECKPOINT_PATH, COSIGNED_PATH})

T = TypeVar("T")


class TileDirectory:
    """Implements `ports.LogTiles`. One process writes at a time; reading needs no leave."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lock: BinaryIO | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="log")  # one: publishing keeps its order, and waits for no password hash

    async def read_checkpoint(self) -> bytes | None:
        try:
            return await self.read(CHECKPOINT_PATH)
        except NotFound:
            return None

    async def read(self, path: str) -> bytes:
        """A tile, a bundle or one of the two checkpoints; `Refused` for a path that is none of them."""
        return await self._in_thread(lambda: _read(self._file(path), path))

    async def publish(self, files: Sequence[TileFile], checkpoint: bytes) -> None:
        """`LogInconsistent` when a file is there already with other bytes; then nothing was replaced. An empty checkpoint leaves the
        one that stands: more files follow before the next."""
        await self._in_thread(lambda: self._publish(files, checkpoint))

    async def close(self) -> None:
        """Lets go of the directory. Another object, or another process, may then publish into it."""
        await asyncio.to_thread(self._thread.shutdown)
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    async def _in_thread(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except OSError as error:
            raise LogUnavailable(
                f"the log in {self._directory} cannot be read or written: {error}",
                hint="see to space and permissions there; nothing is signed until the log can be written",
            ) from error

    def _publish(self, files: Sequence[TileFile], checkpoint: bytes) -> None:
        self._hold()
        self._place([file for file in files if not self._stands(file)])
        if checkpoint:
            self._place([TileFile(CHECKPOINT_PATH, checkpoint)])
        self._drop_partials(file.path for file in files)

    def _hold(self) -> None:
        """Two writers would sign two histories."""
        if self._lock is not None:
            return
        make_private_directory(self._directory)
        lock = os.fdopen(os.open(self._directory / _LOCK, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600), "ab")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.close()
            raise LogUnavailable(
                f"another process writes the log in {self._directory}", hint="stop it, or give this one a log of its own"
            ) from error
        self._lock = lock
        shutil.rmtree(self._directory / _NEW, ignore_errors=True)  # what a crash left on its way
        make_private_directory(self._directory / _NEW)

    def _stands(self, file: TileFile) -> bool:
        """Whether the file is there already. A different one under its name is never overwritten."""
        path = self._file(file.path)
        if file.path in _REPLACED or not path.exists():
            return False
        if path.read_bytes() == file.data:
            return True
        raise LogInconsistent(
            f"{file.path} in the log is not what the database makes of its entries",
            hint="one of them was changed or rolled back; chargepki log verify says which entry. Restore the one that is wrong",
        )

    def _place(self, files: Sequence[TileFile]) -> None:
        """Writes and syncs all of them, then renames each to its place, then syncs the places."""
        written = [(self._directory / _NEW / str(number), self._file(file.path), file.data) for number, file in enumerate(files)]
        for temporary, _, data in written:
            _write_synced(temporary, data)
        for temporary, path, _ in written:
            self._make_directories(path.parent)
            temporary.rename(path)
        for directory in dict.fromkeys(path.parent for _, path, _ in written):
            sync_directory(directory)

    def _make_directories(self, directory: Path) -> None:
        missing = []
        while not directory.exists():
            missing.append(directory)
            directory = directory.parent
        for one in reversed(missing):
            one.mkdir(mode=DIRECTORY_MODE)
            sync_directory(one.parent)

    def _drop_partials(self, paths: Iterable[str]) -> None:
        """C2SP tlog-tiles: a partial tile may go once the full one stands. One that stays does no harm."""
        for path in paths:
            if path not in _REPLACED and parse_tile_path(path).is_full:
                with suppress(OSError):
                    shutil.rmtree(self._file(path).with_name(f"{path.rpartition('/')[2]}.p"))

    def _file(self, path: str) -> Path:
        """Only names that a log has lead to a file, so none leads out of the directory."""
        if path in _REPLACED:
            return self._directory / path
        tile: TileId = parse_tile_path(path)
        return self._directory / tile.path


def _read(file: Path, path: str) -> bytes:
    try:
        return file.read_bytes()
    except FileNotFoundError as error:
        raise NotFound.because("log.file.unknown", f"the log has no {path}", path="path") from error


def _write_synced(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, FILE_MODE)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
