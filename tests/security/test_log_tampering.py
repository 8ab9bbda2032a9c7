"""Whoever can write to the log, to its database or to both is found out, and until then nothing is signed."""

import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from chargepki.adapters.entropy import SystemEntropy
from chargepki.adapters.keys.secret_box import FileSecretBox
from chargepki.adapters.notify import LocalNotifier
from chargepki.adapters.store import open_store
from chargepki.adapters.tlog.copy import CopyDirectory, FileMemory
from chargepki.adapters.tlog.files import TileDirectory
from chargepki.adapters.witness.client import Witnesses, WitnessPeer
from chargepki.adapters.witness.directory import WitnessDirectory
from chargepki.adapters.witness.server import WitnessServer
from chargepki.app import Settings, compose
from chargepki.core.records import ProfileId, StationId
from chargepki.core.tlog.audit import CopyVerdict, audit_copy
from chargepki.core.tlog.checkpoint import parse_checkpoint
from chargepki.core.tlog.policy import Policy, policy_of
from chargepki.core.tlog.tiles import split_bundle
from chargepki.errors import LogInconsistent
from chargepki.ports import KeyVault, Ports
from chargepki.services.authorities import StatusUrls
from chargepki.services.log_comparison import compare_with_store
from chargepki.services.monitors import MEMORY_OCTETS_MAX, Monitor
from chargepki.services.orders import CertificateOrder
from chargepki.services.server_certificates import ServerNames
from chargepki.testing.clock import FixedClock
from chargepki.testing.workbench import ADMIN, Workbench, open_workbench
from tests.api.api_platform import make_csr

STATIONS = 5


async def fill(bench: Workbench, first: int = 0, count: int = STATIONS) -> None:
    for number in range(first, first + count):
        await bench.services.inventory.add_station(ADMIN, id=f"CS-{number}", serial_number=f"SN-{number}", operator="demo-cpo")
    await bench.services.log.settle()


async def make_log(directory: Path) -> Policy:
    """A platform that did something and stopped."""
    async with open_workbench(directory) as bench:
        await fill(bench)
        return policy_of(bench.services.log.verifier_keys())


def verify(directory: Path, policy: Policy) -> CopyVerdict:
    return audit_copy(CopyDirectory(directory / "log"), policy)


def bundle_of(directory: Path) -> Path:
    return newest_in(directory / "log" / "tile" / "entries")


def newest_in(row: Path) -> Path:
    """Partial tiles of earlier sizes stay until the full one stands."""
    return max(row.rglob("*.p/*"), key=lambda path: int(path.name))


def flip(file: Path, at: int) -> None:
    octets = bytearray(file.read_bytes())
    octets[at] ^= 1
    file.write_bytes(octets)


async def test_an_untouched_log_is_accepted(tmp_path: Path) -> None:
    verdict = verify(tmp_path, await make_log(tmp_path))
    assert verdict.findings == ()


@pytest.mark.clause("RFC 6962 2.1")
async def test_a_changed_entry_is_named_exactly(tmp_path: Path) -> None:
    policy = await make_log(tmp_path)
    entries, _ = split_bundle(bundle_of(tmp_path).read_bytes())
    for index in (0, 7, len(entries) - 1):
        at = sum(2 + len(entry) for entry in entries[:index]) + 2 + entries[index].index(b"outcome")
        flip(bundle_of(tmp_path), at)
        (finding,) = verify(tmp_path, policy).findings
        assert (finding.code, finding.path.rpartition("#")[2]) == ("log.entry.changed", str(index))
        flip(bundle_of(tmp_path), at)


async def test_a_deleted_entry_and_a_truncated_or_missing_tile_are_named(tmp_path: Path) -> None:
    policy = await make_log(tmp_path)
    bundle = bundle_of(tmp_path)
    tile = newest_in(tmp_path / "log" / "tile" / "0")
    whole, hashes = bundle.read_bytes(), tile.read_bytes()
    entries, _ = split_bundle(whole)
    without = b"".join(len(entry).to_bytes(2, "big") + entry for entry in (*entries[:7], *entries[8:]))
    changes: list[tuple[Callable[[], object], set[str]]] = [
        (lambda: bundle.write_bytes(without), {"log.bundle.truncated", "log.entry.changed"}),
        (lambda: bundle.write_bytes(whole[:-1]), {"log.bundle.truncated"}),
        (bundle.unlink, {"log.bundle.missing"}),
        (lambda: tile.write_bytes(hashes[:-32]), {"log.tile.truncated"}),
        (tile.unlink, {"log.tile.missing"}),
    ]
    for change, expected in changes:
        change()
        verdict = verify(tmp_path, policy)
        assert {finding.code for finding in verdict.findings} == expected
        if "log.entry.changed" in expected:
            assert min(int(f.path.rpartition("#")[2]) for f in verdict.findings if "#" in f.path) == 7
        bundle.write_bytes(whole)
        tile.write_bytes(hashes)
    assert verify(tmp_path, policy).is_accepted


async def test_a_rolled_back_database_under_a_newer_log_stops_the_start(tmp_path: Path) -> None:
    async with open_workbench(tmp_path) as bench:
        await fill(bench)
    shutil.copy(tmp_path / "chargepki.db", tmp_path / "old.db")
    vault = bench.ports.vault
    async with reopened(tmp_path, vault) as again:
        await fill(again, first=100, count=3)
    for suffix in ("-wal", "-shm"):
        (tmp_path / f"chargepki.db{suffix}").unlink(missing_ok=True)
    shutil.copy(tmp_path / "old.db", tmp_path / "chargepki.db")
    with pytest.raises(LogInconsistent, match="rolled back"):
        async with reopened(tmp_path, vault):
            pass


