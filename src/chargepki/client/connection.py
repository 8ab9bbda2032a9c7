"""Where the server is and how to prove who we are: from a data directory, or said outright."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from chargepki.errors import Refused

DEFAULT_URL: Final = "https://127.0.0.1:8443"
FILE_OCTETS_MAX: Final = 64 * 1024  # endpoints.json and a token are short; anything longer is another file


@dataclass(frozen=True, slots=True)
class Connection:
    """`ca_file` None: the system's roots. `endpoints` are the further URLs of the platform by name, where known."""

    url: str
    token: str = field(repr=False)
    ca_file: str | None = None
    endpoints: dict[str, str] = field(default_factory=dict)


def find_connection(data: Path, *, url: str = "", token_file: Path | None = None, ca_file: Path | None = None) -> Connection:
    """What is said wins; the rest comes from DIR/endpoints.json, DIR/admin.token and DIR/trust/api-roots.pem. `Refused` without a token."""
    endpoints = _read_endpoints(data / "endpoints.json")
    token_path = token_file or data / "admin.token"
    try:
        token = _read(token_path).strip()
    except OSError as error:
        hint = "start one with chargepki up, or name a token with --token-file FILE"
        raise Refused.because("client.token", f"no token at {token_path}: {error.strerror}", hint=hint) from error
    roots = data / "trust" / "api-roots.pem"
    known_roots = endpoints.get("ca_file") or (str(roots) if roots.exists() else None)
    return Connection(
        url=(url or endpoints.get("api") or DEFAULT_URL).rstrip("/"),
        token=token,
        ca_file=str(ca_file) if ca_file else known_roots,
        endpoints=endpoints,
    )


def _read_endpoints(path: Path) -> dict[str, str]:
    try:
        raw = json.loads(_read(path))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise Refused.because("client.endpoints", f"{path} cannot be read: {error}", hint="chargepki up writes it anew") from error
    if not isinstance(raw, dict):
        raise Refused.because("client.endpoints", f"{path} holds no JSON object", hint="chargepki up writes it anew")
    return {str(name): value for name, value in raw.items() if isinstance(value, str)}


def _read(path: Path) -> str:
    with path.open(encoding="utf-8") as file:
        return file.read(FILE_OCTETS_MAX)
