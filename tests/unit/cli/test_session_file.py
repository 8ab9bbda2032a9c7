"""The command line's sessions are kept per server, for their owner alone, and are used where no token is named."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from chargepki.cli import session_file
from chargepki.cli.desk import Desk
from chargepki.cli.session_file import Kept
from chargepki.errors import Refused

SOON = datetime.now(tz=UTC).replace(microsecond=0) + timedelta(hours=12)
URL = "https://pki.example.org:8443"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path


def desk(data: Path, url: str = URL, token_file: Path | None = None) -> Desk:
    return Desk(data, url, token_file, None, is_json=False, is_debug=False)


def test_a_session_is_kept_for_its_server_alone() -> None:
    kept = Kept("ses_1", "anna", "cpss_secret", SOON)
    session_file.keep(URL, kept)
    assert session_file.lookup(f"{URL}/") == kept
    assert session_file.lookup("https://elsewhere.example.org") is None
    session_file.drop(URL)
    assert session_file.lookup(URL) is None


def test_nobody_else_reads_it() -> None:
    session_file.keep(URL, Kept("ses_1", "anna", "cpss_secret", SOON))
    place = session_file.path()
    assert (place.stat().st_mode & 0o777, place.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    place.chmod(0o640)
    with pytest.raises(Refused, match="others may read"):
        session_file.lookup(URL)


def test_an_expired_session_is_none_and_goes_with_the_next_write() -> None:
    session_file.keep("https://old.example.org", Kept("ses_0", "anna", "cpss_old", datetime.now(tz=UTC) - timedelta(seconds=1)))
    assert session_file.lookup("https://old.example.org") is None
    session_file.keep(URL, Kept("ses_1", "anna", "cpss_secret", SOON))
    assert list(json.loads(session_file.path().read_text())) == [URL]


@pytest.mark.parametrize("content", ["[]", "{}", f'{{"{URL}": 1}}', f'{{"{URL}": {{"secret": 1}}}}'])
def test_a_file_of_another_shape_signs_nobody_in(content: str) -> None:
    session_file.keep(URL, Kept("ses_1", "anna", "cpss_secret", SOON))
    session_file.path().write_text(content)
    assert session_file.lookup(URL) is None


@pytest.mark.parametrize("content", ["", "{", "\0"])
def test_a_damaged_file_is_said_to_be_damaged(content: str) -> None:
    session_file.keep(URL, Kept("ses_1", "anna", "cpss_secret", SOON))
    session_file.path().write_text(content)
    with pytest.raises(Refused, match="cannot be read"):
        session_file.lookup(URL)


def test_the_token_that_was_named_wins_then_the_session_then_the_data_directory(home: Path) -> None:
    (home / "admin.token").write_text("cpat_admin\n")
    (home / "named").write_text("cpat_named\n")
    assert desk(home).connection().token == "cpat_admin"
    session_file.keep(URL, Kept("ses_1", "anna", "cpss_secret", SOON))
    assert desk(home).connection().token == "cpss_secret"
    assert desk(home, token_file=home / "named").connection().token == "cpat_named"
    assert desk(home, url="https://elsewhere.example.org").connection().token == "cpat_admin"
