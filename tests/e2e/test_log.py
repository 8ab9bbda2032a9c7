"""The log as others use it: a story that the log alone tells, an export that needs nothing of ours, witnesses over real sockets."""

import asyncio
import json
import shutil
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from chargepki.adapters.tlog.copy import CopyDirectory
from chargepki.cli.main import main
from chargepki.client import Client
from chargepki.client.log import LogStatus
from chargepki.core.access.model import Allow, NeedsApproval, Role
from chargepki.core.access.policy import PRODUCTION
from chargepki.core.access.replay import decode_judgement, find_deviation, replay
from chargepki.core.algorithms import KeySpec
from chargepki.core.leaves import parse_leaf
from chargepki.core.records import AuthorityId, ProfileId, ProposalId, ProposalState
from chargepki.core.tlog.excerpt import entries_between, prove_range, read_head, root_over
from chargepki.core.tlog.policy import format_policy, policy_of
from chargepki.errors import NeedsVotes, NotAuthorised
from chargepki.services.audit import Caller
from chargepki.services.authorities import NewAuthority
from chargepki.testing.server import running_server
from chargepki.testing.workbench import Workbench, open_workbench

NEW = NewAuthority(
    AuthorityId("depot-sub"), ProfileId("sub/operator"), AuthorityId("operator-root"), KeySpec.P256, "Depot Sub CA", "demo-cpo"
)


# --------------------------------------------------------------------------------------------------------------- the story


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is left of the story: a copy of the log and its policy, and nothing of the platform."""
    home, copy = tmp_path_factory.mktemp("platform"), tmp_path_factory.mktemp("auditor") / "log"
    asyncio.run(play(home))
    shutil.copytree(home / "log", copy)
    shutil.rmtree(home)
    return copy


async def play(home: Path) -> None:
    """A sub-CA that needs three people: refused with two, created by three."""
    async with open_workbench(home, policy=PRODUCTION) as bench:
        ann, cy, cz = [await bench.person(*who) for who in (("ann", Role.ADMINISTRATOR), ("cy", Role.CA_OFFICER), ("cz", Role.CA_OFFICER))]
        proposal = await propose(bench, ann)
        report = await vote(bench, cy, proposal)
        assert report is ProposalState.OPEN  # two are not enough
        with pytest.raises(NeedsVotes):
            await bench.services.authorities.create(ann, NEW)
        with pytest.raises(NotAuthorised):
            await vote(bench, ann, proposal)  # nor is one of them twice
        assert not any(view.authority.id == NEW.id for view in await bench.services.authorities.views())
        assert await vote(bench, cz, proposal) is ProposalState.EXECUTED
        assert any(view.authority.id == NEW.id for view in await bench.services.authorities.views())
        await bench.services.log.settle()
        (home / "log" / "policy").write_text(format_policy(policy_of(bench.services.log.verifier_keys())))


async def propose(bench: Workbench, ann: Caller) -> ProposalId:
    with pytest.raises(NeedsVotes) as waits:
        await bench.services.authorities.create(ann, NEW)
    assert waits.value.missing == ("2 who hold ca:certificate:approve",)
    return ProposalId(waits.value.proposal)


async def vote(bench: Workbench, voter: Caller, id: ProposalId) -> ProposalState:
    digest = (await bench.ports.store.get_proposal(id)).digest
    return (await bench.services.approvals.vote(voter, id, digest, is_for=True)).proposal.state


def chargepki(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any]:
    code = main([*arguments, "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_the_log_alone_tells_why_two_were_refused_and_three_were_not(told: Path) -> None:
    read = CopyDirectory(told)
    _, head = read_head(read)
    leaves = [parse_leaf(entry) for entry in entries_between(read, 0, head.size, head.size)]
    about = [leaf for leaf in leaves if leaf.object == f"authority:{NEW.id}"]
    assert [leaf.outcome for leaf in about] == ["pending", "pending", "intent", "done"]
    first, _, intent = (decode_judgement(leaf.action, leaf.judgement) for leaf in about[:3])
    assert isinstance(first.decision, NeedsApproval)
    assert intent.decision == Allow("grt_ann_administrator sub-ca per_ann,per_cy,per_cz")
    assert find_deviation(first) is find_deviation(intent) is None

    without = intent.ballot.votes[:1]  # the same decision, with what was on the table when two had agreed
    again = replay(replace(intent, ballot=replace(intent.ballot, votes=without)), PRODUCTION)
    assert isinstance(again, NeedsApproval)
    assert [(seat.permission, seat.count) for seat in again.missing] == [("ca:certificate:approve", 1)]


def test_verify_and_monitor_find_nothing_wrong_with_an_honest_log(told: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, verdict = chargepki(capsys, "log", "verify", "--data", str(told))
    assert (code, verdict["is_accepted"], verdict["findings"]) == (0, True, [])
    state = tmp_path / "state.json"
    code, report = chargepki(capsys, "log", "monitor", "--once", "--data", str(told), "--state", str(state))
    assert (code, report["is_clean"], report["findings"], report["size"]) == (0, True, [], verdict["size"])
    code, report = chargepki(capsys, "log", "monitor", "--once", "--data", str(told), "--state", str(state))
    assert (code, report["new"]) == (0, 0)


def test_one_flipped_byte_of_one_old_entry_is_named_with_its_id(told: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy = tmp_path / "log"
    shutil.copytree(told, copy)
    read = CopyDirectory(told)
    _, head = read_head(read)
    entries = list(entries_between(read, 0, head.size, head.size))
    index = next(number for number, entry in enumerate(entries) if parse_leaf(entry).outcome == "pending")
    bundle = copy / f"tile/entries/000.p/{head.size}"
    octets = bytearray(bundle.read_bytes())
    octets[sum(2 + len(entry) for entry in entries[:index]) + 2 + entries[index].index(b"per_ann")] ^= 1
    bundle.write_bytes(octets)
    code, verdict = chargepki(capsys, "log", "verify", "--data", str(copy))
    assert code == 1
    (finding,) = verdict["findings"]
    assert finding["code"] == "log.entry.changed"
    assert f"entry {index} was changed" in finding["message"]
    assert parse_leaf(entries[index]).id in finding["message"]
    assert chargepki(capsys, "log", "monitor", "--once", "--data", str(copy), "--state", str(tmp_path / "s"))[0] == 1
    assert main(["log", "verify", "--data", str(copy)]) == 1
    assert "THIS COPY IS NOT WHAT WAS SIGNED" in capsys.readouterr().out


def test_a_proof_is_checked_with_nothing_but_the_policy(told: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, proofs = chargepki(capsys, "log", "prove", "17", "--offline", "--data", str(told), "-o", str(tmp_path))
    assert (code, proofs[0]["index"]) == (0, 17)
    policy = tmp_path / "policy"
    shutil.copy(told / "policy", policy)
    file = Path(proofs[0]["file"])
    code, verdict = chargepki(capsys, "log", "verify", str(file), "--policy", str(policy))
    assert (code, verdict["is_accepted"], verdict["index"]) == (0, True, 17)
    assert main(["log", "verify", str(file)]) == 0  # the policy beside it
    assert "17:" in capsys.readouterr().out
    lines = file.read_bytes().split(b"\n")
    lines[2] = b"index 16"
    file.write_bytes(b"\n".join(lines))
    code, verdict = chargepki(capsys, "log", "verify", str(file), "--policy", str(policy))
    assert (code, verdict["findings"][0]["code"]) == (1, "log.proof.invalid")
    assert chargepki(capsys, "log", "verify", str(policy))[0] == 1


# -------------------------------------------------------------------------------------------------------------- the export


def run_verifier(directory: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """A bare Python: isolated, nothing of the platform to be imported."""
    command = [sys.executable, "-I", "-S", "-c", BARE, str(directory / "verify.py"), *(arguments or (str(directory),))]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


BARE = """
import importlib.util, sys, site
site.main()
class Barred:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "chargepki":
            raise ImportError("the verifier must not need this")
