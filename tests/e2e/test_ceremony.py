"""A production platform from nothing: init, accounts, rehearsal, ceremonies, transcript; and a root that never goes online."""

# ruff: noqa: ASYNC221, ASYNC240  # nothing else runs beside these tests

import base64
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509 import ocsp
from tests.unit.services.ceremony_room import ROOT, SUB, PlannedConsole, open_room

from chargepki.adapters.ceremony_files import CeremonyDirectory
from chargepki.adapters.keys.shares import Slip39Shares
from chargepki.adapters.openssl import OpenSsl
from chargepki.cli.platform_room import PlatformRoom, open_platform
from chargepki.config import load_config
from chargepki.core import totp
from chargepki.core.ceremony.script import parse_script
from chargepki.core.ocsp import UNAUTHORIZED
from chargepki.core.records import AuthorityId, AuthorityState
from chargepki.errors import NotFound, Refused
from chargepki.services.audit import Caller
from chargepki.services.ceremonies import Ceremony, Ending, Room
from chargepki.services.ceremony_people import TerminalReception
from chargepki.services.ceremony_tools import Credentials, Reply
from chargepki.services.grants import ME
from chargepki.services.sessions import signing_in
from chargepki.testing.clock import FixedClock

PASSWORD = "correct horse battery {}"
OFFICES = {
    "adam": ["administrator", "ceremony-administrator"],
    "sara": ["security-officer"],
    "otto": ["ca-officer", "revocation-officer"],
    "olga": ["ca-officer", "registration-officer"],
    "rolf": ["registration-officer"],
    "kai": ["key-custodian"],
    "kim": ["key-custodian"],
    "kira": ["key-custodian"],
    "oscar": ["operator", "witness"],
    "will": ["operator"],
    "wanda": ["auditor", "witness"],
    "rita": ["revocation-officer"],
}


def chargepki(*arguments: str | Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "chargepki", *map(str, arguments)]
    return subprocess.run(
        command, input=stdin, capture_output=True, text=True, timeout=120, env={**os.environ, "COLUMNS": "200"}, check=False
    )


def answers(directory: Path, offices: dict[str, list[str]]) -> Path:
    passphrase = directory / "vault.passphrase"
    passphrase.write_text("a passphrase for this test\n")
    passphrase.chmod(0o600)
    people = "".join(f'[[people]]\nusername = "{name}"\nroles = {json.dumps(roles)}\n' for name, roles in offices.items())
    file = directory / "answers.toml"
    file.write_text(
        'organization = "Example CPO"\nhostnames = ["localhost"]\naddresses = ["127.0.0.1"]\n'
        'status_url = "http://pki.example.org"\nlog_origin = "pki.example.org/audit"\n'
        f'[vault]\ntype = "file"\npassphrase_file = "{passphrase}"\n{people}'
    )
    return file


class Telephones:
    """Everybody's authenticator app, and the clock of the room."""

    def __init__(self, clock: FixedClock) -> None:
        self.keys: dict[str, bytes] = {}
        self.clock = clock

    def code(self, name: str) -> str:
        self.clock.advance(timedelta(seconds=totp.STEP_SECONDS))  # a code works once
        return totp.code_at(self.keys[name], totp.step_of(self.clock.now()))


class People(PlannedConsole):
    """A console whose people type their real passwords and codes."""

    telephones: Telephones

    async def ask_person(self, who: str, named: Sequence[str]) -> Reply:
        reply = await super().ask_person(who, named)
        if not isinstance(reply, Credentials):
            return reply
        return Credentials(reply.username, PASSWORD.format(reply.username), self.telephones.code(reply.username))


