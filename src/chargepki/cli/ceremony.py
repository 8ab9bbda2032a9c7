"""chargepki ceremony: key ceremonies by a script that was reviewed. Works without a server; the server has to be stopped meanwhile."""

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from chargepki.cli.desk import Desk, command, noun
from chargepki.cli.exits import Exit
from chargepki.errors import Finding, Refused, StoreUnavailable

if TYPE_CHECKING:
    from chargepki.cli.output import Output
    from chargepki.config import Config
    from chargepki.core.ceremony.script import Script
    from chargepki.core.ceremony.transcript import Transcript
    from chargepki.core.records import Authority, Certificate
    from chargepki.ports import Store
    from chargepki.services.ceremony_tools import Reply

PAPERS: Final = "ceremonies"  # below the data directory
SHARE_SECONDS_MAX: Final = 1800  # a custodian writes 33 words in some minutes
CLEAR: Final = "\x1b[2J\x1b[3J\x1b[H"  # the screen and what was scrolled off it

app = noun("ceremony", "Key ceremonies: rehearse, run, verify, show.")

ScriptArgument = Annotated[Path, typer.Argument(metavar="SCRIPT", help="the reviewed script: root.toml")]
TranscriptArgument = Annotated[Path, typer.Argument(metavar="TRANSCRIPT", help="DIR/ceremonies/NAME/transcript.json")]


@command(app, "rehearse", undone="Nothing was made.")
async def rehearse_ceremony(desk: Desk, script: ScriptArgument) -> None:
    """Act the script out with stand-ins, and print it with every value that is known beforehand."""
    from chargepki.cli.rehearsal import NOT_ACTED_OUT, rehearse
    from chargepki.config import load_config
    from chargepki.core.ceremony.printing import print_script
    from chargepki.core.ceremony.steps import plan_steps
    from chargepki.services.ceremonies import Ending

    parsed, config = _read_script(script)[0], load_config(desk.data)
    steps = plan_steps(parsed)
    expected: tuple[tuple[str, str], ...] = ()
    if parsed.kind in NOT_ACTED_OUT:
        desk.out.talk(f"A ceremony of kind {parsed.kind} works on what exists once, so it is printed and not acted out.")
    else:
        done = await rehearse(parsed, script.parent, config, await _copy_authorities(config))
        expected = done.expected
        if done.ending is not Ending.DONE:
            desk.out.talk("\n".join(done.said))
            message = "with the people that the script names it would not be carried out"
            raise Refused.because("ceremony.rehearsal", message, path="people", hint="what was said is above: who is missing?")
    printed = print_script(parsed, steps, expected)
    if desk.is_json:
        desk.out.json({"script_sha256": parsed.sha256.hex(), "expected": dict(expected), "printed": printed})
        return
    desk.out.line(printed)
    desk.out.talk("The rehearsal went through; nothing of it was kept." if expected else "Nothing was acted out.")


@command(app, "run")
async def run_ceremony(desk: Desk, script: ScriptArgument) -> None:
    """Hold the ceremony, or go on where it stopped. Exits 3 when somebody is missing or time has to pass."""
    from chargepki.adapters.ceremony_files import CeremonyDirectory
    from chargepki.adapters.keys.process import harden_process
    from chargepki.adapters.keys.shares import Slip39Shares
    from chargepki.adapters.openssl import OpenSsl
    from chargepki.cli.platform_room import open_platform
    from chargepki.config import load_config
    from chargepki.services.ceremonies import Ceremony, Ending, Room
    from chargepki.services.ceremony_people import TerminalReception

    harden_process()
    parsed, octets = _read_script(script)
    papers = CeremonyDirectory(desk.data / PAPERS / parsed.name, script.parent)
    async with open_platform(load_config(desk.data)) as platform:
        await papers.keep_script(octets)
        reception = TerminalReception(platform.services.sign_in, platform.services.actors, platform.ports.clock)
        room = Room(Terminal(desk.out), papers, reception, OpenSsl(), platform.safe, Slip39Shares())
        ceremony = Ceremony(platform.ceremonies, room, parsed)
        ending = await ceremony.run()
    _tell_ending(desk, parsed, ending.value, ceremony.transcript.head)
    if ending is not Ending.DONE:
        raise typer.Exit(Exit.PENDING if ending is Ending.PENDING else Exit.REFUSED)


