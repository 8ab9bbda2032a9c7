"""The log beside a store: entries become checkpoints, callers share flushes, and what contradicts itself is never signed."""

import asyncio
import dataclasses
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import pytest

from chargepki.adapters.entropy import SystemEntropy
from chargepki.adapters.notify import LocalNotifier
from chargepki.adapters.tlog.files import TileDirectory
from chargepki.core.algorithms import KeySpec
from chargepki.core.records import KeyRef
from chargepki.core.tlog.audit import COSIGNED_PATH, audit_copy
from chargepki.core.tlog.checkpoint import parse_checkpoint
from chargepki.core.tlog.merkle import is_consistent
from chargepki.core.tlog.notes import Note, NoteKind, NoteSignature
from chargepki.core.tlog.policy import Policy, Witness, policy_of
from chargepki.core.tlog.proof import check_proof
from chargepki.errors import LogInconsistent, LogUnavailable, NotFound, Refused, VaultUnavailable
from chargepki.ports import KeyHandle, Ports, SecretBox, SigningOrder, SigningPurpose, Store, TileFile
from chargepki.services import log as log_module
from chargepki.services.log import LogSettings, ProveGrowth, TransparencyLog
from chargepki.testing.bench.log import bench_log
from chargepki.testing.clock import FixedClock
from chargepki.testing.vault import MemoryVault
from tests.adapters.tlog.test_files import Died, die_at
from tests.unit.core.tlog.small_log import WITNESSES, entries_of, root_of

ORIGIN = "log.example/audit"
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


class Leaves:
    """The store, as far as the log knows it."""

    def __init__(self, entries: Sequence[bytes] = ()) -> None:
        self.entries = list(entries)

    async def count_leaves(self) -> int:
        return len(self.entries)

    async def list_leaves(self, *, first: int, limit: int) -> tuple[bytes, ...]:
        return tuple(self.entries[first : first + min(limit, 500)])


class CountingVault(MemoryVault):
    """A vault that says what it signed, and can be lost."""

    def __init__(self) -> None:
        super().__init__()
        self.orders: list[SigningOrder] = []
        self.is_lost = False

    async def sign(self, order: SigningOrder) -> bytes:
        if self.is_lost:
            raise VaultUnavailable("the token is gone", hint="put it back")
        self.orders.append(order)
        return await super().sign(order)


class Bench:
    """One platform's store, vault, clock and directory, over which logs come and go like processes."""

    def __init__(self, directory: Path, entries: Sequence[bytes] = ()) -> None:
        self.store, self.vault, self.clock, self.directory = Leaves(entries), CountingVault(), FixedClock(NOW), directory
        self.settings = LogSettings(ORIGIN, interval=timedelta(milliseconds=5), witnesses=tuple(w.verifier for w in WITNESSES))
        self.tiles = TileDirectory(directory)

    async def start(self) -> TransparencyLog:
        await self.tiles.close()
        self.tiles = TileDirectory(self.directory)
        store, secrets = cast(Store, self.store), cast(SecretBox, None)
        ports = Ports(store, self.vault, self.clock, SystemEntropy(), LocalNotifier(lambda *_: None), self.tiles, secrets)
        log = TransparencyLog(ports, self.settings)
        await log.start()
        return log

    def read(self, path: str) -> bytes | None:
        file = self.directory / path
        return file.read_bytes() if file.is_file() else None

    def policy(self, log: TransparencyLog, threshold: int = 0) -> Policy:
        return policy_of(log.verifier_keys(), [Witness(f"w{n}", key) for n, key in enumerate(self.settings.witnesses)], threshold)

    async def close(self) -> None:
        await self.tiles.close()


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110  # what is waited for knows no event
            await asyncio.sleep(0.01)


def size_of(note: Note) -> int:
    return parse_checkpoint(note.text).size


def kinds_of(log: TransparencyLog, note: Note) -> list[NoteKind]:
    names = {key.id: key.kind for key in log.verifier_keys()}
    return [names[line.key_id] for line in note.signatures if line.key_id in names]


