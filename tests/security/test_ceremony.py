"""Attacks on a ceremony: strangers on chairs, stale factors, edited papers, foreign shares, a file that was exchanged."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from chargepki.adapters.keys.backup import open_backup
from chargepki.adapters.keys.shares import Slip39Shares
from chargepki.errors import Refused
from chargepki.services.ceremonies import Ending
from chargepki.services.ceremony_tools import Credentials
from tests.unit.services.ceremony_room import BACKUP, ROOT, CeremonyRoom, PlannedConsole, open_room


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[CeremonyRoom]:
    async with open_room(tmp_path) as opened:
        yield opened


async def test_who_shows_no_second_factor_takes_no_chair_and_nothing_is_signed(tmp_path: Path) -> None:
    async with open_room(tmp_path, unsure=frozenset({"kim"})) as room:
        ending, console = await room.hold(ROOT)
        assert ending is Ending.PENDING
        assert any("second factor" in line for line in console.shown)
        assert room.vault.count() == 0


async def test_who_is_named_without_the_office_takes_no_chair(room: CeremonyRoom) -> None:
    ending, console = await room.hold(ROOT.replace('custodian = ["kai", "kim", "kira"]', 'custodian = ["kai", "kim", "otto"]'))
    assert ending is Ending.PENDING
    assert any("otto cannot sit there" in line for line in console.shown)
    assert room.vault.count() == 0


async def test_who_holds_the_office_and_is_not_named_takes_no_chair(room: CeremonyRoom) -> None:
    class Intruder(PlannedConsole):
        async def ask_person(self, who: str, named: object) -> Credentials:  # type: ignore[override]
            return Credentials("kira", "kira's password", "000000")

    console = Intruder()
    ending, _ = await room.hold(
        ROOT.replace('"kira"]', '"kira"]').replace('custodian = ["kai", "kim", "kira"]', 'custodian = ["kai"]'), console
    )
    assert ending is Ending.PENDING
    assert any("does not name them" in line for line in console.shown)


async def test_one_person_on_two_chairs_counts_once(room: CeremonyRoom) -> None:
    script = ROOT.replace('witness = ["wanda", "will"]', 'witness = ["wanda"]').replace("[authority]", "[authority]", 1)
    ending, _ = await room.hold(script)
    assert ending is Ending.PENDING
    assert room.vault.count() == 0


async def test_an_edited_transcript_stops_the_ceremony_and_names_the_entry(room: CeremonyRoom) -> None:
    await room.hold(ROOT, PlannedConsole(absent=frozenset({"kira"})))
    path = room.papers("root-2026") / "transcript.json"
    document = json.loads(path.read_text())
    document["entries"][3]["facts"]["digest"] = "00" * 32
    path.write_text(json.dumps(document))
    with pytest.raises(Refused, match="entry 4"):
        await room.hold(ROOT)
    assert room.vault.count() == 0


async def test_a_transcript_that_was_cut_short_signs_nothing_twice(room: CeremonyRoom) -> None:
    await room.hold(ROOT)
    path = room.papers("root-2026") / "transcript.json"
    document = json.loads(path.read_text())
    document["entries"] = document["entries"][:5]
    path.write_text(json.dumps(document))
    signed = room.vault.count()
    ending, console = await room.hold(ROOT)
    assert ending is Ending.DONE, console.shown
    assert room.vault.count() == signed


async def test_shares_of_another_ceremony_open_nothing(room: CeremonyRoom) -> None:
    _, console = await room.hold(ROOT + BACKUP)
    copy = (room.papers("root-2026") / "root-2026.backup.json").read_bytes()
    cutter = Slip39Shares()
    foreign = cutter.split(b"\x01" * 32, 2, 3)
    with pytest.raises(Refused, match="different sets"):
        cutter.missing([console.shares["kai"], foreign[0]])
    with pytest.raises(Refused, match="do not open"):
        open_backup(cutter.join(foreign[:2]), copy)
    right = cutter.join([console.shares["kai"], console.shares["kim"]])
    assert open_backup(right, copy)[0].label == "authority root-2026"
    with pytest.raises(Refused, match="do not open"):
        open_backup(right, copy.replace(b"authority root-2026", b"authority root-2027"))


@pytest.mark.parametrize("count", [0, 1, 2])
def test_too_few_shares_give_nothing(count: int) -> None:
    cutter = Slip39Shares()
    shares = cutter.split(b"\x02" * 32, 3, 5)
    with pytest.raises(Refused, match="more are needed"):
        cutter.join(shares[:count])
    assert cutter.join([shares[4], shares[0], shares[2]]) == b"\x02" * 32


def test_a_mistyped_share_is_noticed_and_not_repeated() -> None:
    shares = Slip39Shares().split(b"\x03" * 32, 2, 2)
    words = shares[0].split()
    words[7] = "academic" if words[7] != "academic" else "acid"
    with pytest.raises(Refused) as refused:
        Slip39Shares().missing([" ".join(words)])
    assert not any(word in str(refused.value) for word in words[4:6])


def test_a_share_that_would_have_us_compute_for_hours_is_refused() -> None:
    from shamir_mnemonic import generate_mnemonics

    slow = generate_mnemonics(1, [(2, 2)], b"\x04" * 32, iteration_exponent=1)[0][0]
    with pytest.raises(Refused, match="something else"):
        Slip39Shares().missing([slow])


async def test_a_chain_that_was_made_anew_around_another_certificate_is_not_what_the_log_says(room: CeremonyRoom) -> None:
    from dataclasses import replace

    from chargepki.cli.ceremony import count_logged
    from chargepki.core.ceremony.transcript import Entry, Transcript, parse_transcript

    await room.hold(ROOT)
    found = parse_transcript((room.papers("root-2026") / "transcript.json").read_bytes())
    assert await count_logged(room.bench.ports.store, found) > 1
    forged: list[Entry] = []
    for entry in found.entries:
        facts = {name: "00" * 32 if name == "certificate sha256" else value for name, value in entry.facts.items()}
        forged.append(replace(entry, facts=facts, previous=forged[-1].sha256 if forged else entry.previous))
    with pytest.raises(Refused, match="the log knows no certificate"):
        await count_logged(room.bench.ports.store, Transcript(tuple(forged)))


async def test_a_ceremonys_order_is_not_carried_out_away_from_its_terminal(room: CeremonyRoom) -> None:
    """The last vote is given elsewhere: the platform's own executors refuse what needs the files of the ceremony."""
    from tests.unit.services.ceremony_room import SUB

    request = SUB.replace('kind = "sub"', 'kind = "request"').replace('parent = "root-2026"\n', "")
    assert (await room.hold(request, PlannedConsole(absent=frozenset({"olga"}))))[0] is Ending.PENDING
    (proposal,) = (await room.bench.ports.store.list_proposals()).items
    olga = (await room.reception.identify(Credentials("olga", "olga's password", ""))).actor
    report = await room.bench.services.approvals.vote(room.bench.caller(olga), proposal.id, proposal.digest, is_for=True)
    assert report.proposal.state == "failed"
    assert "ceremony" in report.proposal.outcome
    assert room.vault.count() == 0
    assert (await room.hold(request))[0] is Ending.STOPPED
