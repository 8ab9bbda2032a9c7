"""chargepki up, demo, bench: the platform itself in this process."""

from pathlib import Path
from typing import Annotated

import typer

DataOption = Annotated[
    Path, typer.Option("--data", metavar="DIR", envvar="CHARGEPKI_DATA", help="where everything is kept; made when missing")
]
PortOption = Annotated[int | None, typer.Option(min=0, max=65535, help="0 picks a free one")]


def up(
    data: DataOption = Path("data"),
    api_port: PortOption = None,
    ocpp_port: PortOption = None,
    status_port: PortOption = None,
    metrics_port: PortOption = None,
) -> None:
    """Start the platform; the first start creates a development PKI in DIR. Ctrl-C stops it."""
    from chargepki.app import run_platform

    given = {"api_port": api_port, "ocpp_port": ocpp_port, "status_port": status_port, "metrics_port": metrics_port}
    run_platform(data, {name: port for name, port in given.items() if port is not None})


def demo() -> None:
    """Play the whole story once on real sockets and say what each step proved."""
    from chargepki.testing.demo import run_demo

    raise typer.Exit(run_demo())


def register(app: typer.Typer) -> None:
    app.command("up")(up)
    app.command("demo")(demo)
