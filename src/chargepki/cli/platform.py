"""chargepki up, demo, bench: the platform itself in this process."""

from pathlib import Path
from typing import Annotated

import typer

DataOption = Annotated[
    Path, typer.Option("--data", metavar="DIR", envvar="CHARGEPKI_DATA", help="where everything is kept; made when missing")
]
JsonOption = Annotated[bool, typer.Option("--json", help="print one JSON object")]
DebugOption = Annotated[bool, typer.Option("--debug", help="show the traceback of a bug")]  # read by cli.main
PortOption = Annotated[int | None, typer.Option(min=0, max=65535, help="0 picks a free one")]


def up(
    data: DataOption = Path("data"),
    api_port: PortOption = None,
    ocpp_port: PortOption = None,
    status_port: PortOption = None,
    metrics_port: PortOption = None,
    with_stations: Annotated[int, typer.Option("--stations", min=0, max=50, help="simulated stations that live on it")] = 0,
    json: JsonOption = False,
    _debug: DebugOption = False,
) -> None:
    """Start the platform; the first start creates a development PKI in DIR. Ctrl-C stops it."""
    from chargepki.cli.serve import serve

    given = {
        "server.api_port": api_port,
        "server.ocpp_port": ocpp_port,
        "server.status_port": status_port,
        "server.metrics_port": metrics_port,
    }
    serve(data, {key: port for key, port in given.items() if port is not None}, stations=with_stations, is_json=json)


def demo(json: JsonOption = False, _debug: DebugOption = False) -> None:
    """Play the whole story once on real sockets and say what each step proved."""
    from chargepki.testing.demo import run_demo

    raise typer.Exit(run_demo(is_json=json))


def register(app: typer.Typer) -> None:
    app.command("up")(up)
    app.command("demo")(demo)
