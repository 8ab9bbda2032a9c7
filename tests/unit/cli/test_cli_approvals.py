"""What people see of approvals on the command line: exit 3, who is missing, what exactly they agree to."""

import asyncio
import json
import re
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import uvicorn

from chargepki.api.app import create_api
from chargepki.app import api_services
from chargepki.cli.exits import Exit
from chargepki.cli.main import main
from chargepki.cli.moments import parse_until
from chargepki.core.access.model import Role, Scope
from chargepki.errors import Refused
from tests.unit.cli.cli_runs import Said
from tests.unit.services.approvals_board import LENIENT, add_token, open_board

STANDING = (
    "standing",
    "propose",
    "--party",
    "demo-cpo",
    "--profile",
    "ocpp/station",
    "--name",
    "station-serial:SN-2026",
    "--per-hour",
    "10",
    "--until",
    "2026-12-24",
)
BATCH = ("batch", "create", "--party", "demo-cpo", "--prefix", "SN-2026-", "--until", "2026-12-01")


@dataclass(frozen=True)
class Office:
    """A served platform, and a token file of everybody in it."""

    url: str
    directory: Path

    def token_of(self, name: str) -> str:
        return str(self.directory / f"{name}.token")


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    directory = tmp_path_factory.mktemp("office")
    started, stop = threading.Event(), threading.Event()
    found: list[str] = []

    async def serve() -> None:
        async with open_board(directory, LENIENT) as board:
            bench = board.bench
            own = Scope(parties=frozenset({"demo-cpo"}))
            renate = await bench.person("renate", Role.REQUESTER, party="demo-cpo", scope=own)
            people = {"adam": board.proposer, "rita": board.officers[0], "rosa": board.officers[1], "renate": renate}
            for name, caller in people.items():
                (directory / f"{name}.token").write_text(await add_token(bench, caller) + "\n")
            services = replace(api_services(bench.ports, bench.services), approvals=board.approvals)
            server = uvicorn.Server(uvicorn.Config(create_api(services), port=0, log_level="error", lifespan="off"))
            running = asyncio.create_task(server.serve())
            while not server.started:  # noqa: ASYNC110  uvicorn sets a flag, no event
                await asyncio.sleep(0.01)
            found.append(f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}")
            started.set()
            await asyncio.to_thread(stop.wait)
            server.should_exit = True
            await running

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    assert started.wait(60)
    yield Office(found[0], directory)
    stop.set()
    thread.join(20)


RunAs = Callable[..., Said]


@pytest.fixture
def run_as(office: Office, in_directory: Path, capsys: pytest.CaptureFixture[str]) -> RunAs:
    def run(name: str, *arguments: str) -> Said:
        code = main([*arguments, "--url", office.url, "--token-file", office.token_of(name)])
        said = capsys.readouterr()
        return Said(code, said.out, said.err)

    return run


def propose(run_as: RunAs) -> str:
    said = run_as("adam", *STANDING)
    assert said.code == Exit.PENDING
    found = re.search(r"prp_\w+", said.err)
    assert found is not None
    return found[0]


def digest_of(run_as: RunAs, id: str) -> str:
    return str(json.loads(run_as("rita", "approval", "show", id, "--json").out)["digest"])


def test_what_needs_others_exits_3_and_says_who_and_how(run_as: RunAs) -> None:
    said = run_as("adam", *STANDING)
    assert (said.code, said.out) == (Exit.PENDING, "")
    assert "nothing was done yet" in said.err
    assert "2 who hold approval:standing:approve" in said.err
    assert re.search(r"chargepki approval approve prp_\w+", said.err)
    assert "error" not in said.err


def test_with_json_it_is_an_object_with_the_proposal_and_the_missing_seats(run_as: RunAs) -> None:
    said = run_as("adam", *STANDING, "--json")
    told = json.loads(said.out)
    assert (said.code, told["error"], told["missing"]) == (Exit.PENDING, "NeedsVotes", ["2 who hold approval:standing:approve"])
    assert told["proposal"].startswith("prp_")


def test_a_proposal_is_shown_with_everything_that_would_be_done(run_as: RunAs) -> None:
    id = propose(run_as)
    shown = run_as("rita", "approval", "show", id)
    assert shown.code == Exit.DONE
    for wanted in ("order.per_hour_max", "station-serial:SN-2026", "2 x approval:standing:approve", "sha256:", "approval reject"):
        assert wanted in shown.out
    assert id in run_as("rita", "approval", "list", "--mine").out
    assert id not in run_as("adam", "approval", "list", "--mine").out


