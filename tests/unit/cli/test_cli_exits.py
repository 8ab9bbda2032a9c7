"""Exit codes and what goes where, without and with a server."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from chargepki import __version__
from chargepki.cli.desk import Desk
from chargepki.cli.exits import Exit, exit_code_of
from chargepki.cli.main import app, main
from chargepki.cli.output import Output, clean, serial_groups
from chargepki.client import Unreachable
from chargepki.errors import Broken, Conflict, Finding, NotAuthenticated, NotAuthorised, Refused, StoreUnavailable
from tests.unit.cli.cli_runs import Run, Served


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Refused(Finding("a.b", "no")), Exit.REFUSED),
        (Conflict(Finding("a.b", "no")), Exit.REFUSED),
        (NotAuthorised(Finding("a.b", "no")), Exit.NOT_AUTHORISED),
        (NotAuthenticated(Finding("a.b", "no")), Exit.NOT_AUTHORISED),
        (Unreachable("gone"), Exit.UNREACHABLE),
        (StoreUnavailable("full"), Exit.UNREACHABLE),
        (Broken("odd"), Exit.BUG),
    ],
)
def test_each_family_of_errors_has_its_code(error: Exception, code: Exit):
    assert exit_code_of(error) == code  # type: ignore[arg-type]


def test_no_argument_shows_examples_first(capsys: pytest.CaptureFixture[str]):
    assert main([]) == Exit.DONE
    assert capsys.readouterr().out.startswith("Start here:\n  chargepki up")


def test_the_version_is_one_line(capsys: pytest.CaptureFixture[str]):
    assert main(["--version"]) == Exit.DONE
    assert capsys.readouterr().out == f"chargepki {__version__}\n"


@pytest.mark.parametrize(
    "arguments", [["nonsense"], ["cert", "nonsense"], ["cert", "list", "--nonsense"], ["cert", "show"], ["cert", "list", "--limit", "0"]]
)
def test_wrong_usage_is_2_on_stderr(arguments: list[str], capsys: pytest.CaptureFixture[str]):
    assert main(arguments) == Exit.USAGE
    said = capsys.readouterr()
    assert said.out == ""
    assert "Error" in said.err


def test_no_server_is_5_and_says_how_to_start_one(run: Run, served: Served, capsys: pytest.CaptureFixture[str]):
    assert main(["cert", "list", "--url", "http://127.0.0.1:9", "--token-file", str(served.token_file)]) == Exit.UNREACHABLE
    assert "chargepki up" in capsys.readouterr().err


def test_no_token_is_a_refusal_that_says_where_it_looked(in_directory: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["cert", "list"]) == Exit.REFUSED
    assert "data/admin.token" in capsys.readouterr().err


def test_a_wrong_token_is_4(run: Run, served: Served, in_directory: Path, capsys: pytest.CaptureFixture[str]):
    (in_directory / "token").write_text("cpat_wrong")
    assert main(["cert", "list", "--url", served.url, "--token-file", "token"]) == Exit.NOT_AUTHORISED
    assert "does not know this token" in capsys.readouterr().err


def test_a_token_without_the_scope_is_4(run: Run, served: Served, in_directory: Path, capsys: pytest.CaptureFixture[str]):
    (in_directory / "token").write_text(run("token", "create", "narrow", "--scope", "certificate:object:read").out)
    assert main(["station", "list", "--url", served.url, "--token-file", "token"]) == Exit.NOT_AUTHORISED
    assert "inventory:station:read" in capsys.readouterr().err


def test_a_data_directory_says_where_the_server_is(served: Served, in_directory: Path, run: Run, capsys: pytest.CaptureFixture[str]):
    data = in_directory / "platform"
    data.mkdir()
    (data / "endpoints.json").write_text(json.dumps({"api": served.url}))
    (data / "admin.token").write_text(served.token_file.read_text())
    assert main(["ca", "list", "--data", str(data)]) == Exit.DONE
    assert "operator-root" in capsys.readouterr().out


def test_a_refusal_in_json_is_one_object_on_stdout(in_directory: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["cert", "list", "--json"]) == Exit.REFUSED
    said = capsys.readouterr()
    assert json.loads(said.out)["findings"][0]["code"] == "client.token"
    assert said.err == ""


def test_a_bug_is_70_and_shows_no_traceback(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    def fall(*_: object, **__: object) -> None:
        raise RuntimeError("odd")

    monkeypatch.setattr("chargepki.cli.main.app", fall)
    assert main(["cert", "list"]) == Exit.BUG
    said = capsys.readouterr()
    assert "--debug" in said.err
    assert "Traceback" not in said.err
    with pytest.raises(RuntimeError):
        main(["cert", "list", "--debug"])


def test_control_characters_never_reach_the_terminal(capsys: pytest.CaptureFixture[str]):
    Output(is_json=False).facts(("Subject", "a\x1b[31mred\x07"), ("Markup", "[bold]x[/bold]"))
    assert capsys.readouterr().out == "Subject  a\\x1b[31mred\\x07\nMarkup   [bold]x[/bold]\n"
    assert clean("é\u202e") == "é\\x202e"


def test_serial_numbers_are_grouped_for_people():
    assert serial_groups("3f9c0041") == "3f:9c:00:41"
    assert serial_groups("f9c001122") == "0f:9c:…:22"
    assert serial_groups("3f9c001122", whole=True) == "3f:9c:00:11:22"


def test_help_loads_nothing_heavy():
    heavy = ("fastapi", "sqlalchemy", "httpx", "rich", "cryptography", "pydantic")
    script = f"import sys; from chargepki.cli.main import main; main(['--help']); print([m for m in {heavy} if m in sys.modules])"
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert said.stdout.splitlines()[-1] == "[]"


def test_every_command_takes_json_and_data():
    nouns = {group.typer_instance.info.name: group.typer_instance for group in app.registered_groups if group.typer_instance}
    assert {"ca", "cert", "csr", "profile", "crl", "station", "token", "log", "config"} <= set(nouns)
    for name, noun in nouns.items():
        for command in noun.registered_commands:
            # They make a platform, or have a directory, of their own.
            if name in ("bench", "signer") or (name, command.name) == ("witness", "serve"):
                assert "json" in command.callback.__annotations__  # type: ignore[union-attr]
                continue
            assert {"json_", "data_"} <= set(command.callback.__annotations__)  # type: ignore[union-attr]


def test_a_printed_command_names_the_platform_it_is_for(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("CHARGEPKI_DATA", raising=False)
    place = {"url": "", "token_file": None, "ca_file": None, "is_json": False, "is_debug": False}
    Desk(data=Path("data"), **place).out.facts(("Undo", "chargepki cert list"))
    Desk(data=Path("my data"), **place).out.facts(("Undo", "chargepki cert list"))
    assert capsys.readouterr().out == "Undo     chargepki cert list\nUndo     chargepki cert list --data 'my data'\n"
