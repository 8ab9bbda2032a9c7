"""chargepki witness: cosign other people's logs, so that none of them can have two histories."""

import asyncio
import gc
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from chargepki.cli.desk import Desk, command, noun
from chargepki.errors import Refused

if TYPE_CHECKING:
    from chargepki.adapters.listen.tls import LiveTls
    from chargepki.cli.output import Output

DataOption = Annotated[Path, typer.Option("--data", metavar="WDIR", help="the witness's own directory")]
JsonOption = Annotated[bool, typer.Option("--json", help="print one JSON object")]
DebugOption = Annotated[bool, typer.Option("--debug", help="show the traceback of a bug")]  # read by cli.main

CONNECTIONS_MAX: Final = 200  # a witness has tens of logs; strangers get no more of it

app = noun("witness", "A witness for the logs of others: key, trust, serve.")


@command(app, "key")
async def key(desk: Desk, name: Annotated[str, typer.Option(help="make the key, under this name: witness.hub.example")] = "") -> None:
    """Show the witness's verifier key; with --name, make it first."""
    from chargepki.adapters.witness.directory import WitnessDirectory

    directory = WitnessDirectory(desk.data)
    verifier = (directory.make_key(name) if name else directory.key()).verifier
    if desk.is_json:
        desk.out.json({"name": verifier.name, "vkey": str(verifier)})
        return
    desk.out.facts(
        ("Key", str(verifier)),
        ("Saved", f"{desk.data / 'witness.key'} (not sealed, mode 0600: back it up where nobody else reads)" if name else ""),
        ("Next", f"give the key to the log's operator; chargepki witness trust VKEY --data {desk.data}" if name else ""),
    )


@command(app, "trust")
async def trust(
    desk: Desk, log: Annotated[str, typer.Argument(metavar="VKEY|POLICY-FILE", help="a log's verifier key, or its policy file")]
) -> None:
    """Cosign this log's checkpoints from the next start on. Compare the key with the one its operator reads to you."""
    from chargepki.adapters.tlog.copy import read_policy
    from chargepki.adapters.witness.directory import WitnessDirectory

    directory = WitnessDirectory(desk.data)
    vkeys = [log] if log.count("+") > 1 else [str(one.key) for one in read_policy(Path(log)).logs]
    added = [directory.add_log(vkey) for vkey in vkeys]
    if desk.is_json:
        desk.out.json([str(one) for one in added])
        return
    for one in added:
        desk.out.facts(("Trusted", f"{one.name}, key {one.id.hex()} ({one.algorithm})"))
    desk.out.facts(("Undo", f"take its lines out of {desk.data / 'logs'}"))


@app.command("serve")
def serve(
    data: DataOption = Path("witness"),
    host: Annotated[str, typer.Option(help="where it listens")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 picks a free one")] = 8090,
    certificate: Annotated[Path | None, typer.Option(metavar="FILE", help="speak TLS with this chain (PEM, leaf first)")] = None,
    certificate_key: Annotated[Path | None, typer.Option(metavar="FILE", help="its private key (PEM, not sealed)")] = None,
    json: JsonOption = False,
    _debug: DebugOption = False,
) -> None:
    """Cosign the logs in WDIR/logs over HTTP (C2SP tlog-witness). Ctrl-C stops it."""
    import uvloop

    from chargepki.adapters.keys.process import harden_process
    from chargepki.cli.output import Output

    harden_process()
    if (certificate is None) != (certificate_key is None):
        raise Refused.because("witness.tls", "--certificate and --certificate-key go together", path="certificate")
    uvloop.run(_serve(data, host, port, _tls(certificate, certificate_key), Output(is_json=json)))


async def _serve(data: Path, host: str, port: int, tls: "LiveTls | None", output: "Output") -> None:
    from chargepki.adapters.clock import SystemClock
    from chargepki.adapters.listen.server import Listener, ListenerBounds
    from chargepki.adapters.witness.directory import WitnessDirectory
    from chargepki.adapters.witness.server import WitnessServer

    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    directory = WitnessDirectory(data)
    with directory.held():
        server = WitnessServer(directory, SystemClock())
        listener = Listener(server.app, host, port, tls=tls, bounds=ListenerBounds(connections_max=CONNECTIONS_MAX))
        await listener.start()
        url = f"{'http' if tls is None else 'https'}://{f'[{host}]' if ':' in host else host}:{listener.port}"
        _greet(output, url, str(directory.key().verifier), sorted(directory.logs()))
        gc.collect()
        gc.freeze()  # what stands after the start stands for good
        await stop.wait()
        output.talk("Stopping ...")
        await listener.stop()


def _greet(output: "Output", url: str, vkey: str, logs: list[str]) -> None:
    if output.is_json:
        output.json({"url": url, "vkey": vkey, "logs": logs})
    else:
        output.facts(("Serving", url), ("Key", vkey), ("Logs", ", ".join(logs) or "none yet: chargepki witness trust VKEY"))
        output.talk("Ctrl-C stops the witness; what it has seen is kept.")
    sys.stdout.flush()


def _tls(certificate: Path | None, key: Path | None) -> "LiveTls | None":
    """The listener takes sealed keys only: this one is sealed with a passphrase that nobody keeps."""
    import secrets

    from cryptography.hazmat.primitives import serialization

    from chargepki.adapters.listen.tls import ClientAuth, LiveTls, ServerIdentity
    from chargepki.cli.files import read_input

    if certificate is None or key is None:
        return None
    if key.exists() and key.stat().st_mode & 0o077:
        raise Refused.because("witness.tls.key", f"others can read {key}", path=str(key), hint=f"chmod 600 {key}")
    try:
        private = serialization.load_pem_private_key(read_input(str(key)), None)
    except (ValueError, TypeError) as error:
        raise Refused.because("witness.tls.key", f"{key} is no private key in PEM", path=str(key)) from error
    passphrase = secrets.token_hex(32).encode()
    sealed = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(passphrase)
    )
    return LiveTls([ServerIdentity(read_input(str(certificate)), sealed, passphrase)], client_auth=ClientAuth.NONE)
