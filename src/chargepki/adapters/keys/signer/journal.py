"""The signer's own list: one line of canonical JSON per event, each naming the SHA-256 of the one before, on disk before the answer.

    list/000000000001.jsonl    a segment is named after its first line; the next one goes on with the chain

Lines are made in the order of their numbers; whoever waits together shares one flush.
"""

import asyncio
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import IO, Any, Final, Protocol

from chargepki.adapters.keys.durable import FILE_MODE, make_private_directory, sync_directory
from chargepki.core import canonical_json
from chargepki.core.canonical_json import JsonValue
from chargepki.errors import Broken, VaultUnavailable

LINE_OCTETS_MAX: Final = 16 * 1024  # ours have about 600
SEGMENT_OCTETS_MAX: Final = 64 * 1024 * 1024  # 160,000 lines, read whole at a start: three to five seconds
BEGINNING: Final = "0" * 64  # what the very first line names as the one before it
SUFFIX: Final = ".jsonl"

_NAME: Final = re.compile(r"[0-9]{12}\.jsonl")


@dataclass(frozen=True, slots=True)
class Head:
    """The end of a chain: the last line's number and hash."""

    n: int
    sha256: str


@dataclass(frozen=True, slots=True)
class ChainBreak:
    """The first line that does not follow. `line` counts from 1 inside `file`."""

    file: str
    line: int
    reason: str


class _Clock(Protocol):
    def now(self) -> datetime: ...


class Journal:
    """`append` gives what to wait for before anything leaves the process. Once a write has failed, nothing more is written."""

    def __init__(self, file: IO[bytes], directory: Path, head: Head, clock: _Clock) -> None:
        self._file, self._directory, self._head, self._clock = file, directory, head, clock
        self._size = file.tell()
        self._waiting: list[tuple[bytes, asyncio.Future[None]]] = []
        self._failure: VaultUnavailable | None = None

    @classmethod
    def open(cls, directory: Path, clock: _Clock, see: Callable[[Mapping[str, Any]], None] = lambda _: None) -> "Journal":
        """The list in `directory`, ready to go on. `see` is shown every line of its newest segment, which is verified on the way.

        What follows the last newline was never answered for (a crash cut it off) and is removed. `Broken` for a chain that does not hold.
        """
        try:
            make_private_directory(directory)
            segments = find_segments(directory)
            path = segments[-1] if segments else directory / f"{1:012}{SUFFIX}"
            _cut_torn_line(path)
            start = _end_of(segments[-2]) if len(segments) > 1 else _start_of(path)
            head = _read_segment(path, start, see) if path.exists() else Head(0, BEGINNING)
            return cls(_open_for_append(path), directory, head, clock)
        except OSError as error:
            raise _unavailable(directory, error) from error

    @property
    def head(self) -> Head:
        return self._head

    def append(self, entry: Mapping[str, JsonValue]) -> asyncio.Future[None]:
        """Takes the line in. The future ends when it is on disk, or with `VaultUnavailable`."""
        done = asyncio.get_running_loop().create_future()
        if self._failure is not None:
            done.set_exception(self._failure)
            return done
        n = self._head.n + 1
        time = _spell(self._clock.now())
        line = canonical_json.encode({"v": 1, "n": n, "prev": self._head.sha256, "time": time, **entry})
        self._head = Head(n, hashlib.sha256(line).hexdigest())
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._flush)
        self._waiting.append((line + b"\n", done))
        return done

    def close(self) -> None:
        self._flush()
        self._file.close()

    def _flush(self) -> None:
        """Blocks the loop, which has nothing better to do: what waits for this flush is all there is, and what comes meanwhile shares
        the next one. A thread would cost more processor than the signature."""
        batch, self._waiting = self._waiting, []
        if not batch:
            return
        try:
            self._write(b"".join(line for line, _ in batch), self._head.n - len(batch) + 1)
        except OSError as error:
            self._failure = _unavailable(self._directory, error)
        for _, done in batch:
            if not done.done():
                done.set_result(None) if self._failure is None else done.set_exception(self._failure)

    def _write(self, octets: bytes, first: int) -> None:
        if self._size + len(octets) > SEGMENT_OCTETS_MAX and self._size:
            self._file.close()
            self._file = _open_for_append(self._directory / f"{first:012}{SUFFIX}")
            self._size = 0
        self._file.write(octets)
        os.fdatasync(self._file.fileno())
        self._size += len(octets)


