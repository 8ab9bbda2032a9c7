"""What chargepki init writes down for people to read: the configuration, and the scripts of the first two ceremonies."""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from chargepki.cli.init_answers import Answers

if TYPE_CHECKING:
    from chargepki.services.first_staff import Recruit


def config_text(answers: Answers) -> str:
    """The configuration file. JSON's strings are TOML's, as long as nothing in them is a control character."""
    vault = answers.vault
    lines = [
        "[pki]",
        "development = false",
        f"organization = {_quote(answers.organization)}",
        "",
        "[server]",
        f"host = {_quote(answers.listen)}",
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


def _quote(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