@command(app, "verify")
async def verify_transcript(
    desk: Desk,
    transcript: TranscriptArgument,
    script: Annotated[Path | None, typer.Option("--script", metavar="SCRIPT", help="the reviewed script, to compare with")] = None,
) -> None:
    """Check the chain of a transcript, its order, and what the log of --data says of the same ceremony."""
    from chargepki.core.ceremony.steps import plan_steps
    from chargepki.core.ceremony.transcript import check_course, next_step

    found = _read_transcript(transcript)
    beside = transcript.parent / "script.toml"
    source = script or (beside if beside.exists() else None)
    is_whole = None
    if source is not None:
        parsed = _read_script(source)[0]
        _check_same_script(found, parsed)
        steps = plan_steps(parsed)
        check_course(found, steps)
        is_whole = next_step(found, steps) is None and not found.is_ended
    compared = await _compare_with_log(desk.data, found)
    if desk.is_json:
        desk.out.json({"entries": len(found.entries), "head": found.head, "is_whole": is_whole, "compared_with_log": compared})
        return
    desk.out.facts(
        ("Intact", f"{len(found.entries)} entries, each bound to the one before"),
        ("Order", "not checked: name the script with --script" if source is None else f"as the script {source} has it"),
        ("State", "" if is_whole is None else "closed" if is_whole else "not closed: steps are missing"),
        ("Log", f"{compared} things are in the log as the transcript says" if compared else f"not compared: no platform in {desk.data}"),
        ("Hash", found.head),
    )


@command(app, "show")
async def show_transcript(desk: Desk, transcript: TranscriptArgument) -> None:
    """Print a transcript for the binder."""
    from chargepki.core.ceremony.printing import print_transcript

    found = _read_transcript(transcript)
    if desk.is_json:
        facts = [{"n": e.number, "what": e.what.value, "step": e.step, "facts": dict(e.facts), "sha256": e.sha256} for e in found.entries]
        desk.out.json({"head": found.head, "entries": facts})
        return
    desk.out.line(print_transcript(found, is_rehearsal=found.fact("rehearsal") == "yes").rstrip("\n"))


class Terminal:
    """Implements `services.ceremony_tools.Console` on the terminal. Secrets are typed unseen; from a pipe, one line each."""

    def __init__(self, out: "Output") -> None:
        self._out = out

    def show(self, *lines: str) -> None:
        for line in lines:
            self._out.talk(line)

    async def ask_person(self, who: str, named: Sequence[str]) -> "Reply":
        from chargepki.cli.sign_in import ask_code, ask_secret
        from chargepki.services.ceremony_tools import Credentials, Deviation

        self._out.talk(f"\n{who}: {', '.join(named) or 'nobody is left'}")
        self._out.talk('User name ("deviation" for what the script does not say, "stop" to go on another time):')
        name = await asyncio.to_thread(_read_line)
        if name in ("", "stop"):
            return None
        if name == "deviation":
            self._out.talk("What happens, in a sentence:")
            return Deviation(await asyncio.to_thread(_read_line))
        password = await asyncio.to_thread(ask_secret, "Password: ")
        code = await asyncio.to_thread(ask_code, "Code: ")
        self._out.talk('"yes" to confirm, "no" to object:')
        answer = await asyncio.to_thread(_read_line)
        if answer not in ("yes", "no"):
            return None
        return Credentials(name, password, code, is_for=answer == "yes")

    async def hand_over_share(self, holder: str, mnemonic: str) -> None:
        """On a terminal alone: a share in a pipe or a file is a share that is kept."""
        if not sys.stderr.isatty():
            raise Refused.because("ceremony.share.no_terminal", "a share is shown at a terminal, and this is none", hint="run it in one")
        words = mnemonic.split()
        self._out.talk(f"\nFor {holder} alone. Everybody else looks away. Press Enter when you are ready.")
        await asyncio.to_thread(_read_line)
        for at in range(0, len(words), 4):
            self._out.talk("  " + "  ".join(f"{at + n + 1:>2} {word:<10}" for n, word in enumerate(words[at : at + 4])))
        self._out.talk("\nWrite it down by hand. Press Enter when you have it; then type it from your paper.")
        await asyncio.to_thread(_read_line)
        sys.stderr.write(CLEAR)
        sys.stderr.flush()

    async def ask_share(self, number: int) -> str:
        from chargepki.cli.sign_in import ask_secret

        prompt = f"Share {number} (nothing: no more are here): " if number else "Your share, from your paper: "
        return await asyncio.to_thread(ask_secret, prompt)


def _read_line() -> str:
    line = sys.stdin.readline(4096)
    return line.strip()