async def test_a_changed_row_under_the_log_stops_the_start_and_is_named(tmp_path: Path) -> None:
    async with open_workbench(tmp_path) as bench:
        await fill(bench)
    with sqlite3.connect(tmp_path / "chargepki.db") as database:
        drop_triggers(database)
        changed = "UPDATE audit_entry SET body = CAST(replace(CAST(body AS TEXT), 'CS-2', 'CS-9') AS BLOB) WHERE object = 'station:CS-2'"
        assert database.execute(changed).rowcount == 1
    with pytest.raises(LogInconsistent, match="entry 15 in the database"):
        async with reopened(tmp_path, bench.ports.vault):
            pass


async def test_a_certificate_that_the_log_never_saw_is_found_in_the_database(tmp_path: Path) -> None:
    async with open_workbench(tmp_path) as bench:
        await fill(bench)
        order = CertificateOrder(ProfileId("ocpp/station"), csr=make_csr().encode(), station=StationId("CS-1"))
        certificate = (await bench.services.issuance.request(ADMIN, order)).certificate
        await bench.services.log.settle()
        size = parse_checkpoint(bench.services.log.checkpoint().text).size
    assert await compare(tmp_path, size) == set()
    forged = bytearray(certificate.der)
    forged[-1] ^= 1
    with sqlite3.connect(tmp_path / "chargepki.db") as database:
        drop_triggers(database)
        database.execute("UPDATE certificate SET der = ? WHERE id = ?", (bytes(forged), certificate.id))
    assert await compare(tmp_path, size) == {"log.certificate.unlogged"}
    with sqlite3.connect(tmp_path / "chargepki.db") as database:
        database.execute("UPDATE audit_entry SET body = CAST('{}' AS BLOB) WHERE object = ?", (f"certificate:{certificate.id}",))
    assert await compare(tmp_path, size) == {"log.store.changed", "log.certificate.unlogged"}
    with sqlite3.connect(tmp_path / "chargepki.db") as database:
        database.execute("DELETE FROM audit_entry WHERE object = ?", (f"certificate:{certificate.id}",))
    assert await compare(tmp_path, size) == {"log.store.missing", "log.certificate.unlogged"}


def drop_triggers(database: sqlite3.Connection) -> None:
    """Whoever owns the database can: they are against mistakes, the log is against owners."""
    for (trigger,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
        database.execute(f'DROP TRIGGER "{trigger}"')


async def test_a_checkpoint_replaced_by_an_older_one_is_noticed_by_monitor_and_witness(tmp_path: Path) -> None:
    home = WitnessDirectory(tmp_path / "witness")
    home.make_key("w.example")
    async with open_workbench(tmp_path) as bench:
        log = bench.services.log
        for vkey in log.verifier_keys():
            home.add_log(str(vkey))
        await fill(bench)
        old_note, old_files = log.checkpoint(), tmp_path / "old-log"
        shutil.copytree(tmp_path / "log", old_files)
        await fill(bench, first=50)
        policy = policy_of(log.verifier_keys())
        transport = httpx.ASGITransport(WitnessServer(home, bench.clock).app)
        asked = Witnesses([WitnessPeer("w", "http://w", home.key().verifier)], bench.clock, transport=transport)
        note = log.checkpoint()
        assert len(await asked.ask(note, lambda old: log.prove_growth(old, parse_checkpoint(note.text).size))) == 1
        memory = FileMemory(tmp_path / "memory", MEMORY_OCTETS_MAX)
        await Monitor(CopyDirectory(tmp_path / "log"), memory, lambda: policy).look()

        assert audit_copy(CopyDirectory(old_files), policy).is_accepted  # by itself the old copy is whole: only memory tells
        report = await Monitor(CopyDirectory(old_files), memory, lambda: policy).look()
        assert "log.rolled_back" in {finding.code for finding in report.findings}
        assert await asked.ask(old_note, lambda old: log.prove_growth(old, parse_checkpoint(old_note.text).size)) == ()
        assert "rolled back" in asked.states()[0].problem
        await asked.close()


async def compare(directory: Path, size: int) -> set[str]:
    store = open_store(f"sqlite:///{directory / 'chargepki.db'}")
    try:
        return {finding.code for finding in await compare_with_store(store, CopyDirectory(directory / "log"), size)}
    finally:
        await store.close()


@asynccontextmanager
async def reopened(directory: Path, vault: KeyVault) -> AsyncIterator[Workbench]:
    """The platform's next start: the same vault, whatever lies in the directory."""
    store, tiles = open_store(f"sqlite:///{directory / 'chargepki.db'}"), TileDirectory(directory / "log")
    clock = FixedClock()
    ports = Ports(store, vault, clock, SystemEntropy(), LocalNotifier(lambda *_: None), tiles, FileSecretBox(b"\0" * 32))
    services = compose(ports, Settings("demo-cpo", lambda: StatusUrls("http://127.0.0.1"), ServerNames(("localhost",), ("127.0.0.1",))))
    try:
        await services.log.start()
        yield Workbench(ports, services, clock)
    finally:
        await tiles.close()
        await store.close()
