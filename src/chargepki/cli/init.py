"""chargepki init --production: a production platform before its first start; and account redeem, which needs no server."""

import json
import os
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from chargepki.cli.desk import Desk, command
from chargepki.cli.sign_in import account
from chargepki.errors import Conflict, Finding, Refused, Severity, refuse_errors

if TYPE_CHECKING:
    from chargepki.cli.platform_room import PlatformRoom
    from chargepki.core.access.model import Role
    from chargepki.core.records import Person
    from chargepki.services.first_staff import Recruit

ANSWERS_OCTETS_MAX: Final = 64 * 1024
TEXT_MAX: Final = 253  # a host name; everything else is shorter
HOSTS_MAX: Final = 50
INVITATIONS: Final = "invitations"
PAPERS: Final = "ceremonies"
_KNOWN: Final = frozenset({"organization", "hostnames", "addresses", "status_url", "log_origin", "vault", "people"})
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


def register(app: typer.Typer) -> None:
    """The verb without a noun."""
    command(app, "init", undone="No platform was made.")(init)


async def init(
    desk: Desk,
    production: Annotated[
        bool, typer.Option("--production", help="the only kind that needs it: chargepki up makes a development platform")
    ] = False,
    answers: Annotated[Path | None, typer.Option("--answers", metavar="FILE", help="take the answers from a TOML file")] = None,
) -> None:
    """Make a production platform: configuration, keys of the log, people with their offices. No authority: ceremonies make those."""
    import asyncio

    from chargepki.adapters.keys.process import harden_process
    from chargepki.cli.platform_room import open_platform
    from chargepki.config import load_config

    if not production:
        hint = "chargepki up makes a development platform by itself; chargepki init --production makes a real one"
        raise Refused.because("init.kind", "say which platform", path="--production", hint=hint)
    harden_process()
    _check_new(desk.data)
    given = parse_answers(answers) if answers else await asyncio.to_thread(_ask_answers, desk)
    _check_staff(desk, given.staff)
    _make_directory(desk.data)
    _write_new(desk.data / "config.toml", config_text(given))
    async with open_platform(load_config(desk.data)) as platform:
        invited = await _register(platform, given.staff)
    _write_invitations(desk.data / INVITATIONS, invited)
    scripts = _write_scripts(desk.data / PAPERS, given)
    _tell(desk, given, scripts)


@command(account, "redeem", undone="The invitation stands.")
async def redeem(desk: Desk) -> None:
    """Take up an invitation on this machine, without a server: password, second factor, and the offices that are offered."""
    import asyncio

    from chargepki.adapters.keys.process import harden_process
    from chargepki.cli.platform_room import open_platform
    from chargepki.cli.sign_in import ask_code, ask_new_password, ask_secret, show_qr
    from chargepki.config import load_config
    from chargepki.services.audit import Caller
    from chargepki.services.grants import ME
    from chargepki.services.sessions import signing_in

    harden_process()
    async with open_platform(load_config(desk.data)) as platform:
        services, stranger = platform.services, Caller(signing_in(None), door="cli")
        invitation = await asyncio.to_thread(ask_secret, "Invitation: ")
        password = await asyncio.to_thread(ask_new_password)
        new = await services.sign_in.redeem_invitation(stranger, invitation=invitation, password=password, agent="chargepki account redeem")
        desk.undone = "The password is set; ask for another invitation to set the rest."

        async def myself() -> Caller:
            return Caller(await services.sessions.authenticate(new.secret), door="cli")

        offer = await services.sign_in.offer_totp(await myself(), secret=new.secret)
        show_qr(offer.uri)
        desk.out.talk(f"Scan this with an authenticator app, or type the secret: {offer.secret}")
        sys.stderr.flush()
        code = await asyncio.to_thread(ask_code, "First code of the app: ")
        await services.sign_in.enrol_totp(await myself(), secret=new.secret, password=password, handle=offer.handle, code=code)
        offered = await services.grants.list_grants(await myself(), holder=ME, state="offered")
        accepted = [await services.grants.accept_grant(await myself(), held.record.id) for held in offered.items]
        await services.sessions.end(await myself(), new.session.id)
    roles = sorted(held.record.role.value for held in accepted)
    if desk.is_json:
        desk.out.json({"person": new.person.id, "username": new.person.username, "accepted": roles})
        return
    desk.out.facts(
        ("Set up", f"{new.person.username}: password and second factor"),
        ("Accepted", ", ".join(roles) or "nothing was offered"),
        ("Undo", "chargepki grant end GRANT gives an office up"),
    )


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
    )
    refuse_errors(found)
    return answers


def config_text(answers: Answers) -> str:
    """The configuration file. JSON's strings are TOML's, as long as nothing in them is a control character."""
    vault = answers.vault
    lines = [
        "[pki]",
        "development = false",
        f"organization = {_quote(answers.organization)}",
        "",
        "[server]",
        f"hostnames = [{', '.join(map(_quote, answers.hostnames))}]",
        f"addresses = [{', '.join(map(_quote, answers.addresses))}]",
        f"public_status_url = {_quote(answers.status_url)}",
        "",
        "[log]",
        f"origin = {_quote(answers.log_origin)}",
        "",
        "[keys]",
        f"type = {_quote(vault.type)}",
    ]
    passphrase = [f"passphrase = {{ file = {_quote(vault.passphrase_file)} }}"] if vault.passphrase_file else []
    if vault.type == "file":
        return "\n".join([*lines, *passphrase]) + "\n"
    lines += [f"module = {_quote(vault.module)}", f"token = {_quote(vault.token)}"]
    lines += [f"pin = {{ file = {_quote(vault.pin_file)} }}"] if vault.pin_file else []
    return "\n".join([*lines, *(["", "[keys.exportable]", *passphrase] if passphrase else [])]) + "\n"