async def set_up_everybody(platform: PlatformRoom, invitations: Path, telephones: Telephones) -> None:
    services = platform.services
    for path in sorted(invitations.iterdir()):
        name, stranger = path.name, Caller(signing_in(None), door="test")
        new = await services.sign_in.redeem_invitation(stranger, invitation=path.read_text().strip(), password=PASSWORD.format(name))

        async def me(secret: str = new.secret) -> Caller:
            return Caller(await services.sessions.authenticate(secret), door="test")

        offer = await services.sign_in.offer_totp(await me(), secret=new.secret)
        telephones.keys[name] = base64.b32decode(offer.secret)
        code, password = telephones.code(name), PASSWORD.format(name)
        await services.sign_in.enrol_totp(await me(), secret=new.secret, password=password, handle=offer.handle, code=code)
        for held in (await services.grants.list_grants(await me(), holder=ME, state="offered")).items:
            await services.grants.accept_grant(await me(), held.record.id)


async def hold(platform: PlatformRoom, script: Path, console: People) -> Ending:
    parsed = parse_script(script.read_bytes())
    papers = CeremonyDirectory(platform.config.data_dir / "ceremonies" / parsed.name, script.parent)
    await papers.keep_script(script.read_bytes())
    reception = TerminalReception(platform.services.sign_in, platform.services.actors, platform.ports.clock)
    room = Room(console, papers, reception, OpenSsl(), platform.safe, Slip39Shares())
    return await Ceremony(platform.ceremonies, room, parsed).run()


async def test_a_production_platform_from_nothing_to_its_first_authorities(tmp_path: Path) -> None:
    data = tmp_path / "data"
    made = chargepki("init", "--production", "--data", data, "--answers", answers(tmp_path, OFFICES))
    assert made.returncode == 0, made.stderr + made.stdout
    assert "ceremony run" in made.stdout
    assert {path.name for path in (data / "invitations").iterdir()} == set(OFFICES)
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in (data / "invitations").iterdir())
    again = chargepki("init", "--production", "--data", data, "--answers", tmp_path / "answers.toml")
    assert again.returncode == 1
    assert "not empty" in again.stderr

    refused = chargepki("up", "--data", data)
    assert refused.returncode != 0
    assert "init" in refused.stderr + refused.stdout

    root, sub = data / "ceremonies" / "root.toml", data / "ceremonies" / "sub.toml"
    rehearsed = chargepki("ceremony", "rehearse", root, "--data", data)
    assert rehearsed.returncode == 0, rehearsed.stderr
    assert re.search(r"expected  serial +_{10}", rehearsed.stdout), "what the key decides is left open"
    assert re.search(r"expected  subject +O=Example CPO, CN=Example CPO Operator Root CA", rehearsed.stdout)

    stopped = chargepki("ceremony", "run", root, "--data", data, stdin="stop\n")
    assert stopped.returncode == 3, stopped.stderr

    clock = FixedClock(datetime.now(UTC))
    telephones = Telephones(clock)
    async with open_platform(load_config(data, environment={}), clock=clock) as platform:
        await set_up_everybody(platform, data / "invitations", telephones)
        console = People()
        console.telephones = telephones
        assert await hold(platform, root, console) is Ending.DONE, console.shown
        assert await hold(platform, sub, console) is Ending.DONE, console.shown

    transcript = data / "ceremonies" / "operator-root" / "transcript.json"
    verified = chargepki("ceremony", "verify", transcript, "--data", data)
    assert verified.returncode == 0, verified.stderr
    assert "closed" in verified.stdout
    changed = tmp_path / "changed.json"
    changed.write_text(transcript.read_text().replace("CN=Example CPO Operator Root CA", "CN=Example CPO Operator Root CB", 1))
    wrong = chargepki("ceremony", "verify", changed, "--data", data)
    assert wrong.returncode == 1
    assert re.search(r"entry \d+: the done of the step verify was changed", wrong.stderr)
    assert "Operator Root CA" in chargepki("ceremony", "show", transcript).stdout

    papers = data / "ceremonies" / "operator-sub"
    openssl = ["openssl", "verify", "-CAfile", papers / "operator-sub.root.pem", papers / "operator-sub.certificate.pem"]
    assert subprocess.run(openssl, capture_output=True, check=False).returncode == 0