@lru_cache(maxsize=4)  # many lines are of one second
def _spell(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def find_segments(directory: Path) -> list[Path]:
    """Oldest first."""
    return sorted(path for path in directory.iterdir() if _NAME.fullmatch(path.name))


def verify_list(path: Path) -> Head | ChainBreak:
    """`path` is a directory of segments, whose first begins with line 1, or one segment, which is believed what its first line says of
    the line before. `OSError` as it comes."""
    segments = find_segments(path) if path.is_dir() else [path]
    if not segments:
        return Head(0, BEGINNING)
    head = Head(0, BEGINNING) if path.is_dir() else _start_of(path)
    place = (segments[0].name, 0)
    for segment in segments:
        try:
            for number, (_, after) in enumerate(_follow(segment, head), 1):
                head, place = after, (segment.name, number)
        except _Unvouched as error:
            return ChainBreak(*place, str(error))
        except ValueError as error:
            return ChainBreak(segment.name, place[1] + 1 if place[0] == segment.name else 1, str(error))
    return head or Head(0, BEGINNING)


class _Unvouched(ValueError):
    """The line before this one is not what this one says it was: everything up to there holds, it does not."""


def _follow(path: Path, head: Head | None) -> Iterator[tuple[Mapping[str, Any], Head]]:
    """Each line with the head behind it. `ValueError` says why the next line does not follow."""
    with path.open("rb") as file:
        while raw := file.readline(LINE_OCTETS_MAX + 1):
            entry, head = parse_line(raw, head)
            yield entry, head


def parse_line(raw: bytes, head: Head | None) -> tuple[Mapping[str, Any], Head]:
    """The entry and the head behind it. `ValueError` when the line does not follow `head` (None: any head will do)."""
    if len(raw) > LINE_OCTETS_MAX:
        raise ValueError(f"the line has more than {LINE_OCTETS_MAX} octets")
    if not raw.endswith(b"\n"):
        raise ValueError("the line is cut off")
    try:
        entry = json.loads(raw)
    except (ValueError, RecursionError):
        raise ValueError("the line is no JSON") from None
    if not isinstance(entry, dict) or not isinstance(entry.get("n"), int) or not isinstance(entry.get("prev"), str):
        raise ValueError("the line is no entry of this list")
    if head is not None and entry["n"] != head.n + 1:
        raise ValueError(f"it has number {entry['n']} where {head.n + 1} belongs")
    if head is not None and entry["prev"] != head.sha256:
        raise _Unvouched("the next line names another hash for it: it was changed, or the next line was")
    return entry, Head(entry["n"], hashlib.sha256(raw[:-1]).hexdigest())


def _read_segment(path: Path, head: Head | None, see: Callable[[Mapping[str, Any]], None]) -> Head:
    number = 0
    try:
        for entry, after in _follow(path, head):
            see(entry)
            head, number = after, number + 1
    except ValueError as error:
        raise Broken(
            f"the signer's list is broken: {path.name}, after line {number}: {error}",
            hint="nothing is signed over a broken list; keep a copy, look with chargepki signer log verify, find out who changed it",
        ) from error
    return head or Head(0, BEGINNING)


def _start_of(segment: Path) -> Head | None:
    """What stands before a segment, as far as its name says: nothing before the first; None for any other."""
    return Head(0, BEGINNING) if segment.name == f"{1:012}{SUFFIX}" else None


def _end_of(segment: Path) -> Head:
    """The head behind a finished segment, from its last line alone."""
    with segment.open("rb") as file:
        file.seek(max(0, segment.stat().st_size - LINE_OCTETS_MAX))
        last = file.read().rstrip(b"\n").rpartition(b"\n")[2]
    try:
        return parse_line(last + b"\n", None)[1]
    except ValueError as error:
        raise Broken(f"the signer's list is broken: the end of {segment.name}: {error}", hint="chargepki signer log verify") from error


def _cut_torn_line(path: Path) -> None:
    if not path.exists():
        return
    with path.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - LINE_OCTETS_MAX))
        tail = file.read()
        torn = len(tail) - (tail.rfind(b"\n") + 1)
        if torn and torn < LINE_OCTETS_MAX:
            file.truncate(size - torn)
            os.fsync(file.fileno())


def _open_for_append(path: Path) -> IO[bytes]:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, FILE_MODE)
    file = os.fdopen(descriptor, "ab", buffering=0)
    file.seek(0, os.SEEK_END)
    sync_directory(path.parent)
    return file


def _unavailable(directory: Path, error: OSError) -> VaultUnavailable:
    return VaultUnavailable(
        f"the signer cannot keep its list in {directory}: {error.strerror}",
        hint="nothing is signed without it; check the directory and the free space, then start the signer again",
    )
