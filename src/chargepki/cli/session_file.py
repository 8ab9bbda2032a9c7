"""Where the command line keeps its sessions: $XDG_CONFIG_HOME/chargepki/sessions.json, for the owner alone, one session per server."""

import json
import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from chargepki.errors import Refused

FILE_OCTETS_MAX: Final = 256 * 1024
SERVERS_MAX: Final = 100
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True, slots=True)
class Kept:
    """A session of this user at one server."""

    session: str
    username: str
    secret: str
    expires_at: datetime


def lookup(url: str) -> Kept | None:
    """The live session at this server. `Refused` when others may read the file: whoever could is signed in as this user."""
    raw = _read().get(url.rstrip("/"))
    if not isinstance(raw, dict):
        return None
    try:
        kept = Kept(raw["session"], raw["username"], raw["secret"], datetime.fromisoformat(raw["expires_at"]))
        return kept if kept.expires_at > datetime.now(tz=UTC) else None
    except (KeyError, TypeError, ValueError):
        return None


def keep(url: str, kept: Kept) -> None:
    """Writes it in one step; what has expired goes."""
    now = datetime.now(tz=UTC).isoformat()
    alive = {server: raw for server, raw in _read().items() if isinstance(raw, dict) and str(raw.get("expires_at", "")) > now}
    entry = {"session": kept.session, "username": kept.username, "secret": kept.secret, "expires_at": kept.expires_at.isoformat()}
    _write({**dict(list(alive.items())[-SERVERS_MAX:]), url.rstrip("/"): entry})


def drop(url: str) -> None:
    known = _read()
    if known.pop(url.rstrip("/"), None) is not None:
        _write(known)


def path() -> Path:
    home = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(home) / "chargepki" / "sessions.json"


def _read() -> dict[str, object]:
    place = path()
    try:
        with place.open("rb") as file:
            if os.fstat(file.fileno()).st_mode & _OTHERS:
                raise Refused.because("cli.sessions.mode", f"others may read {place}", hint=f"chmod 600 {place}, and sign in again")
            raw = json.loads(file.read(FILE_OCTETS_MAX))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise Refused.because("cli.sessions.unreadable", f"{place} cannot be read: {error}", hint="remove it and sign in again") from error
    return raw if isinstance(raw, dict) else {}


def _write(content: dict[str, object]) -> None:
    place = path()
    draft = place.with_name(f".{place.name}.{os.getpid()}")
    try:
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        place.parent.chmod(0o700)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "w") as file:
            json.dump(content, file, indent=1)
        draft.replace(place)
    except OSError as error:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
        raise Refused.because(
            "cli.sessions.unwritable", f"{place} cannot be written: {error.strerror}", hint="is the disk full?"
        ) from error
