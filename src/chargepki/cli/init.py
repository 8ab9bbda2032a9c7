"""chargepki init --production: a production platform before its first start; and account redeem, which needs no server."""

import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from chargepki.cli.desk import Desk, command
from chargepki.cli.init_answers import Answers, ask_answers, parse_answers
from chargepki.cli.init_papers import config_text, root_script, sub_script
from chargepki.cli.sign_in import account
from chargepki.errors import Conflict, NeedsStepUp, Refused, refuse_errors

if TYPE_CHECKING:
    from chargepki.cli.platform_room import PlatformRoom
    from chargepki.core.records import Person
    from chargepki.services.first_staff import Recruit

INVITATIONS: Final = "invitations"
PAPERS: Final = "ceremonies"


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
    given = parse_answers(answers) if answers else await asyncio.to_thread(ask_answers, desk)
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
        redeem = partial(
            services.sign_in.redeem_invitation, stranger, invitation=invitation, password=password, agent="chargepki account redeem"
        )
        has_factor = False
        try:
            new = await redeem()
        except NeedsStepUp:  # somebody who works here already, and forgot a password
            has_factor, new = True, await redeem(code=await asyncio.to_thread(ask_code))
        desk.undone = "The password is set; ask for another invitation to set the rest."

        async def myself() -> Caller:
            return Caller(await services.sessions.authenticate(new.secret), door="cli")

        async def enrol() -> None:
            offer = await services.sign_in.offer_totp(await myself(), secret=new.secret)
            show_qr(offer.uri)
            desk.out.talk("Scan this with an authenticator app, or type the secret:")
            desk.out.talk(offer.secret)  # on a line of its own: half a secret is none
            sys.stderr.flush()
            code = await asyncio.to_thread(ask_code, "First code of the app: ")
            await services.sign_in.enrol_totp(await myself(), secret=new.secret, password=password, handle=offer.handle, code=code)

        if not has_factor:
            await enrol()
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