def _read_script(path: Path) -> "tuple[Script, bytes]":
    from chargepki.core.ceremony.script import SCRIPT_OCTETS_MAX, parse_script

    octets = _read(path, SCRIPT_OCTETS_MAX)
    return parse_script(octets), octets


def _read_transcript(path: Path) -> "Transcript":
    from chargepki.core.ceremony.transcript import TRANSCRIPT_OCTETS_MAX, parse_transcript

    return parse_transcript(_read(path, TRANSCRIPT_OCTETS_MAX))


def _read(path: Path, octets_max: int) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(octets_max + 1)
    except OSError as error:
        raise Refused.because("ceremony.file.missing", f"{path} cannot be read: {error.strerror}", path=str(path)) from error


def _check_same_script(found: "Transcript", script: "Script") -> None:
    if found.fact("script_sha256") != script.sha256.hex():
        raise Refused.because("ceremony.script.changed", "the transcript is of another script", path="script", hint="compare their hashes")


async def _copy_authorities(config: "Config") -> "list[tuple[Authority, Certificate]]":
    """The authorities of the platform, for their stand-ins; none where there is no platform yet."""
    if not _has_store(config):
        return []
    store = await _open_store(config)
    try:
        return [(authority, await store.get_certificate(authority.certificate)) for authority in await store.list_authorities()]
    finally:
        await store.close()  # type: ignore[attr-defined]


def _has_store(config: "Config") -> bool:
    """A database in a file is made by opening it; somebody else's server is there or says that it is not."""
    return not config.is_single_node or Path(config.store_url().removeprefix("sqlite:///")).exists()


async def _open_store(config: "Config") -> "Store":
    from chargepki.adapters.store import open_store

    return await asyncio.to_thread(open_store, config.store_url())


async def _compare_with_log(data: Path, found: "Transcript") -> int:
    """How many confirmations and certificates the platform's log has as the transcript says; 0 where there is no platform. `Refused` for
    the first that it has otherwise."""
    from chargepki.config import load_config

    config = load_config(data)
    if not _has_store(config):
        return 0
    try:
        store = await _open_store(config)
    except StoreUnavailable:
        return 0
    try:
        return await count_logged(store, found)
    finally:
        await store.close()  # type: ignore[attr-defined]


async def count_logged(store: "Store", found: "Transcript") -> int:
    """How much of the transcript the log has too; `Refused` names the first entry that it contradicts."""
    import json

    from chargepki.core.records import AuditId
    from chargepki.errors import NotFound

    count = 0
    for entry in found.entries:
        for id in (entry.facts.get("log_entry", "") + " " + entry.facts.get("log_entries", "")).split():
            try:
                body = json.loads((await store.get_audit(AuditId(id))).body)
            except NotFound:
                body = {}
            if body.get("detail", {}).get("transcript") != entry.previous:
                raise _differs(entry.number, f"the log has no {id} that confirms what was before it")
            count += 1
        if digest := entry.facts.get("certificate sha256"):
            count += await _find_certificate(store, entry.number, digest)
    return count


async def _find_certificate(store: "Store", number: int, digest: str) -> int:
    """The log has the hash of every certificate that was issued, in the entry of its authority or its own."""
    import json

    from chargepki.core.access.permissions import Permission

    cursor = ""
    while True:
        page = await store.list_audit(action=Permission.CA_AUTHORITY_CREATE, outcome="done", cursor=cursor, limit=500)
        if any(json.loads(entry.body).get("after_sha256") == digest for entry in page.items):
            return 1
        if not (cursor := page.next):
            raise _differs(number, f"the log knows no certificate with the hash {digest}")


def _differs(number: int, message: str) -> Refused:
    hint = "one of the two was changed: chargepki log verify says whether it is the log"
    return Refused(Finding("ceremony.log.differs", f"entry {number}: {message}", path=f"entries.{number}", hint=hint))


def _tell_ending(desk: Desk, script: "Script", ending: str, head: str) -> None:
    papers = desk.data / PAPERS / script.name
    if desk.is_json:
        desk.out.json({"ending": ending, "transcript_sha256": head, "papers": str(papers)})
        return
    next_one = {"pending": "the same command goes on where it stopped", "stopped": "another script, under another name"}
    desk.out.facts(
        ("Ceremony", f"{script.name}: {ending}"),
        ("Papers", f"{papers} (transcript.json, transcript.txt, what was made)"),
        ("Hash", head),
        ("Next", next_one.get(ending, "print transcript.txt and have it signed")),
    )
