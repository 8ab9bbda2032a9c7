"""Emergency holds, changes of profiles and the register of keys on the command line."""

import json
from pathlib import Path

import pytest

from chargepki.cli.exits import Exit
from tests.unit.cli.cli_runs import Run

PROFILE = "backend/mtls-client"


def order(run: Run, directory: Path, host: str) -> str:
    (directory / "pass").write_text("carried away by night\n")
    p12 = ("--key", "ec-p256", "--p12-out", str(directory / f"{host}.p12"), "--passphrase-file", str(directory / "pass"))
    said = run("cert", "request", "--profile", "backend/tls-server", "--host", host, *p12, "--json")
    assert said.code == Exit.DONE, said.err
    return str(json.loads(said.out)["certificate"]["id"])


def test_a_hold_says_until_when_and_how_it_lasts(run: Run, in_directory: Path) -> None:
    id = order(run, in_directory, "held.example.org")
    said = run("cert", "hold", id, "--note", "ticket 4711")
    assert said.code == Exit.DONE
    assert "until 2026-11-23 12:00:00Z" in said.out
    assert f"chargepki cert confirm-hold {id}" in said.out
    assert "emergency: ends 2026-11-23 12:00:00Z unless confirmed" in run("cert", "show", id).out
    assert json.loads(run("cert", "confirm-hold", id, "--json").out)["until"] is None
    again = run("cert", "confirm-hold", id)
    assert (again.code, "The hold still ends by itself." in again.err) == (Exit.REFUSED, True)
    assert run("cert", "release", id).code == Exit.DONE


def test_a_profile_is_narrowed_field_by_field_and_back(run: Run) -> None:
    first = run("profile", "propose", PROFILE, "--validity-days-max", "90", "--keys", "ec-p256,ec-p384")
    assert first.code == Exit.DONE, first.err
    assert f"Changed   {PROFILE}, change 1: validity_days_max 90; keys ec-p256, ec-p384" in first.out
    second = json.loads(run("profile", "propose", PROFILE, "--organizations", "demo-cpo", "--json").out)
    assert second["narrowing"] == {
        "validity_days": None,
        "validity_days_max": 90,
        "keys": ["ec-p256", "ec-p384"],
        "organizations": ["demo-cpo"],
        "host_suffixes": None,
    }
    shown = run("profile", "show", PROFILE).out
    assert f"{PROFILE} version 1.2" in shown
    assert "validity_days_max by change 2" in shown
    assert run("profile", "propose", PROFILE, "--built-in").code == Exit.DONE
    assert "version 1.3" in run("profile", "show", PROFILE).out
    listed = run("profile", "versions", PROFILE).out.splitlines()
    assert [line.split()[1] for line in listed[1:]] == ["3", "2", "1"]
    assert "what is built in" in listed[1]


def test_a_profile_is_not_widened_beyond_what_is_built_in(run: Run) -> None:
    said = run("profile", "propose", PROFILE, "--validity-days-max", "9999")
    assert said.code == Exit.REFUSED
    assert "1 to 825" in said.err
    assert "Nothing was changed." in said.err


def test_keys_are_made_and_end_with_their_label(run: Run) -> None:
    made = json.loads(run("keys", "generate", "ec-p256", "--label", "authority next-root", "--json").out)
    assert made["state"] == "pending"
    listed = run("keys", "list").out
    assert any(made["ref"] in line and "pending" in line and "nobody" in line for line in listed.splitlines())
    assert "authority operator-root" in listed
    assert "active since" in run("keys", "activate", made["ref"]).out
    assert "retired since" in run("keys", "retire", made["ref"]).out
    unsure = run("keys", "destroy", made["ref"])
    assert (unsure.code, "--confirm 'authority next-root'" in unsure.err) == (Exit.REFUSED, True)
    assert "destroyed since" in run("keys", "destroy", made["ref"], "--confirm", "authority next-root").out
    assert "sha256:" in run("keys", "show", made["ref"]).out


def test_without_a_server_the_list_is_of_this_machines_vault(run: Run, in_directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chargepki.adapters.keys.process.harden_process", lambda: None)  # it would last for the tests after this
    (in_directory / "data").mkdir()
    said = run("keys", "list", "--json", connected=False)
    assert (said.code, json.loads(said.out)) == (Exit.DONE, [])
    assert "no server is known here" in said.err
