"""Ceremonies on the real services: what they make, who it takes, and what happens when one is cut off."""

import json
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest

from chargepki.core.access.model import Role
from chargepki.core.ceremony.script import parse_script
from chargepki.core.ceremony.steps import StepKind, plan_steps
from chargepki.core.ceremony.transcript import What, check_course, parse_transcript
from chargepki.core.records import AuthorityId, AuthorityState, KeyState
from chargepki.errors import NotFound, Refused
from chargepki.services.ceremonies import Ending
from tests.unit.services.ceremony_room import BACKUP, ROOT, SUB, CeremonyRoom, PlannedConsole, open_room

ROOT_ID, SUB_ID = AuthorityId("root-2026"), AuthorityId("sub-2026")

# Without the second opinion a ceremony has a deviation more than these tests count.
needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed: make test-deps")


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[CeremonyRoom]:
    async with open_room(tmp_path) as opened:
        yield opened


@needs_openssl
@pytest.mark.clause("CA/B BR 6.1.1.1")
async def test_a_root_and_a_sub_ca_are_made_by_those_whom_the_policy_asks_for(room: CeremonyRoom) -> None:
    ending, console = await room.hold(ROOT)
    assert ending is Ending.DONE, console.shown
    assert (await room.bench.services.authorities.view(ROOT_ID)).authority.state is AuthorityState.ACTIVE
    assert any(line.startswith("good") and "openssl verify" in line for line in console.shown)
    assert any(line.startswith("good") and "openssl crl" in line for line in console.shown)
    ending, console = await room.hold(SUB)
    assert ending is Ending.DONE, console.shown
    assert (await room.bench.services.authorities.view(SUB_ID)).authority.parent == ROOT_ID


async def test_the_tool_first_says_that_the_script_is_all_that_happens(room: CeremonyRoom) -> None:
    _, console = await room.hold(ROOT, PlannedConsole(absent=frozenset({"carla"})))
    assert "not done" in console.shown[0]


@pytest.mark.parametrize("missing", [{"sara"}, {"kira"}, {"wanda", "will"}, {"carla"}, {"adam"}])
async def test_with_fewer_people_nothing_is_signed(room: CeremonyRoom, missing: set[str]) -> None:
    ending, _ = await room.hold(ROOT, PlannedConsole(absent=frozenset(missing)))
    assert ending is Ending.PENDING
    assert room.vault.count() == 0
    with pytest.raises(NotFound):
        await room.bench.services.authorities.view(ROOT_ID)


async def test_one_vote_against_stops_it_and_nothing_is_signed(room: CeremonyRoom) -> None:
    ending, console = await room.hold(ROOT, PlannedConsole(against=frozenset({"kim"})))
    assert ending is Ending.STOPPED
    assert any("against" in line for line in console.shown)
    assert room.vault.count() == 0
    again, _ = await room.hold(ROOT)
    assert again is Ending.STOPPED, "a stopped ceremony stays stopped"


async def test_who_comes_later_goes_on_where_the_others_stopped(room: CeremonyRoom) -> None:
    assert (await room.hold(ROOT, PlannedConsole(absent=frozenset({"kira"}))))[0] is Ending.PENDING
    ending, console = await room.hold(ROOT)
    assert ending is Ending.DONE
    assert ("custodian", ("kai", "kim", "kira")) not in console.asked, "who confirmed is not asked again"
    transcript = parse_transcript((room.papers("root-2026") / "transcript.json").read_bytes())
    check_course(transcript, plan_steps(parse_script(ROOT.encode())))
    voted = {signer.username for entry in transcript.of_step(StepKind.AGREE, What.DONE) for signer in entry.people}
    assert voted >= {"carla", "sara", "kai", "kim", "kira", "wanda", "will"}