sys.meta_path.insert(0, Barred())
import runpy
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.fixture
def exported(told: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    out = tmp_path / "export"
    code, _ = chargepki(capsys, "log", "export", "--data", str(told), "--from", "5", "--to", "12", "--proofs", "-o", str(out))
    assert code == 0
    return out


def test_an_export_verifies_with_its_own_small_script(exported: Path) -> None:
    assert len((exported / "verify.py").read_text().splitlines()) < 200
    assert {path.name for path in exported.iterdir()} == {
        *("README.md", "verify.py", "policy", "checkpoint", "entries.jsonl", "proof.json", "proofs")
    }
    done = run_verifier(exported)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "entries      5 to 11: exactly what was logged, none missing" in done.stdout
    assert run_verifier(exported, str(exported / "proofs" / "7.tlog-proof")).returncode == 0


@pytest.mark.parametrize("name", ["entries.jsonl", "checkpoint", "proof.json", "policy", "proofs/7.tlog-proof"])
def test_the_script_finds_every_change_in_an_export(exported: Path, name: str) -> None:
    file = exported / name
    octets = bytearray(file.read_bytes())
    at = {"proof.json": octets.find(b"=") - 9, "policy": octets.find(b"+A") + 9}.get(name, len(octets) // 3)
    octets[at] = octets[at] ^ 1
    file.write_bytes(octets)
    done = run_verifier(exported)
    assert (done.returncode, "NOT VERIFIED" in done.stdout, done.stderr) == (1, True, "")


def test_a_left_out_and_an_added_entry_are_found_in_an_export(exported: Path) -> None:
    file = exported / "entries.jsonl"
    lines = file.read_bytes().splitlines(keepends=True)
    for changed in (lines[:-1], lines[1:], [*lines, lines[0]], [lines[1], lines[0], *lines[2:]], []):
        file.write_bytes(b"".join(changed))
        assert run_verifier(exported).returncode == 1


def test_a_policy_from_elsewhere_does_not_believe_a_log_it_does_not_know(exported: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text("quorum none\n")
    done = run_verifier(exported, str(exported), "--policy", str(other))
    assert done.returncode == 1
    assert "no key of" in done.stdout


def test_any_range_of_any_log_leads_to_the_root(told: Path) -> None:
    read = CopyDirectory(told)
    _, head = read_head(read)
    entries = list(entries_between(read, 0, head.size, head.size))
    for first in range(head.size):
        for end in (first + 1, (first + head.size + 1) // 2 + 1, head.size):
            if first < end <= head.size:
                hashes = prove_range(read, first, end, head.size)
                assert root_over(entries[first:end], first, head.size, hashes) == head.root
    assert root_over(entries[1:4], 1, head.size, ()) is None


def test_export_refuses_what_is_not_there(told: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ("log", "export", "--data", str(told), "-o", str(tmp_path / "x"))
    for bounds in (("--from", "9999"), ("--from", "5", "--to", "5"), ("--from", "tomorrow"), ("--to", "9999")):
        assert chargepki(capsys, *given, *bounds)[0] == 1
    assert not (tmp_path / "x").exists()
    assert chargepki(capsys, *given, "--from", "2020-01-01", "--to", "2090-01-01")[0] == 0
    assert chargepki(capsys, *given)[1]["findings"][0]["code"] == "cli.file.exists"
    assert chargepki(capsys, "log", "verify", "--data", str(tmp_path / "none"))[1]["findings"][0]["code"] == "log.copy.missing"


# --------------------------------------------------------------------------------------------------- with a running platform


@asynccontextmanager
async def running_witness(home: Path, port: int) -> AsyncIterator[None]:
    command = [sys.executable, "-m", "chargepki", "witness", "serve", "--data", str(home), "--port", str(port), "--json"]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL)
    assert process.stdout is not None
    await process.stdout.readline()
    try:
        yield
    finally:
        process.terminate()
        assert await process.wait() == 0


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.mark.clause("C2SP tlog-witness", "C2SP tlog-policy")
async def test_two_of_three_witnesses_see_the_log_and_an_auditor_checks_it_from_afar(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def run(*arguments: str) -> tuple[int, Any]:
        return await asyncio.to_thread(chargepki, capsys, *arguments)

    data, copy, ports = tmp_path / "data", tmp_path / "copy", {"hub": free_port(), "oem": free_port(), "cpo": 1}
    data.mkdir(mode=0o700)
    config = "[log]\nquorum = 2\n"
    for name, port in ports.items():
        code, key = await run("witness", "key", "--name", f"{name}.example", "--data", str(tmp_path / name))
        assert code == 0
        config += f'[[log.witness]]\nname = "{name}"\nurl = "http://127.0.0.1:{port}"\nkey = "{key["vkey"]}"\n'
    (data / "config.toml").write_text(config)
    where = ("--data", str(data))
    async with running_server(data) as server, server.client() as client:
        for name in ("hub", "oem"):
            assert (await run("witness", "trust", str(data / "log" / "policy"), "--data", str(tmp_path / name)))[0] == 0
        async with running_witness(tmp_path / "hub", ports["hub"]), running_witness(tmp_path / "oem", ports["oem"]):
            issued = await client.certificates.order(profile="backend/tls-server", key_spec="ec-p256", host="csms.example.org")
            status = await witnessed(client)
        assert [(w.name, bool(w.problem)) for w in status.witnesses] == [("hub", False), ("oem", False), ("cpo", True)]
        assert status.quorum == "2 of hub, oem, cpo"
        assert (await run("log", "fetch", "-o", str(copy), *where))[0] == 0
        code, proofs = await run("log", "prove", issued.certificate.id, "-o", str(tmp_path), *where)
        assert (code, [proof["outcome"] for proof in proofs]) == (0, ["done", "intent"])
    _, by_serial = await run("log", "prove", issued.certificate.serial, "--offline", "-o", str(tmp_path), "--data", str(copy))
    assert [proof["index"] for proof in by_serial] == [proof["index"] for proof in proofs]
    for proof in proofs:
        code, verdict = await run("log", "verify", proof["file"], "--policy", str(copy / "policy"))
        assert (code, sorted(verdict["witnesses"])) == (0, ["hub", "oem"])
    code, verdict = await run("log", "verify", str(copy))
    assert (code, verdict["witnesses"]) == (0, ["hub", "oem"])
    assert (await run("log", "monitor", "--once", "--data", str(copy)))[0] == 0
    assert (await run("log", "verify", "--with-store", *where))[0] == 0


async def witnessed(client: Client) -> LogStatus:
    """The state once two have cosigned everything; they are asked each ten seconds."""
    async with asyncio.timeout(60):
        while True:
            status = await client.log.status()
            if status.cosigned == status.size and status.monitor is not None:
                return status
            await asyncio.sleep(0.5)
