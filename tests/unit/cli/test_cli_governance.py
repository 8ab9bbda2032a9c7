"""Parties, people, machines and grants on the command line, against the real API."""

import csv
import io
import json

import pytest

from chargepki.cli.exits import Exit
from tests.unit.cli.cli_runs import Run


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A slug that no other test uses: the platform is shared."""
    return f"n{abs(hash(request.node.name)) % 10**8}"


def test_a_party_is_registered_shown_and_suspended(run: Run, name: str):
    made = run("party", "create", name, "--name", f"{name} GmbH", "--role", "cpo", "--space", f"dns:{name}.example")
    assert (made.code, made.err) == (Exit.DONE, "")
    assert [line.split("  ")[0] for line in made.out.splitlines()] == ["Registered", "Speaks for", "Next", "Undo"]
    assert f"dns:{name}.example" in run("party", "show", name).out
    suspended = run("party", "suspend", name)
    assert suspended.out.startswith("Suspended")
    assert json.loads(run("party", "show", name, "--json").out)["state"] == "suspended"
    undo = suspended.out.splitlines()[-1].split("chargepki ")[1].split()
    assert run(*undo).out.startswith("Resumed")
    assert name in run("party", "list").out


def test_a_party_gains_and_loses_names(run: Run, name: str):
    run("party", "create", name, "--name", name, "--role", "cpo", "--role", "csms")
    run("party", "update", name, "--add-space", f"dns:{name}.example", "--role", "oem")
    changed = json.loads(run("party", "update", name, "--remove-space", f"dns:{name}.example", "--json").out)
    assert (changed["spaces"], changed["roles"]) == ([], ["oem"])
    said = run("party", "update", name)
    assert said.code == Exit.REFUSED
    assert said.err.endswith("Nothing was changed.\n")


def test_an_invitation_is_the_only_thing_on_stdout(run: Run, name: str):
    made = run("person", "invite", name, "--name", "Anna Berg", "--email", "anna@acme.example")
    again = run("person", "invite", name, "--again", "--hours", "1")
    for said in (made, again):
        assert said.code == Exit.DONE
        assert said.out.startswith("cpin_")
        assert len(said.out.splitlines()) == 1
        assert said.out.strip() not in said.err
    assert made.out != again.out


def test_a_person_is_shown_with_what_they_hold_until_they_leave(run: Run, name: str):
    run("person", "invite", name)
    offered = run("grant", "propose", f"person:{name}", "--role", "operator", "--until", "2027-06-30")
    assert offered.out.startswith("Offered")
    assert "2027-06-30" in offered.out
    assert "Offered  operator until 2027-06-30" in run("person", "show", name).out
    left = run("person", "offboard", name)
    assert left.out.startswith("Ended")
    assert run("person", "offboard", name).code == Exit.REFUSED
    assert "operator" not in run("person", "show", name).out
    id = json.loads(run("person", "show", name, "--json").out)["id"]
    assert run("person", "erase", name).out.startswith("Forgotten")
    assert name not in run("person", "list").out
    assert id in run("person", "list").out


def test_a_grant_that_is_refused_says_why_and_that_nothing_was_granted(run: Run, name: str):
    run("person", "invite", name)
    run("grant", "propose", f"person:{name}", "--role", "auditor")
    said = run("grant", "propose", f"person:{name}", "--role", "ca-officer", width=100)
    assert said.code == Exit.REFUSED
    assert "access.conflict" in said.err
    assert said.err.endswith("Nothing was granted.\n")
    assert run("grant", "propose", f"person:{name}", "--role", "witness", "--until", "soon").code == Exit.USAGE


def test_the_undo_line_of_a_grant_works_as_printed(run: Run, name: str):
    run("person", "invite", name)
    offered = run("grant", "propose", f"person:{name}", "--role", "operator", "--party", "demo-cpo")
    undo = offered.out.splitlines()[-1].split("chargepki ")[1].split()
    assert run(*undo).out.startswith("Ended")
    assert run(*undo).code == Exit.REFUSED


def test_the_register_is_exported_for_spreadsheets_and_programs(run: Run, name: str):
    run("person", "invite", name)
    run("grant", "propose", f"person:{name}", "--role", "operator")
    [grant] = json.loads(run("grant", "list", "--holder", f"person:{name}", "--json").out)
    [row] = csv.DictReader(io.StringIO(run("grant", "list", "--holder", f"person:{name}", "--csv").out))
    assert (row["id"], row["name"], row["role"], row["over"], row["state"]) == (grant["id"], name, "operator", "everything", "offered")


def test_a_machine_is_registered_and_suspended(run: Run, name: str):
    made = run("machine", "create", name, "--party", "demo-cpo", "--role", "csms", "--days", "30")
    assert made.out.startswith("Registered")
    assert "--profile backend/mtls-client" in made.out
    [machine] = [m for m in json.loads(run("machine", "list", "--json").out) if m["name"] == name]
    assert machine["scope"]["parties"] == ["demo-cpo"]
    assert run("machine", "suspend", machine["id"]).out.startswith("Suspended")
    assert "suspended" in run("machine", "show", machine["id"]).out
    renewed = run("grant", "propose", f"machine:{machine['id']}", "--role", "csms")
    assert renewed.code == Exit.REFUSED
    assert run("machine", "resume", machine["id"]).out.startswith("Resumed")
    assert run("grant", "propose", f"machine:{machine['id']}", "--role", "csms").out.startswith("Granted")


def test_an_access_review_is_read_and_signed(run: Run, name: str):
    run("person", "invite", name)
    run("grant", "propose", f"person:{name}", "--role", "operator")
    review = run("grant", "review")
    assert name in review.out
    sign = review.out.splitlines()[-1].split("chargepki ")[1].split()
    signed = run(*sign)
    assert signed.out.startswith("Signed")
    run("person", "offboard", name)
    stale = run(*sign)
    assert stale.code == Exit.REFUSED
    assert "review.changed" in stale.err


@pytest.mark.parametrize("width", [60, 80, 120])
def test_no_list_is_wider_than_the_terminal(run: Run, name: str, width: int):
    run("person", "invite", f"{name}.{width}")
    run("grant", "propose", f"person:{name}.{width}", "--role", "operator")
    for verb in (("party", "list"), ("person", "list"), ("machine", "list"), ("grant", "list"), ("grant", "review")):
        table = run(*verb, width=width).out.split("Rights ")[0]  # below it: a digest and a command, which are never broken
        assert max(map(len, table.splitlines())) <= width, verb
