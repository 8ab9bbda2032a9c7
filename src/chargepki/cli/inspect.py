"""chargepki inspect: reads anything X.509, offline."""

from typing import Annotated

import typer

from chargepki.cli.desk import Desk, command
from chargepki.cli.files import read_input


def register(app: typer.Typer) -> None:
    command(app, "inspect")(inspect_file)


async def inspect_file(
    desk: Desk,
    file: Annotated[str, typer.Argument(metavar="FILE|-")],
    issuer: Annotated[str, typer.Option(metavar="FILE", help="the issuer's certificate: shows OCPP hash data")] = "",
) -> None:
    """Explain a certificate, chain, CSR, CRL, OCSP message, PKCS#7 or key in PEM, DER or base64. Needs no server."""
    from datetime import UTC, datetime

    from chargepki.core.inspect import inspect

    inspection = inspect(read_input(file), now=datetime.now(UTC), issuer=read_input(issuer) if issuer else b"")
    if desk.is_json:
        desk.out.json(inspection.to_json())
        return
    desk.out.tree(inspection.root)
    desk.out.seen(inspection.findings)