def test_an_invitation_is_taken_up_at_the_terminal_without_a_server(tmp_path: Path) -> None:
    data = tmp_path / "data"
    assert chargepki("init", "--production", "--data", data, "--answers", answers(tmp_path, OFFICES)).returncode == 0
    command = [sys.executable, "-m", "chargepki", "account", "redeem", "--data", str(data)]
    wide = {**os.environ, "COLUMNS": "200"}
    with subprocess.Popen(command, env=wide, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        process.stdin.write((data / "invitations" / "kai").read_text() + PASSWORD.format("kai") + "\n")
        process.stdin.flush()
        secret = next(m[1] for line in process.stderr if (m := re.fullmatch(r"([A-Z2-7]{32})\s*", line)))
        key = base64.b32decode(secret)
        process.stdin.write(totp.code_at(key, int(time.time()) // totp.STEP_SECONDS) + "\n")
        process.stdin.close()
        out, err = process.stdout.read() if process.stdout else "", process.stderr.read()
    assert process.returncode == 0, err
    assert "key-custodian" in out


def test_a_staff_that_cannot_fill_the_quorums_makes_no_platform(tmp_path: Path) -> None:
    few = {name: OFFICES[name] for name in ("adam", "sara", "kai", "kim")}
    refused = chargepki("init", "--production", "--data", tmp_path / "data", "--answers", answers(tmp_path, few))
    assert refused.returncode == 1
    assert "access.staff.people" in refused.stderr
    assert "access.staff.quorum" in refused.stderr
    assert not (tmp_path / "data").exists()


REQUEST = (
    SUB.replace('kind = "sub"', 'kind = "request"')
    .replace('parent = "root-2026"\n', "")
    .replace('name = "sub-2026"', 'name = "request-sub"')
)
SIGN = """
name = "sign-sub"
kind = "sign"
title = "Sign the sub-CA's request"
[people]
proposer = ["adam"]
ca-officer = ["otto", "olga"]
witness = ["wanda", "will"]
[authority]
id = "sub-2026"
profile = "sub/operator"
parent = "root-2026"
organization = "Example CPO"
common_name = "Example Operator Sub CA 2026"
[input]
csr = "sub-2026.csr.pem"
[urls]
crl = "http://pki.example.org/crl/root-2026.crl"
"""
IMPORT = """
name = "import-sub"
kind = "import"
title = "Take in the sub-CA"
[people]
proposer = ["adam"]
ca-officer = ["otto", "olga"]
[authority]
id = "sub-2026"
profile = "sub/operator"
parent = "root-2026"
parent_profile = "root/operator"
[input]
request = "sub-2026.request.json"
certificate = "sub-2026.certificate.pem"
root = "root-2026.root.pem"
crl = "root-2026.crl.pem"
"""
CRL = """
name = "crl-2"
kind = "crl"
title = "The next CRL"
crl_days = 180
[people]
proposer = ["oscar"]
witness = ["wanda", "will"]
[authority]
id = "root-2026"
"""


def carry(source: Path, target: Path, *names: str) -> None:
    for name in names:
        (target / name).write_bytes((source / name).read_bytes())


async def test_an_offline_root_signs_what_is_carried_to_it_in_files(tmp_path: Path) -> None:
    offline, online = tmp_path / "offline", tmp_path / "online"
    async with open_room(offline) as room:
        assert (await room.hold(ROOT))[0] is Ending.DONE
        root_papers = room.papers("root-2026")
    async with open_room(online) as room:
        ending, console = await room.hold(REQUEST)
        assert ending is Ending.DONE, console.shown
        carry(room.papers("request-sub"), offline, "sub-2026.csr.pem")
        carry(room.papers("request-sub"), online, "sub-2026.request.json")
    async with open_room(offline) as room:
        ending, console = await room.hold(SIGN)
        assert ending is Ending.DONE, console.shown
        carry(room.papers("sign-sub"), online, "sub-2026.certificate.pem")
        carry(root_papers, online, "root-2026.root.pem", "root-2026.crl.pem")
        room.bench.clock.advance(timedelta(days=100))
        ending, console = await room.hold(CRL)
        assert ending is Ending.DONE, console.shown
        next_crl = (room.papers("crl-2") / "root-2026.crl.pem").read_bytes()
    async with open_room(online) as room:
        ending, console = await room.hold(IMPORT)
        assert ending is Ending.DONE, console.shown
        authorities, status = room.bench.services.authorities, room.bench.services.status
        root, sub = await authorities.view(AuthorityId("root-2026")), await authorities.view(AuthorityId("sub-2026"))
        assert (root.authority.state, sub.authority.state) == (AuthorityState.OFFLINE, AuthorityState.ACTIVE)
        assert (await status.current_crl(AuthorityId("root-2026"))).number == 1
        request = ocsp.OCSPRequestBuilder().add_certificate(
            x509.load_der_x509_certificate(sub.certificate_der), x509.load_der_x509_certificate(root.certificate_der), hashes.SHA256()
        )
        answer = await status.answer(request.build().public_bytes(serialization.Encoding.DER))
        assert answer.der == UNAUTHORIZED, "nobody here answers for a key that is elsewhere"
        with pytest.raises(Refused, match="not here"):
            await status.publish_crl(AuthorityId("root-2026"))
        room.bench.clock.advance(timedelta(days=100))
        (online / "root-2026.crl.pem").write_bytes(next_crl)
        text = CRL.replace('"crl"', '"import-crl"').replace("crl-2", "import-crl-2").replace("crl_days = 180\n", "")
        ending, console = await room.hold(text + '[input]\ncrl = "root-2026.crl.pem"\n')
        assert ending is Ending.DONE, console.shown
        assert (await status.current_crl(AuthorityId("root-2026"))).number == 2
        with pytest.raises(Refused):
            await room.hold(text.replace("import-crl-2", "import-crl-3") + '[input]\ncrl = "root-2026.crl.pem"\n')
    papers = online / "ceremonies" / "import-sub"
    openssl = ["openssl", "verify", "-CAfile", papers / "sub-2026.root.pem", "-CRLfile", online / "root-2026.crl.pem", "-crl_check"]
    verified = subprocess.run(
        [*openssl, "-no_check_time", papers / "sub-2026.certificate.pem"], capture_output=True, text=True, check=False
    )
    assert verified.returncode == 0, verified.stderr


async def test_what_the_root_did_not_sign_is_not_taken_in(tmp_path: Path) -> None:
    """A certificate of the right name by another root of the same name."""
    async with open_room(tmp_path / "false") as room:
        await room.hold(ROOT)
        false_root = room.papers("root-2026")
    async with open_room(tmp_path / "offline") as room:
        await room.hold(ROOT)
        carry(room.papers("root-2026"), tmp_path / "offline", "root-2026.crl.pem")
        async with open_room(tmp_path / "online") as online:
            await online.hold(REQUEST)
            carry(online.papers("request-sub"), tmp_path / "offline", "sub-2026.csr.pem")
            carry(online.papers("request-sub"), tmp_path / "online", "sub-2026.request.json")
            await room.hold(SIGN)
            carry(room.papers("sign-sub"), tmp_path / "online", "sub-2026.certificate.pem")
            carry(false_root, tmp_path / "online", "root-2026.root.pem", "root-2026.crl.pem")
            ending, console = await online.hold(IMPORT)
            assert ending is Ending.STOPPED, console.shown
            assert any("did not sign" in line for line in console.shown)
            with pytest.raises(NotFound):
                await online.bench.services.authorities.view(AuthorityId("sub-2026"))
