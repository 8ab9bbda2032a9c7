"""chargepki signer: the process that holds the keys, and its list."""

import asyncio
import gc
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chargepki.cli.desk import Desk, command, noun
from chargepki.cli.exits import Exit

if TYPE_CHECKING:
    from chargepki.cli.output import Output

DataOption = Annotated[Path, typer.Option("--data", metavar="DIR", help="the signer's own directory; made when missing")]
JsonOption = Annotated[bool, typer.Option("--json", help="print one JSON object")]
DebugOption = Annotated[bool, typer.Option("--debug", help="show the traceback of a bug")]  # read by cli.main

app = noun("signer", "The signer process: serve, log verify.")
log = noun("log", "The signer's own list: verify.")
app.add_typer(log)


@app.command("serve")
def serve(data: DataOption = Path("signer"), json: JsonOption = False, _debug: DebugOption = False) -> None:
    """Open the vault that DIR/config.toml names and sign for the platform over a Unix socket. Ctrl-C stops it."""
    import uvloop

    from chargepki.adapters.keys.process import harden_process
    from chargepki.cli.output import Output

    harden_process()
    uvloop.run(_serve(data, Output(is_json=json)))


async def _serve(data: Path, output: "Output") -> None:
    from chargepki.adapters.clock import SystemClock
    from chargepki.adapters.keys.signer.policy import POLICY_FILE, read_signer_file
    from chargepki.adapters.keys.signer.server import SignerServer, lock_data
    from chargepki.adapters.keys.signer.signer import Signer
    from chargepki.config import load_config
    from chargepki.core.profiles.registry import Profiles
    from chargepki.vaults import open_signers_vault

    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    with lock_data(data):
        config, file = load_config(data), read_signer_file(data / POLICY_FILE)
        vault = await asyncio.to_thread(open_signers_vault, config)
        signer = await Signer.open(data, vault, Profiles(config.narrowings()), SystemClock(), file)
        server = SignerServer(signer, data, file)
        await server.start()
        _greet(output, server.socket_path, len(await vault.list()))
        gc.collect()
        gc.freeze()  # what stands after the start stands for good
        await stop.wait()
        output.talk("Stopping ...")
        await server.stop()


@command(log, "verify")
async def verify(
    desk: Desk, file: Annotated[Path, typer.Argument(metavar="FILE", help="one .jsonl file of the list, or the directory of all")]
) -> None:
    """Check that no line of the signer's list was changed, dropped or put in, and name the first that was."""
    from chargepki.adapters.keys.signer.journal import ChainBreak, verify_list
    from chargepki.errors import Refused

    try:
        found = await asyncio.to_thread(verify_list, file)
    except OSError as error:
        raise Refused.because("signer.log.unreadable", f"{file} cannot be read: {error.strerror}", path=str(file)) from error
    if isinstance(found, ChainBreak):
        if desk.is_json:
            desk.out.json({"is_whole": False, "file": found.file, "line": found.line, "reason": found.reason})
            raise typer.Exit(Exit.REFUSED)
        raise Refused.because(
            "signer.log.broken",
            f"{found.file}, line {found.line}: {found.reason}",
            path=str(file),
            hint="keep this copy, compare it with an older one, and stop signing until it is explained",
        )
    if desk.is_json:
        desk.out.json({"is_whole": True, "lines": found.n, "head_sha256": found.sha256})
        return
    desk.out.facts(
        ("Whole", f"{file}: every line names the one before it"),
        ("Lines", f"up to {found.n}"),
        ("Head", found.sha256),
        ("Next", "keep number and head elsewhere: a list cut off at its end is whole, but shorter than what you noted"),
    )


def _greet(output: "Output", socket: Path, keys: int) -> None:
    if output.is_json:
        output.json({"socket": str(socket), "keys": keys})
    else:
        output.facts(("Serving", str(socket)), ("Keys", str(keys)), ("Platform", f'[keys] type = "signer", socket = "{socket.absolute()}"'))
    sys.stdout.flush()
    output.talk("Ctrl-C stops the signer; everything is kept.")
