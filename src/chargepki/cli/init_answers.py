"""What chargepki init wants to know: from a file of answers, every fault at once, or asked at the terminal."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import typer

from chargepki.cli.desk import Desk
from chargepki.errors import Finding, Refused, Severity, refuse_errors

if TYPE_CHECKING:
    from chargepki.core.access.model import Role
    from chargepki.services.first_staff import Recruit

ANSWERS_OCTETS_MAX: Final = 64 * 1024
TEXT_MAX: Final = 253  # a host name; everything else is shorter
HOSTS_MAX: Final = 50
LISTEN: Final = "127.0.0.1"  # nobody is reached from outside unless somebody said so
_KNOWN: Final = frozenset({"organization", "hostnames", "addresses", "listen", "status_url", "log_origin", "vault", "people"})
_VAULTS: Final[Mapping[str, frozenset[str]]] = {
    "file": frozenset({"type", "passphrase_file"}),
    "pkcs11": frozenset({"type", "passphrase_file", "module", "token", "pin_file"}),
}


@dataclass(frozen=True, slots=True)
class Vault:
    """Where the keys lie. Secrets by the names of their files; "" asks at the terminal at each start."""

    type: str = "file"
    passphrase_file: str = ""
    module: str = ""
    token: str = ""
    pin_file: str = ""


@dataclass(frozen=True, slots=True)
class Answers:
    """What the platform will be."""

    organization: str
    hostnames: tuple[str, ...]
    addresses: tuple[str, ...]
    status_url: str
    log_origin: str
    vault: Vault
    staff: "tuple[Recruit, ...]"
    listen: str = LISTEN


def parse_answers(path: Path) -> Answers:
    """`Refused` with every finding."""
    try:
        with path.open("rb") as file:
            octets = file.read(ANSWERS_OCTETS_MAX + 1)
    except OSError as error:
        raise Refused.because("init.answers.missing", f"{path} cannot be read: {error.strerror}", path=str(path)) from error
    return read_answers(octets)


def read_answers(octets: bytes) -> Answers:
    if len(octets) > ANSWERS_OCTETS_MAX:
        raise Refused.because("init.answers.too_long", f"the answers have at most {ANSWERS_OCTETS_MAX} octets")
    try:
        table = tomllib.loads(octets.decode())
    except (ValueError, RecursionError) as error:
        raise Refused.because("init.answers.syntax", f"the answers are no TOML: {error}", hint="https://toml.io") from error
    found: list[Finding] = []
    _find_unknown(table, _KNOWN, "", found)
    vault = _read_vault(table.get("vault", {}), found)
    answers = Answers(
        _text(table, "organization", found),
        _texts(table, "hostnames", found),
        _texts(table, "addresses", found) if "addresses" in table else (),
        _text(table, "status_url", found),
        _text(table, "log_origin", found),
        vault,
        _read_people(table.get("people"), found),
        _text(table, "listen", found) if "listen" in table else LISTEN,
    )
    refuse_errors(found)
    return answers


def ask_answers(desk: Desk) -> Answers:
    """At the terminal, one after the other; an empty user name ends the list of people."""
    from chargepki.services.first_staff import Recruit

    def ask(question: str, default: str = "") -> str:
        return str(typer.prompt(question, default=default, err=True, show_default=bool(default))).strip()

    organization = ask("Organisation, as certificates will name it")
    hostnames = tuple(ask("Public host names, with blanks between them").split())
    listen = ask("Address to listen on (0.0.0.0: every network)", LISTEN)
    status_url = ask("Where certificates say that status is found", f"http://{hostnames[0] if hostnames else 'localhost'}:8080")
    log_origin = ask("Name of the log, for ever", f"{hostnames[0] if hostnames else 'localhost'}/audit")
    passphrase = ask('File with the passphrase of the key vault ("-" to be asked at each start)', "-")
    desk.out.talk("People. Offices: administrator, ceremony-administrator, security-officer, ca-officer, registration-officer,")
    desk.out.talk("revocation-officer, operator, auditor, key-custodian, witness. An empty user name ends the list.")
    staff: list[Recruit] = []
    while name := ask("User name"):
        roles = frozenset(_role(text) for text in ask("Offices, with blanks between them").split())
        staff.append(Recruit(name, roles, ask("Name", name)))
    vault = Vault(passphrase_file="" if passphrase == "-" else str(Path(passphrase).absolute()))  # noqa: S105
    return Answers(organization, hostnames, (), status_url, log_origin, vault, tuple(staff), listen)


def _role(text: str) -> "Role":
    from chargepki.core.access.model import Role

    if text in list(Role):
        return Role(text)
    raise Refused.because("init.role", f"there is no office {text[:40]!r}", path="people.roles", hint=f"one of: {', '.join(Role)}")


def _read_vault(table: Any, found: list[Finding]) -> Vault:
    type = table.get("type", "file") if isinstance(table, dict) else ""
    if type not in _VAULTS:
        found.append(
            _fault("vault.type", "a vault of files or of a PKCS#11 token", "file or pkcs11; others are set up in config.toml by hand")
        )
        return Vault()
    _find_unknown(table, _VAULTS[type], "vault.", found)
    texts = {name: _text(table, name, found, "vault.") for name in sorted(_VAULTS[type] & set(table) - {"type"})}
    if type == "pkcs11":
        found += (_fault(f"vault.{name}", "a token needs it", "") for name in ("module", "token") if name not in texts)
    return Vault(type=type, **texts)


def _read_people(given: Any, found: list[Finding]) -> "tuple[Recruit, ...]":
    from chargepki.services.first_staff import STAFF_MAX, Recruit

    if not isinstance(given, list) or not 0 < len(given) <= STAFF_MAX:
        found.append(_fault("people", f"1 to {STAFF_MAX} people", '[[people]] username = "adam", roles = ["administrator"]'))
        return ()
    staff = []
    for number, row in enumerate(given, 1):
        above = f"people.{number}."
        if not isinstance(row, dict):
            found.append(_fault(f"people.{number}", "a table", ""))
            continue
        _find_unknown(row, frozenset({"username", "name", "email", "roles"}), above, found)
        roles = set()
        for text in _texts(row, "roles", found, above):
            try:
                roles.add(_role(text))
            except Refused as refusal:
                found += refusal.findings
        name = _text(row, "name", found, above) if "name" in row else ""
        email = _text(row, "email", found, above) if "email" in row else ""
        staff.append(Recruit(_text(row, "username", found, above), frozenset(roles), name, email))
    return tuple(staff)


def _text(table: Mapping[str, Any], key: str, found: list[Finding], above: str = "") -> str:
    given = table.get(key)
    if isinstance(given, str) and 0 < len(given) <= TEXT_MAX and given.isprintable():
        return given
    found.append(_fault(above + key, f"a text of 1 to {TEXT_MAX} characters in one line", ""))
    return ""


def _texts(table: Mapping[str, Any], key: str, found: list[Finding], above: str = "") -> tuple[str, ...]:
    given = table.get(key)
    if isinstance(given, list) and 0 < len(given) <= HOSTS_MAX and all(isinstance(one, str) and one.isprintable() for one in given):
        return tuple(one[:TEXT_MAX] for one in given)
    found.append(_fault(above + key, f"a list of 1 to {HOSTS_MAX} texts", ""))
    return ()


def _find_unknown(table: Mapping[str, Any], known: frozenset[str], above: str, found: list[Finding]) -> None:
    hint = f"known: {', '.join(sorted(known))}"
    found += (_fault(above + key[:40], "there is no such answer", hint) for key in sorted(set(table) - known))


def _fault(path: str, message: str, hint: str) -> Finding:
    return Finding("init.answers.value", f"{path}: {message}", Severity.ERROR, path, hint=hint)