async def test_a_new_log_begins_empty_with_two_keys_of_its_own(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "log")
    log = await bench.start()
    assert size_of(log.checkpoint()) == 0
    assert kinds_of(log, log.checkpoint()) == [NoteKind.ED25519, NoteKind.COSIGNATURE_MLDSA44]
    labels = [(handle.label, handle.spec) for handle in await bench.vault.list()]
    assert labels == [(f"log ed25519 {ORIGIN}", KeySpec.ED25519), (f"log ml-dsa-44 {ORIGIN}", KeySpec.MLDSA44)]
    assert {order.purpose for order in bench.vault.orders} == {SigningPurpose.LOG}
    await bench.close()


async def test_settle_returns_when_a_durable_checkpoint_covers_what_was_committed(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    log = await bench.start()
    for entry in entries_of(5):
        bench.store.entries.append(entry)
        await log.settle()
        assert parse_checkpoint((bench.read("checkpoint") or b"").rpartition(b"\n\n")[0] + b"\n").size == len(bench.store.entries)
    verdict = audit_copy(bench.read, bench.policy(log))
    assert (verdict.findings, verdict.size) == ((), 5)
    await bench.close()


async def test_callers_share_flushes(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    log = await bench.start()
    bench.vault.orders.clear()

    async def act(entry: bytes) -> None:
        bench.store.entries.append(entry)
        await log.settle()

    await asyncio.gather(*(act(entry) for entry in entries_of(500)))
    assert size_of(log.checkpoint()) == 500
    assert len(bench.vault.orders) <= 4
    assert audit_copy(bench.read, bench.policy(log)).size == 500
    await bench.close()


async def test_a_slow_disk_lets_more_entries_share_a_checkpoint_but_nobody_waits_for_long(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    log = await bench.start()
    publish = bench.tiles.publish

    async def slow(files: Sequence[TileFile], checkpoint: bytes) -> None:
        await asyncio.sleep(0.03)
        await publish(files, checkpoint)

    bench.tiles.publish = slow  # type: ignore[method-assign]
    clock = asyncio.get_running_loop().time
    began = clock()
    for entry in entries_of(4):  # the first is published at once and shows how slow it is
        bench.store.entries.append(entry)
        await log.settle()
    assert 3 * log_module.PAUSE_FACTOR * 0.03 <= clock() - began < 4 * (log_module.PAUSE_SECONDS_MAX + 1)
    await bench.close()


async def test_a_caller_is_covered_even_when_it_came_while_a_flush_was_under_way(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    log = await bench.start()
    sizes: list[bool] = []

    async def act(number: int) -> None:
        await asyncio.sleep(number % 7 * 0.003)
        bench.store.entries.append(b"entry %d" % number)
        committed = len(bench.store.entries)
        await log.settle()
        sizes.append(size_of(log.checkpoint()) >= committed)

    await asyncio.gather(*(act(number) for number in range(100)))
    assert sizes == [True] * 100
    await bench.close()


async def test_a_cancelled_caller_holds_nobody_up(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    log = await bench.start()
    bench.store.entries += entries_of(3)
    first = asyncio.create_task(log.settle())
    await asyncio.sleep(0)
    second = asyncio.create_task(log.settle())
    first.cancel()
    await second
    assert first.cancelled() or first.done()
    assert size_of(log.checkpoint()) == 3
    await bench.close()


async def test_a_restart_goes_on_where_the_last_process_stopped(tmp_path: Path) -> None:
    bench = Bench(tmp_path, entries_of(700))
    first = await bench.start()
    before = parse_checkpoint(first.checkpoint().text)
    bench.store.entries += entries_of(100)
    second = await bench.start()
    after = parse_checkpoint(second.checkpoint().text)
    assert (before.size, after.size) == (700, 800)
    assert after.root == root_of(bench.store.entries)
    assert is_consistent(700, 800, before.root, after.root, await second.prove_growth(700, 800))
    assert second.verifier_keys() == first.verifier_keys()
    assert second.health().is_compared
    assert audit_copy(bench.read, bench.policy(second), earlier=[before]).findings == ()
    await bench.close()


async def test_a_long_backlog_is_written_in_bounded_steps_under_one_signature(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_module, "PUBLISHED_TOGETHER_MAX", 300)
    bench = Bench(tmp_path, entries_of(1000))
    log = await bench.start()
    assert size_of(log.checkpoint()) == 1000
    assert [parse_checkpoint(order.data).size for order in bench.vault.orders if order.algorithm == "ed25519"] == [1000]
    assert audit_copy(bench.read, bench.policy(log)).findings == ()
    await bench.close()


@pytest.mark.clause("C2SP tlog-checkpoint")
async def test_a_rolled_back_database_under_a_newer_log_stops_the_start_and_nothing_is_signed(tmp_path: Path) -> None:
    bench = Bench(tmp_path, entries_of(700))
    await bench.start()
    signed = len(bench.vault.orders)
    del bench.store.entries[600:]
    with pytest.raises(LogInconsistent, match="600 entries, the log was signed over 700: it was rolled back") as caught:
        await bench.start()
    assert "nothing is signed" in caught.value.hint
    assert len(bench.vault.orders) == signed
    await bench.close()


@pytest.mark.parametrize("index", [0, 300, 699])
async def test_a_changed_entry_in_the_database_stops_the_start_by_its_number(tmp_path: Path, index: int) -> None:
    bench = Bench(tmp_path, entries_of(700))
    await bench.start()
    signed = len(bench.vault.orders)
    bench.store.entries[index] = b"changed"
    bench.store.entries.append(b"new")
    with pytest.raises(LogInconsistent, match=f"entry {index} in the database is not the one that was logged"):
        await bench.start()
    assert len(bench.vault.orders) == signed
    await bench.close()


async def test_a_long_log_is_compared_at_its_end_at_once_and_altogether_in_the_background(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_module, "CHECKED_AT_START_MAX", 100)
    monkeypatch.setattr(log_module, "CHECK_PAUSE_SECONDS", 0)
    bench = Bench(tmp_path, entries_of(700))
    await bench.start()
    log = await bench.start()
    assert not log.health().is_compared
    running = asyncio.create_task(log.run())
    await until(lambda: log.health().is_compared)
    running.cancel()
    bench.store.entries[699] = b"changed"  # the end is looked at before anything else
    with pytest.raises(LogInconsistent, match="entry 699"):
        await bench.start()
    bench.store.entries[699], bench.store.entries[3] = entries_of(700)[699], b"changed"
    log = await bench.start()
    running = asyncio.create_task(log.run())
    await until(lambda: log.health().problem)
    running.cancel()
    assert "entry 3 in the database" in log.health().problem
    with pytest.raises(LogInconsistent, match="entry 3"):
        await log.settle()
    await bench.close()


async def test_a_database_that_is_rolled_back_while_the_log_runs_is_noticed_before_anything_is_signed(tmp_path: Path) -> None:
    bench = Bench(tmp_path, entries_of(10))
    log = await bench.start()
    signed = len(bench.vault.orders)
    bench.store.entries.pop()
    for _ in range(2):  # and for good: entries that come back do not heal it
        with pytest.raises(LogInconsistent, match="9 entries"):
            await log.settle()
        bench.store.entries += [b"other"] * 5
        with pytest.raises(LogInconsistent):
            await log.settle()
    assert len(bench.vault.orders) == signed
    await bench.close()


async def test_a_log_rolled_back_under_its_witnesses_stops_the_start(tmp_path: Path) -> None:
    bench = Bench(tmp_path, entries_of(10))
    log = await bench.start()
    old = bench.read("checkpoint") or b""
    bench.store.entries += entries_of(10)
    await log.settle()
    await log.take_cosignatures(log.checkpoint(), [WITNESSES[0].line(log.checkpoint().text)])
    (tmp_path / "checkpoint").write_bytes(old)
    with pytest.raises(LogInconsistent, match="witnesses signed 20 entries, the checkpoint is over 10"):
        await bench.start()
    await bench.close()


async def test_a_lost_checkpoint_is_not_made_again_without_being_told_to(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "log", entries_of(300))
    before = parse_checkpoint((await bench.start()).checkpoint().text)
    (tmp_path / "log").rename(tmp_path / "lost")
    with pytest.raises(LogInconsistent, match="its checkpoint is gone"):
        await bench.start()
    bench.settings = dataclasses.replace(bench.settings, may_begin_again=True)
    log = await bench.start()
    assert parse_checkpoint(log.checkpoint().text) == before
    await bench.close()


async def test_a_checkpoint_of_somebody_else_stops_the_start(tmp_path: Path) -> None:
    bench = Bench(tmp_path, entries_of(3))
    await bench.start()
    bench.vault = CountingVault()
    with pytest.raises(LogInconsistent, match="the vault has not its keys"):
        await bench.start()
    for kind in ("ed25519", "ml-dsa-44"):
        await bench.vault.generate(KeySpec(kind), label=f"log {kind} {ORIGIN}")
    with pytest.raises(LogInconsistent, match="own signature"):
        await bench.start()
    (tmp_path / "checkpoint").write_bytes(b"nonsense")
    with pytest.raises(LogInconsistent, match="cannot be read"):
        await bench.start()
    assert bench.vault.orders == []
    await bench.close()


async def test_a_lost_vault_fails_closed_and_the_next_call_tries_again(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    log = await bench.start()
    bench.store.entries += entries_of(3)
    bench.vault.is_lost = True
    found = await asyncio.gather(log.settle(), log.settle(), return_exceptions=True)
    assert [type(one) for one in found] == [LogUnavailable, LogUnavailable]
    assert "the token is gone" in str(found[0])
    assert "the token is gone" in log.health().problem
    assert size_of(log.checkpoint()) == 0
    bench.vault.is_lost = False
    await log.settle()
    assert size_of(log.checkpoint()) == 3
    assert log.health().problem == ""
    await bench.close()


async def test_a_key_that_is_gone_from_the_vault_fails_closed(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    log = await bench.start()
    for handle in await bench.vault.list():
        await bench.vault.destroy(handle.ref)
    bench.store.entries.append(b"one")
    with pytest.raises(LogUnavailable, match="no key"):
        await log.settle()
    await bench.close()


async def test_a_vault_that_signs_wrongly_is_found_out_before_anybody_sees_it(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    log = await bench.start()

    async def sign(order: SigningOrder) -> bytes:
        return bytes(64)

    bench.vault.sign = sign  # type: ignore[method-assign]
    bench.store.entries.append(b"one")
    with pytest.raises(LogUnavailable, match="does not verify"):
        await log.settle()
    assert size_of(Note((bench.read("checkpoint") or b"").rpartition(b"\n\n")[0] + b"\n", ())) == 0
    await bench.close()


async def test_a_disk_that_is_full_fails_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(tmp_path)
    log = await bench.start()
    bench.store.entries.append(b"one")

    async def publish(files: Sequence[TileFile], checkpoint: bytes) -> None:
        raise LogUnavailable("No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(bench.tiles, "publish", publish)
        with pytest.raises(LogUnavailable, match="No space"):
            await log.settle()
    await log.settle()
    assert size_of(log.checkpoint()) == 1
    await bench.close()


async def test_before_the_start_nothing_settles(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    ports = Ports(
        cast(Store, bench.store),
        bench.vault,
        bench.clock,
        SystemEntropy(),
        LocalNotifier(lambda *_: None),
        bench.tiles,
        cast(SecretBox, None),
    )
    log = TransparencyLog(ports, bench.settings)
    with pytest.raises(LogUnavailable, match="not started"):
        await log.settle()
    assert log.health().problem == "the log was not started"
    await bench.close()


async def test_the_expensive_line_stands_under_one_checkpoint_a_second_and_under_the_last_one(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.settings = dataclasses.replace(bench.settings, mldsa_interval=timedelta(seconds=60))
    log = await bench.start()
    for entry in entries_of(10):
        bench.store.entries.append(entry)
        await log.settle()
    assert kinds_of(log, log.checkpoint()) == [NoteKind.ED25519]
    assert sum(order.algorithm == "ml-dsa-44" for order in bench.vault.orders) == 1
    running = asyncio.create_task(log.run())
    await until(lambda: len(kinds_of(log, log.checkpoint())) == 2)
    running.cancel()
    assert size_of(log.checkpoint()) == 10
    await bench.close()


async def test_an_idle_log_signs_again_after_an_hour_and_publishes_what_nobody_waits_for(tmp_path: Path) -> None:
    bench = Bench(tmp_path, entries_of(3))
    log = await bench.start()
    first = log.checkpoint()
    bench.clock.advance(timedelta(hours=1))
    running = asyncio.create_task(log.run())
    await until(lambda: log.checkpoint() != first)
    assert log.checkpoint().text == first.text
    assert log.health().signed_at == NOW + timedelta(hours=1)
    bench.store.entries.append(b"unwaited")
    await until(lambda: size_of(log.checkpoint()) == 4)
    running.cancel()
    await bench.close()


@pytest.mark.clause("C2SP tlog-proof")
async def test_a_proof_needs_nothing_but_the_keys(tmp_path: Path) -> None:
    bench = Bench(tmp_path, entries_of(600))
    log = await bench.start()
    for index in (0, 255, 256, 599):
        proof = await log.prove(index)
        assert proof.leaf == bench.store.entries[index]
        assert check_proof(proof, bench.policy(log)).is_accepted
    for wrong in (600, -1):
        with pytest.raises(NotFound, match=r"log\.entry\.unknown"):
            await log.prove(wrong)
    with pytest.raises(NotFound):
        await log.prove_growth(5, 601)
    await bench.close()


@pytest.mark.clause("C2SP tlog-witness")
async def test_cosignatures_are_published_under_the_same_checkpoint_and_go_into_proofs(tmp_path: Path) -> None:
    bench = Bench(tmp_path, entries_of(300))
    log = await bench.start()
    asked = log.checkpoint()
    forged = NoteSignature(WITNESSES[2].verifier.name, WITNESSES[2].verifier.id, bytes(72))
    assert await log.take_cosignatures(asked, [WITNESSES[0].line(asked.text), WITNESSES[1].line(asked.text), forged]) == 2
    assert log.checkpoint().text == asked.text
    two_of_three = bench.policy(log, 2)
    assert audit_copy(bench.read, two_of_three).findings == ()
    assert check_proof(await log.prove(5), two_of_three).is_accepted
    # the log grows: the new head is not witnessed yet, the proof of an old entry stays so, and so does the copy
    bench.store.entries += entries_of(10)
    await log.settle()
    assert check_proof(await log.prove(5), two_of_three).is_accepted
    assert not check_proof(await log.prove(305), two_of_three).is_accepted
    assert audit_copy(bench.read, two_of_three).findings == ()
    # the third witness was slow: its line joins the others
    assert await log.take_cosignatures(asked, [WITNESSES[2].line(asked.text)]) == 3
    again = await bench.start()
    assert again.health().cosigned == 300
    assert check_proof(await again.prove(5), bench.policy(again, 3)).is_accepted
    await bench.close()


async def test_lines_over_another_log_or_by_nobody_we_know_are_not_taken(tmp_path: Path) -> None:
    bench = Bench(tmp_path, entries_of(3))
    log = await bench.start()
    foreign = Note(log.checkpoint().text.replace(b"3\n", b"4\n", 1), log.checkpoint().signatures)
    with pytest.raises(Refused, match=r"log\.cosignature\.foreign"):
        await log.take_cosignatures(foreign, [WITNESSES[0].line(foreign.text)])
    assert await log.take_cosignatures(log.checkpoint(), [NoteSignature("w", b"1234", b"5678")]) == 0
    assert bench.read(COSIGNED_PATH) is None
    await bench.close()


async def test_witnesses_are_asked_when_the_log_has_grown(tmp_path: Path) -> None:
    bench = Bench(tmp_path, entries_of(300))
    bench.settings = dataclasses.replace(bench.settings, witness_interval=timedelta(milliseconds=10))
    log = await bench.start()
    asked: list[tuple[int, int]] = []
    last = [0]

    async def ask(note: Note, prove: ProveGrowth) -> Sequence[NoteSignature]:
        old, new = last[0], size_of(note)
        proof = await prove(old)
        checkpoint = parse_checkpoint(note.text)
        assert is_consistent(old, new, root_of(bench.store.entries[:old]), checkpoint.root, proof)
        asked.append((old, new))
        last[0] = new
        return [witness.line(note.text) for witness in WITNESSES]

    running = asyncio.create_task(log.run(ask))
    await until(lambda: log.health().cosigned >= 300)
    await asyncio.sleep(0.1)
    assert asked == [(0, 300)]
    bench.store.entries += entries_of(50)
    await log.settle()
    await until(lambda: log.health().cosigned >= 350)
    running.cancel()
    assert asked[:2] == [(0, 300), (300, 350)]
    cosigned = log.cosigned()
    assert cosigned is not None
    assert kinds_of(log, cosigned) == [NoteKind.ED25519, NoteKind.COSIGNATURE_MLDSA44]
    assert audit_copy(bench.read, bench.policy(log, 3)).findings == ()
    await bench.close()


async def test_witnesses_that_are_away_stop_nothing_and_are_reported(tmp_path: Path) -> None:
    bench = Bench(tmp_path, entries_of(3))
    log = await bench.start()

    async def ask(note: Note, prove: ProveGrowth) -> Sequence[NoteSignature]:
        raise LogUnavailable("no witness answers")

    running = asyncio.create_task(log.run(ask))
    await until(lambda: log.health().witness_problem)
    bench.store.entries.append(b"more")
    await log.settle()
    running.cancel()
    assert (log.health().size, log.health().witness_problem) == (4, "no witness answers")
    await bench.close()


async def test_two_keys_with_one_label_are_a_question_for_the_operator(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    for _ in range(2):
        handle: KeyHandle = await bench.vault.generate(KeySpec.ED25519, label=f"log ed25519 {ORIGIN}")
        assert handle.ref != KeyRef("")
    with pytest.raises(LogInconsistent, match="2 keys"):
        await bench.start()
    await bench.close()


async def test_a_tile_that_contradicts_the_database_stops_the_log(tmp_path: Path) -> None:
    """A crash left tiles of entries that the database then lost: what it makes of the same numbers now is something else."""
    bench = Bench(tmp_path, entries_of(250))
    await bench.start()
    old = bench.read("checkpoint") or b""
    bench.store.entries += entries_of(20)
    await bench.start()
    (tmp_path / "checkpoint").write_bytes(old)
    bench.store.entries[250:] = [b"another %d" % n for n in range(20)]
    with pytest.raises(LogInconsistent, match="tile/"):
        await bench.start()
    await bench.close()


@pytest.mark.parametrize("step", [*range(0, 34, 3), 200])
async def test_a_process_that_dies_at_any_step_of_a_flush_loses_nothing_that_was_committed(tmp_path: Path, step: int) -> None:
    bench = Bench(tmp_path, entries_of(250))
    log = await bench.start()
    before = parse_checkpoint(log.checkpoint().text)
    bench.store.entries += entries_of(600)[250:]
    with pytest.MonkeyPatch.context() as patch:
        die_at(patch, step)
        (settled,) = await asyncio.gather(log.settle(), return_exceptions=True)
    assert isinstance(settled, LogUnavailable) == (step < 200)
    assert log._flusher is not None
    (died,) = await asyncio.gather(log._flusher, return_exceptions=True)
    assert isinstance(died, Died) == (step < 200)
    assert audit_copy(bench.read, bench.policy(log), earlier=[before]).findings == ()
    again = await bench.start()
    verdict = audit_copy(bench.read, bench.policy(again), earlier=[before])
    assert (verdict.findings, verdict.size, verdict.root) == ((), 600, root_of(bench.store.entries))
    await bench.close()


async def test_the_benchmark_measures_a_log_that_holds() -> None:
    measured = await bench_log(128)
    assert (measured.name, measured.count) == ("log", 128)
    assert measured.per_cpu_second > 500  # it is thousands; a tenth of issuance would be some 3,800