async def test_the_log_has_every_confirmation_with_the_hash_of_what_was_before_it(room: CeremonyRoom) -> None:
    await room.hold(ROOT)
    transcript = parse_transcript((room.papers("root-2026") / "transcript.json").read_bytes())
    (closing,) = (entry for entry in transcript.of_step(StepKind.CLOSE, What.CONFIRMED) if entry.people[0].username == "will")
    entry = await room.bench.ports.store.get_audit(closing.facts["log_entry"])  # type: ignore[arg-type]
    assert json.loads(entry.body)["detail"]["transcript"] == closing.previous


async def test_a_changed_script_does_not_go_on(room: CeremonyRoom) -> None:
    await room.hold(ROOT, PlannedConsole(absent=frozenset({"kira"})))
    with pytest.raises(Refused, match="script"):
        await room.hold(ROOT.replace("ec-p384", "ec-p256"))
    assert room.vault.count() == 0


class Crash(Exception):
    """The power goes."""


@pytest.mark.parametrize("at", [2, 6, 9])  # proposing, in the middle of the vote, closing
async def test_a_crash_before_any_confirmation_costs_nothing(tmp_path: Path, at: int) -> None:
    def crash(who: str) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            raise Crash(who)

    left = at
    async with open_room(tmp_path) as room:
        with suppress(Crash):
            await room.hold(ROOT, PlannedConsole(before=crash))
    async with open_room(tmp_path) as room:
        ending, console = await room.hold(ROOT)
        assert ending is Ending.DONE, console.shown
        roots = [a for a in await room.bench.ports.store.list_authorities() if a.id == ROOT_ID]
        assert len(roots) == 1
        assert len([key for key in await room.vault.vault.list() if key.label == "authority root-2026"]) == 1


