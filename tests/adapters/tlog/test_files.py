"""The log in a directory: written once, whole or absent, in the right order, and nowhere else."""

import asyncio
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from chargepki.adapters.tlog.files import TileDirectory
from chargepki.core.tlog.audit import audit_copy
from chargepki.core.tlog.policy import policy_of
from chargepki.errors import LogInconsistent, LogUnavailable, NotFound, Refused
from chargepki.ports import TileFile
from tests.unit.core.tlog.small_log import LOG_ED25519, SmallLog, entries_of

POLICY = policy_of([LOG_ED25519.verifier])


class Died(BaseException):
    """The machine stopped here."""


def files_of(log: SmallLog) -> list[TileFile]:
    return [TileFile(path, data) for path, data in log.files.items() if path != "checkpoint"]


async def publish(tiles: TileDirectory, log: SmallLog) -> None:
    await tiles.publish(files_of(log), log.files["checkpoint"])


def copy_reader(directory: Path) -> Callable[[str], bytes | None]:
    def read(path: str) -> bytes | None:
        file = directory / path
        return file.read_bytes() if file.is_file() else None

    return read


@pytest.mark.clause("C2SP tlog-tiles")
async def test_what_is_published_is_a_copy_an_auditor_accepts(tmp_path: Path) -> None:
    tiles, log = TileDirectory(tmp_path / "log"), SmallLog.of(1000)
    assert await tiles.read_checkpoint() is None
    await publish(tiles, log)
    assert await tiles.read_checkpoint() == log.files["checkpoint"]
    assert await tiles.read("tile/0/001") == log.files["tile/0/001"]
    verdict = audit_copy(copy_reader(tmp_path / "log"), POLICY)
    assert verdict.is_accepted
    assert verdict.size == 1000
    await tiles.close()


async def test_files_are_for_the_owner_only(tmp_path: Path) -> None:
    tiles = TileDirectory(tmp_path / "log")
    await publish(tiles, SmallLog.of(300))
    for path in (tmp_path / "log").rglob("*"):
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == (0o700 if path.is_dir() else 0o600) or path.name == ".lock"
    await tiles.close()


async def test_the_same_files_again_change_nothing_and_different_ones_are_refused(tmp_path: Path) -> None:
    tiles, log = TileDirectory(tmp_path), SmallLog.of(300)
    await publish(tiles, log)
    before = (tmp_path / "tile/0/000").stat().st_mtime_ns
    await publish(tiles, log)
    assert (tmp_path / "tile/0/000").stat().st_mtime_ns == before
    other = SmallLog()
    other.append([b"other", *entries_of(299)])
    with pytest.raises(LogInconsistent, match="is not what the database makes"):
        await publish(tiles, other)
    assert audit_copy(copy_reader(tmp_path), POLICY).is_accepted
    await tiles.close()


async def test_partial_tiles_go_once_the_full_one_stands(tmp_path: Path) -> None:
    tiles, log = TileDirectory(tmp_path), SmallLog.of(100)
    await publish(tiles, log)
    assert (tmp_path / "tile/0/000.p/100").exists()
    log.append(entries_of(200))
    await publish(tiles, log)
    assert not (tmp_path / "tile/0/000.p").exists()
    assert not (tmp_path / "tile/entries/000.p").exists()
    assert audit_copy(copy_reader(tmp_path), POLICY).is_accepted
    await tiles.close()


@pytest.mark.parametrize("path", ["../secret", "/etc/passwd", "tile/0/../../../secret", ".lock", "tile/0/000.p/0", "tile/entries/..", ""])
async def test_no_path_leads_out_of_the_log(tmp_path: Path, path: str) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    tiles = TileDirectory(tmp_path / "log")
    with pytest.raises(Refused):
        await tiles.read(path)
    with pytest.raises(Refused):
        await tiles.publish([TileFile(path, b"x")], b"checkpoint")
    assert await tiles.read_checkpoint() is None
    assert (tmp_path / "secret").read_bytes() == b"secret"
    await tiles.close()


async def test_a_tile_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    tiles = TileDirectory(tmp_path)
    with pytest.raises(NotFound):
        await tiles.read("tile/0/000")
    await tiles.close()


async def test_a_second_writer_is_turned_away(tmp_path: Path) -> None:
    first, second = TileDirectory(tmp_path), TileDirectory(tmp_path)
    await publish(first, SmallLog.of(10))
    with pytest.raises(LogUnavailable, match="another process"):
        await publish(second, SmallLog.of(20))
    assert await second.read_checkpoint() == SmallLog.of(10).files["checkpoint"]
    await first.close()
    await publish(second, SmallLog.of(20))
    await second.close()


async def test_a_directory_that_cannot_be_written_is_unavailable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    tiles = TileDirectory(tmp_path)
    await publish(tiles, SmallLog.of(10))
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(LogUnavailable, match="No space left"):
            await publish(tiles, SmallLog.of(20))
    assert await tiles.read_checkpoint() == SmallLog.of(10).files["checkpoint"]
    await publish(tiles, SmallLog.of(20))
    await tiles.close()


STEPS = ("fsync", "rename", "mkdir", "open", "rmdir")  # every call of the system that changes the directory


def die_at(patch: pytest.MonkeyPatch, step: int) -> list[str]:
    """The step-th of those calls does not happen, nor does any after it. Returns the calls so far."""
    done: list[str] = []
    for name in STEPS:
        true = getattr(os, name)

        def call(*args: object, _true: Callable[..., object] = true, _name: str = name, **named: object) -> object:
            if len(done) == step:
                raise Died(_name)
            done.append(_name)
            return _true(*args, **named)

        patch.setattr(os, name, call)
    return done


async def test_after_a_crash_at_any_step_the_checkpoint_stands_over_its_tiles_and_the_next_start_goes_on(tmp_path: Path) -> None:
    """Growing from 250 to 600 entries makes full tiles, new directories and partial ends, and removes old ones."""
    crashes = 0
    for step in range(200):
        directory = tmp_path / str(step)
        log = SmallLog.of(250)
        tiles = TileDirectory(directory)
        await publish(tiles, log)
        log.append(entries_of(600)[250:])
        with pytest.MonkeyPatch.context() as patch:
            die_at(patch, step)
            try:
                await publish(tiles, log)
                has_died = False
            except Died:
                has_died = True
        await tiles.close()
        assert audit_copy(copy_reader(directory), POLICY).findings == ()
        again = TileDirectory(directory)
        await publish(again, log)
        await again.close()
        verdict = audit_copy(copy_reader(directory), POLICY)
        assert (verdict.findings, verdict.size) == ((), 600)
        assert list((directory / ".new").iterdir()) == []
        if not has_died:
            break
        crashes += 1
    assert crashes > 15
    assert not has_died


async def test_reading_and_publishing_at_once_never_shows_half_a_file(tmp_path: Path) -> None:
    tiles, log = TileDirectory(tmp_path), SmallLog()
    seen: set[bytes | None] = set()

    async def look() -> None:
        reader = TileDirectory(tmp_path)
        for _ in range(60):
            seen.add(await reader.read_checkpoint())
        await reader.close()

    looking = asyncio.create_task(look())
    published: set[bytes | None] = {None}
    for _ in range(10):
        log.append(entries_of(5))
        await publish(tiles, log)
        published.add(log.files["checkpoint"])
    await looking
    assert seen <= published
    await tiles.close()