def test_two_who_name_the_digest_carry_it_out(run_as: RunAs) -> None:
    id = propose(run_as)
    digest = digest_of(run_as, id)
    first = run_as("rita", "approval", "approve", id, "--digest", digest, "--note", "seen with Adam")
    second = run_as("rosa", "approval", "approve", id, "--digest", digest)
    assert (first.code, second.code) == (Exit.DONE, Exit.DONE)
    assert "open" in first.out
    assert re.search(r"Outcome +standing:sta_", second.out)
    standing = re.findall(r"sta_\w+", second.out)[0]
    assert standing in run_as("rita", "standing", "list", "--live").out
    assert run_as("rita", "standing", "end", standing).code == Exit.DONE
    assert "rita: for seen with Adam" in run_as("rosa", "approval", "show", id).out


def test_a_wrong_digest_says_that_the_proposal_was_edited(run_as: RunAs) -> None:
    id = propose(run_as)
    said = run_as("rita", "approval", "approve", id, "--digest", "sha256:" + "0" * 64)
    assert said.code == Exit.REFUSED
    assert "the proposal was edited" in said.err
    assert "You have not voted." in said.err


def test_an_edit_shows_what_it_changed(run_as: RunAs, in_directory: Path) -> None:
    id = propose(run_as)
    payload = json.loads(json.loads(run_as("adam", "approval", "show", id, "--json").out)["payload"])
    (in_directory / "order.json").write_text(json.dumps(payload["order"] | {"per_hour_max": 20}))
    said = run_as("adam", "approval", "edit", id, "--order", "order.json")
    assert said.code == Exit.DONE
    assert "revision 2" in said.out
    assert "10 -> 20" in said.out
    assert run_as("adam", "approval", "withdraw", id).code == Exit.DONE


def test_without_a_terminal_a_vote_names_its_digest(run_as: RunAs) -> None:
    id = propose(run_as)
    said = run_as("rita", "approval", "approve", id)
    assert said.code == Exit.REFUSED
    assert "--digest" in said.err


@pytest.mark.parametrize(("typed", "code", "votes"), [("y\n", Exit.DONE, 1), ("n\n", Exit.REFUSED, 0)])
def test_on_a_terminal_it_shows_what_it_asks_about(
    run_as: RunAs, monkeypatch: pytest.MonkeyPatch, typed: str, code: Exit, votes: int
) -> None:
    id = propose(run_as)
    asked = []
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("typer.confirm", lambda question, **_: asked.append(question) or typed == "y\n")
    said = run_as("rita", "approval", "reject", id)
    assert said.code == code
    assert "order.per_hour_max" in said.out
    assert asked == [f"Vote AGAINST {digest_of(run_as, id)}?"]
    assert len(json.loads(run_as("rosa", "approval", "show", id, "--json").out)["votes"]) == votes


def test_a_batch_is_made_given_a_token_and_ended(run_as: RunAs) -> None:
    made = run_as(
        "renate", "batch", "create", "--party", "demo-cpo", "--prefix", "SN-2026-", "--count", "5", "--until", "2026-12-01", "--json"
    )
    batch = json.loads(made.out)["id"]
    token = run_as("renate", "batch", "token", batch)
    assert token.out.startswith("cpat_")
    assert "0/5" in run_as("renate", "batch", "list").out
    assert "0 of 5 used" in run_as("renate", "batch", "end", batch).out


def test_a_large_batch_waits(run_as: RunAs) -> None:
    said = run_as("renate", *BATCH, "--count", "500")
    assert said.code == Exit.PENDING
    assert "registration:batch:approve" in said.err


def test_a_bulk_revocation_says_why_not(run_as: RunAs, in_directory: Path) -> None:
    (in_directory / "serials.txt").write_text("# leaked\n0A:0B\n\n0c0d # the other\n")
    said = run_as("rita", "cert", "revoke-many", "--issuer", "operator-sub", "--serial-file", "serials.txt", "--reason", "keyCompromise")
    assert said.code == Exit.NOT_AUTHORISED
    assert "revocation:bulk:propose" in said.err


def test_points_in_time_as_people_type_them() -> None:
    from datetime import UTC, datetime

    now = datetime(2026, 1, 1, 12, tzinfo=UTC)
    assert parse_until("30d", now) == datetime(2026, 1, 31, 12, tzinfo=UTC)
    assert parse_until("12h", now) == datetime(2026, 1, 2, tzinfo=UTC)
    assert parse_until("2026-12-31") == datetime(2027, 1, 1, tzinfo=UTC)
    assert parse_until("2026-12-31T18:00+01:00") == datetime(2026, 12, 31, 17, tzinfo=UTC)
    for nonsense in ("", "soon", "2026-13-01", "-3d"):
        with pytest.raises(Refused):
            parse_until(nonsense)
