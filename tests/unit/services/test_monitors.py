"""The monitor reads a log from its tiles alone, goes on where it stopped, and believes no log that is not the one it saw."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from chargepki.adapters.tlog.copy import CopyDirectory, FileMemory
from chargepki.core.access.model import Role
from chargepki.core.access.policy import PRODUCTION
from chargepki.core.tlog.policy import Policy, Witness, policy_of
from chargepki.core.tlog.tiles import encode_bundle, split_bundle
from chargepki.errors import Broken, NotFound
from chargepki.services.monitors import MEMORY_OCTETS_MAX, Monitor, MonitorReport
from chargepki.testing.workbench import ADMIN, Workbench, open_workbench
from tests.unit.core.tlog.small_log import LOG_ED25519, WITNESSES, SmallLog, entries_of

POLICY = policy_of([LOG_ED25519.verifier])


class Files:
    """A log in memory, as a monitor reads it."""

    def __init__(self, log: SmallLog) -> None:
        self.log = log

    async def read(self, path: str) -> bytes:
        if path not in self.log.files:
            raise NotFound.because("log.file.unknown", path)
        return self.log.files[path]


def monitor_of(files: Files, file: Path, policy: Policy = POLICY) -> Monitor:
    return Monitor(files, FileMemory(file, MEMORY_OCTETS_MAX), lambda: policy)


def codes(report: MonitorReport) -> set[str]:
    return {finding.code for finding in report.findings}


def watch(bench: Workbench, directory: Path, **given: str) -> Monitor:
    policy = policy_of(bench.services.log.verifier_keys())
    memory = FileMemory(directory / "monitor.json", MEMORY_OCTETS_MAX)
    return Monitor(CopyDirectory(directory / "log"), memory, lambda: policy, now=bench.clock.now, **given)


async def test_everything_that_a_platform_does_follows_its_own_rules(tmp_path: Path) -> None:
    async with open_workbench(tmp_path) as bench:
        monitor = watch(bench, tmp_path)
        await bench.services.inventory.add_station(ADMIN, id="CS-17", serial_number="SN-17", operator="demo-cpo")
        await bench.services.log.settle()
        report = await monitor.look()
        assert (report.findings, report.overdue) == ((), ())
        assert report.size == report.new > 10
        await bench.services.inventory.add_station(ADMIN, id="CS-18", serial_number="SN-18", operator="demo-cpo")
        await bench.services.log.settle()
        again = await monitor.look()
        assert (again.new, again.size) == (1, report.size + 1)
        assert again.is_clean


async def test_a_production_platform_is_held_to_its_policy(tmp_path: Path) -> None:
    async with open_workbench(tmp_path, policy=PRODUCTION) as bench:
        auditor = await bench.person("ada", Role.AUDITOR)
        await bench.services.audit.list(auditor)
        await bench.services.log.settle()
        assert (await watch(bench, tmp_path).look()).is_clean
        (tmp_path / "monitor.json").unlink()
        strict = await watch(bench, tmp_path, expected=PRODUCTION.id).look()
        assert codes(strict) == {"monitor.policy.other"}  # its authorities came from a development start


async def test_what_was_found_stays_found_over_a_restart(tmp_path: Path) -> None:
    files, file = Files(SmallLog.of(300)), tmp_path / "memory"  # these are no audit entries
    report = await monitor_of(files, file).look()
    assert codes(report) == {"monitor.entry.malformed"}
    assert len(report.findings) == 200
    again = await monitor_of(files, file).look()
    assert (again.new, again.findings) == (0, report.findings)


@pytest.mark.clause("RFC 6962 2.1.2")
async def test_a_log_that_shrank_or_was_written_anew_is_not_believed_and_not_forgotten(tmp_path: Path) -> None:
    file = tmp_path / "memory"
    await monitor_of(Files(SmallLog.of(300)), file).look()
    fork = SmallLog()
    fork.append([b"other", *entries_of(400)[1:]])
    for log, code in ((SmallLog.of(200), "log.rolled_back"), (fork, "log.forked")):
        for _ in range(2):  # it is held against what was seen each time
            report = await monitor_of(Files(log), file).look()
            assert code in codes(report)
            assert report.contradiction is not None
            assert report.size == 300
    assert (await monitor_of(Files(SmallLog.of(301)), file).look()).contradiction is None


async def test_entries_that_do_not_lead_to_the_signed_root_are_not_believed(tmp_path: Path) -> None:
    files = Files(SmallLog.of(300))
    entries, _ = split_bundle(files.log.files["tile/entries/000"])
    files.log.files["tile/entries/000"] = encode_bundle([b"{}", *entries[1:]])
    report = await monitor_of(files, tmp_path / "memory").look()
    assert codes(report) == {"log.root.mismatch"}
    assert report.size == 0
    assert not (tmp_path / "memory").exists()


@pytest.mark.parametrize("path", ["tile/entries/000", "tile/entries/001.p/44"])
async def test_a_missing_or_cut_bundle_is_named(tmp_path: Path, path: str) -> None:
    cut = Files(SmallLog.of(300))
    cut.log.files[path] = cut.log.files[path][:-1]
    assert codes(await monitor_of(cut, tmp_path / "m").look()) == {"log.bundle.truncated"}
    del cut.log.files[path]
    assert codes(await monitor_of(cut, tmp_path / "m").look()) == {"log.tile.missing"}


async def test_a_checkpoint_that_the_log_did_not_sign_is_not_believed(tmp_path: Path) -> None:
    files = Files(SmallLog.of(3))
    files.log.append([], WITNESSES[0])
    report = await monitor_of(files, tmp_path / "m").look()
    assert codes(report) == {"log.checkpoint.unsigned"}
    del files.log.files["checkpoint"]
    assert codes(await monitor_of(files, tmp_path / "m").look()) == {"log.checkpoint.missing"}


async def test_a_quorum_that_is_not_met_is_a_warning_until_it_is(tmp_path: Path) -> None:
    policy = policy_of([LOG_ED25519.verifier], [Witness(f"w{n}", w.verifier) for n, w in enumerate(WITNESSES)], 2)
    files = Files(SmallLog())
    files.log.append([], LOG_ED25519, WITNESSES[0])
    alone = await monitor_of(files, tmp_path / "m", policy).look()
    assert (codes(alone), alone.is_clean, alone.cosigned) == ({"log.policy.quorum"}, True, 0)
    files.log.append(entries_of(2), LOG_ED25519, *WITNESSES[:2])
    seen = await monitor_of(files, tmp_path / "m2", policy).look()
    assert seen.cosigned == 2


async def test_a_damaged_memory_is_said_and_never_taken_for_a_new_start(tmp_path: Path) -> None:
    file = tmp_path / "memory"
    await monitor_of(Files(SmallLog.of(3)), file).look()
    content = json.loads(file.read_bytes())
    for broken in (b"", b"[]", json.dumps({**content, "v": 2}).encode(), json.dumps({**content, "root": "x"}).encode()):
        file.write_bytes(broken)
        with pytest.raises(Broken, match="remembers"):
            await monitor_of(Files(SmallLog.of(3)), file).look()
    assert file.stat().st_mode & 0o077 == 0


async def test_the_monitor_reports_the_progress_of_a_long_log(tmp_path: Path) -> None:
    said: list[tuple[int, int]] = []
    files = Files(SmallLog.of(600))
    memory = FileMemory(tmp_path / "m", MEMORY_OCTETS_MAX)
    await Monitor(files, memory, lambda: replace(POLICY), progress=lambda done, total: said.append((done, total))).look()
    assert said == [(256, 600), (512, 600), (600, 600)]