@pytest.mark.parametrize("at", [1, 4, 6, 11, 12, 13, 16])  # opened, proposed, a vote, the last vote, agreed, verified, closed
async def test_a_crash_at_any_write_of_the_transcript_costs_nothing(tmp_path: Path, at: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was done and not written down is found again, and not done a second time."""
    from chargepki.adapters.ceremony_files import CeremonyDirectory

    save, left = CeremonyDirectory.save, at

    async def crash(self: CeremonyDirectory, transcript: bytes, printed: str) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            raise Crash
        await save(self, transcript, printed)

    monkeypatch.setattr(CeremonyDirectory, "save", crash)
    async with open_room(tmp_path) as room:
        with suppress(Crash):
            await room.hold(ROOT)
        ending, console = await room.hold(ROOT)
        assert ending is Ending.DONE, console.shown
        assert len([key for key in await room.vault.vault.list() if key.label == "authority root-2026"]) == 1


@needs_openssl
async def test_a_deviation_is_a_step_that_two_sign(room: CeremonyRoom) -> None:
    ending, _ = await room.hold(ROOT, PlannedConsole(deviations=["The projector failed; we read from paper."]))
    assert ending is Ending.DONE
    transcript = parse_transcript((room.papers("root-2026") / "transcript.json").read_bytes())
    (deviation,) = [entry for entry in transcript.entries if entry.what is What.DEVIATION]
    assert deviation.facts["text"].startswith("The projector")
    assert len({signer.person for signer in deviation.people}) == 2


async def test_without_openssl_two_have_to_accept_that(room: CeremonyRoom) -> None:
    room.has_openssl = False
    crowd = frozenset({"adam", "carla", "sara", "kai", "kim", "kira", "wanda"})

    def leave(who: str) -> None:
        if "deviation" in who:
            console.absent = crowd  # will alone is left

    console = PlannedConsole(before=leave)
    assert (await room.hold(ROOT, console))[0] is Ending.PENDING
    ending, console = await room.hold(ROOT)
    assert ending is Ending.DONE
    assert any("OpenSSL is not on this machine" in line for line in console.shown)
    printed = (room.papers("root-2026") / "transcript.txt").read_text()
    assert "deviation" in printed
    assert "OpenSSL is not on this machine" in printed


async def test_a_rekeyed_authority_has_a_new_key_and_the_old_one_is_retired(room: CeremonyRoom) -> None:
    await room.hold(ROOT)
    await room.hold(SUB)
    rekey = re.sub(r"\[authority\].*", "", SUB, flags=re.DOTALL).replace("sub-2026", "rekey-2027").replace('"sub"', '"rekey"')
    rekey += '[authority]\nid = "sub-2027"\nreplaces = "sub-2026"\ncommon_name = "Example Operator Sub CA 2027"\nkey = "ec-p256"\n'
    ending, console = await room.hold(rekey)
    assert ending is Ending.DONE, console.shown
    views = room.bench.services.authorities
    assert (await views.view(SUB_ID)).authority.state is AuthorityState.RETIRED
    assert (await views.view(AuthorityId("sub-2027"))).authority.key != (await views.view(SUB_ID)).authority.key


async def test_a_key_is_destroyed_after_its_cool_down_and_not_before(room: CeremonyRoom) -> None:
    await room.hold(ROOT)
    await room.hold(SUB)
    rekey = re.sub(r"\[authority\].*", "", SUB, flags=re.DOTALL).replace("sub-2026", "rekey-2027").replace('"sub"', '"rekey"')
    rekey += '[authority]\nid = "sub-2027"\nreplaces = "sub-2026"\ncommon_name = "Example Operator Sub CA 2027"\nkey = "ec-p256"\n'
    await room.hold(rekey)
    destroy = (
        ROOT.split("[people]", maxsplit=1)[0]
        .replace('"root"', '"destroy"')
        .replace("root-2026", "destroy-2027")
        .replace("crl_days = 180", "")
    )
    destroy += """[people]
proposer = ["kai"]
administrator = ["carla"]
security-officer = ["sara"]
custodian = ["kim", "kira"]
witness = ["wanda", "will"]
[authority]
id = "sub-2026"
"""
    ending, console = await room.hold(destroy)
    assert ending is Ending.PENDING, console.shown
    assert any("waits until" in line for line in console.shown)
    key = (await room.bench.services.authorities.view(SUB_ID)).authority.key
    assert (await room.vault.vault.get(key)).ref == key
    room.bench.clock.advance(timedelta(hours=73))
    ending, console = await room.hold(destroy)
    assert ending is Ending.DONE, console.shown
    with pytest.raises(NotFound):
        await room.vault.vault.get(key)
    assert (await room.bench.ports.store.get_key_record(key)).state is KeyState.DESTROYED


def _restore(shares: int = 3) -> str:
    text = ROOT.split("[authority]", maxsplit=1)[0].replace('"root"', '"restore"').replace("root-2026", "restore-2026")
    text = text.replace("crl_days = 180", "").replace('proposer = ["adam"]', 'proposer = ["kai"]')
    text = text.replace('custodian = ["kai", "kim", "kira"]', 'custodian = ["kim", "kira"]')
    return text + '[authority]\nid = "root-2026"\n[input]\nbackup = "root-2026.backup.json"\n'


async def test_a_lost_key_comes_back_from_its_sealed_copy_and_enough_shares(room: CeremonyRoom) -> None:
    ending, console = await room.hold(ROOT + BACKUP)
    assert ending is Ending.DONE, console.shown
    assert set(console.shares) == {"kai", "kim", "kira"}
    key = (await room.bench.services.authorities.view(ROOT_ID)).authority.key
    copy = room.papers("root-2026") / "root-2026.backup.json"
    (room.desk / copy.name).write_bytes(copy.read_bytes())
    await room.vault.vault.destroy(key)  # the disk was lost

    too_few = PlannedConsole(typed=[console.shares["kai"]])
    assert (await room.hold(_restore(), too_few))[0] is Ending.PENDING
    wrong = PlannedConsole(typed=["academic acid " * 16, console.shares["kai"], console.shares["kai"]])
    assert (await room.hold(_restore(), wrong))[0] is Ending.PENDING
    assert any("cannot be used" in line for line in wrong.shown)
    with pytest.raises(NotFound):
        await room.vault.vault.get(key)

    enough = PlannedConsole(typed=[console.shares["kira"], console.shares["kai"]])
    ending, enough = await room.hold(_restore(), enough)
    assert ending is Ending.DONE, enough.shown
    assert (await room.vault.vault.get(key)).spki == (await room.bench.services.authorities.view(ROOT_ID)).spki


async def test_custodians_show_that_their_shares_still_open_the_copy_and_nothing_is_changed(room: CeremonyRoom) -> None:
    _, console = await room.hold(ROOT + BACKUP)
    (room.desk / "root-2026.backup.json").write_bytes((room.papers("root-2026") / "root-2026.backup.json").read_bytes())
    signed = room.vault.count()
    check = _restore().replace('"restore"', '"backup-check"').replace("restore-2026", "check-2027").replace('["kai"]', '["carla"]')
    ending, console = await room.hold(check, PlannedConsole(typed=[console.shares["kira"], console.shares["kim"]]))
    assert ending is Ending.DONE, console.shown
    assert room.vault.count() == signed


async def test_no_share_and_no_wrapping_key_is_kept_anywhere(room: CeremonyRoom) -> None:
    _, console = await room.hold(ROOT + BACKUP)
    for path in room.desk.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert not any(share.encode() in content for share in console.shares.values()), path
    assert not any(share in line for line in console.shown for share in console.shares.values())


async def test_somebody_elses_root_is_certified_under_its_own_name(room: CeremonyRoom, tmp_path: Path) -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    name = x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "DE"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Other"),
            x509.NameAttribute(NameOID.COMMON_NAME, "Other Root"),
        ]
    )
    csr = x509.CertificateSigningRequestBuilder().subject_name(name).sign(ec.generate_private_key(ec.SECP384R1()), hashes.SHA384())
    (room.desk / "other.csr.pem").write_bytes(csr.public_bytes(serialization.Encoding.PEM))
    await room.hold(ROOT)
    cross = SUB.split("[authority]", maxsplit=1)[0].replace('"sub"', '"cross-sign"').replace("sub-2026", "cross-other")
    cross += '[authority]\nid = "other-root"\nprofile = "cross/operator"\nparent = "root-2026"\n'
    cross += '[input]\ncsr = "other.csr.pem"\n[urls]\ncrl = "http://pki.example.org/crl/root-2026.crl"\n'
    ending, console = await room.hold(cross)
    assert ending is Ending.DONE, console.shown
    made = x509.load_pem_x509_certificate((room.papers("cross-other") / "other-root.certificate.pem").read_bytes())
    assert made.subject.public_bytes() == name.public_bytes()
    assert made.issuer.rfc4514_string() == "CN=Example Operator Root 2026,O=Example CPO"


async def test_a_request_for_somebody_elses_root_is_signed_by_our_key(room: CeremonyRoom) -> None:
    from cryptography import x509

    await room.hold(ROOT)
    cross = SUB.split("[authority]", maxsplit=1)[0].replace('"sub"', '"cross-csr"').replace("sub-2026", "to-other")
    ending, console = await room.hold(cross + '[authority]\nid = "root-2026"\n')
    assert ending is Ending.DONE, console.shown
    csr = x509.load_pem_x509_csr((room.papers("to-other") / "root-2026.csr.pem").read_bytes())
    assert csr.is_signature_valid
    view = await room.bench.services.authorities.view(ROOT_ID)
    assert csr.subject.public_bytes() == view.name_der


def test_the_staff_of_the_tests_is_one_that_a_production_platform_could_have() -> None:
    from chargepki.core.access.roles import find_conflicts
    from tests.unit.services.ceremony_room import STAFF

    assert all(not find_conflicts(roles) for roles in STAFF.values())
    assert Role.DEVELOPER not in {role for roles in STAFF.values() for role in roles}