def root_script(answers: Answers) -> str:
    """The ceremony of the first root: everybody who has an office takes the chair of it."""
    people = _chairs(
        answers.staff,
        {
            "proposer": "administrator",
            "administrator": "ceremony-administrator",
            "security-officer": "security-officer",
            "custodian": "key-custodian",
            "witness": "witness",
        },
    )
    return _script("root", "operator-root", "root/operator", "", answers.organization, "Operator Root CA", people)


def sub_script(answers: Answers) -> str:
    people = _chairs(answers.staff, {"proposer": "administrator", "ca-officer": "ca-officer"})
    return _script("sub", "operator-sub", "sub/operator", "operator-root", answers.organization, "Operator Sub CA", people)


def _script(kind: str, id: str, profile: str, parent: str, organization: str, name: str, people: str) -> str:
    parent_line = f"parent = {_quote(parent)}\n" if parent else ""
    crl = "crl_days = 180\n" if kind == "root" else ""
    return (
        f"# Review every line: this file is all that happens.\n"
        f'name = "{id}"\nkind = "{kind}"\ntitle = {_quote(f"{name} of {organization}"[:200])}\n{crl}\n[people]\n{people}\n'
        f'[authority]\nid = "{id}"\nprofile = "{profile}"\n{parent_line}'
        f"organization = {_quote(organization)}\ncommon_name = {_quote(f'{organization} {name}'[:64])}\n"
        f'key = "{"ec-p384" if kind == "root" else "ec-p256"}"\n'
    )


def _chairs(staff: "Sequence[Recruit]", offices: Mapping[str, str]) -> str:
    lines = []
    for chair, office in offices.items():
        names = [recruit.username for recruit in staff if office in recruit.roles]
        lines.append(f"{chair} = [{', '.join(map(_quote, names))}]\n")
    return "".join(lines)


def _check_new(data: Path) -> None:
    if data.exists() and any(data.iterdir()):
        hint = "name another directory with --data, or take this one away first"
        raise Conflict.because("init.exists", f"{data} is not empty", path=str(data), hint=hint)


def _check_staff(desk: Desk, staff: "Sequence[Recruit]") -> None:
    """Before anything is made: every fault of the staff at once."""
    from chargepki.core.access.policy import PRODUCTION
    from chargepki.services.first_staff import find_staff_faults

    found = find_staff_faults(staff, PRODUCTION)
    refuse_errors(found)
    for finding in found:
        desk.out.warn(finding.message)


async def _register(platform: "PlatformRoom", staff: "Sequence[Recruit]") -> "tuple[tuple[Person, str], ...]":
    from chargepki.services.first_staff import FirstStaff

    return await FirstStaff(platform.ports, platform.services.audit).register(staff)


def _make_directory(data: Path) -> None:
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    data.chmod(0o700)


def _write_new(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(descriptor)


def _write_invitations(directory: Path, invited: "Sequence[tuple[Person, str]]") -> None:
    directory.mkdir(mode=0o700)
    for person, secret in invited:
        _write_new(directory / person.username, secret + "\n")


def _write_scripts(directory: Path, answers: Answers) -> tuple[Path, Path]:
    directory.mkdir(mode=0o700, exist_ok=True)
    root, sub = directory / "root.toml", directory / "sub.toml"
    _write_new(root, root_script(answers))
    _write_new(sub, sub_script(answers))
    return root, sub


def _tell(desk: Desk, answers: Answers, scripts: tuple[Path, Path]) -> None:
    root, sub = scripts
    invitations = desk.data / INVITATIONS
    if desk.is_json:
        people = [recruit.username for recruit in answers.staff]
        desk.out.json({"data": str(desk.data), "invitations": str(invitations), "people": people, "scripts": [str(root), str(sub)]})
        return
    desk.out.facts(
        ("Made", f"a production platform in {desk.data}: configuration, vault, log, {len(answers.staff)} people"),
        ("Hand over", f"{invitations}/NAME to each of them, in person, and delete the files"),
        ("Then", "chargepki account redeem"),
        ("", "each of them, at this machine: password, second factor, offices"),
        ("Review", f"{root} and {sub}: together, line by line"),
        ("Rehearse", f"chargepki ceremony rehearse {root}"),
        ("Hold", f"chargepki ceremony run {root}"),
        ("", f"then chargepki ceremony run {sub} --data {desk.data}"),
        ("Start", "chargepki up"),
        ("Undo", f"take {desk.data} away: nobody relies on it yet"),
    )


# ----------------------------------------------------------------------------------------------------------------- answers


def _ask_answers(desk: Desk) -> Answers:
    """At the terminal, one after the other; an empty user name ends the list of people."""
    from chargepki.services.first_staff import Recruit

    def ask(question: str, default: str = "") -> str:
        return str(typer.prompt(question, default=default, err=True, show_default=bool(default))).strip()

    organization = ask("Organisation, as certificates will name it")
    hostnames = tuple(ask("Public host names, with blanks between them").split())
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
    return Answers(organization, hostnames, (), status_url, log_origin, vault, tuple(staff))


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


def _quote(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
