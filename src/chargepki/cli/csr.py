"""chargepki csr: look at a request before ordering."""

from typing import Annotated

import typer

from chargepki.cli.desk import Desk, command, noun
from chargepki.cli.files import read_csr
from chargepki.errors import Finding, Refused, Severity

app = noun("csr", "Certificate signing requests: check.")


@command(app, "check", undone="Nothing was ordered.")
async def check_csr(
    desk: Desk,
    file: Annotated[str, typer.Argument(metavar="FILE|-")],
    profile: Annotated[str, typer.Option(help="check the key against this profile too")] = "",
    tolerant: Annotated[bool, typer.Option("--tolerant", help="accept the known quirks of field devices")] = False,
) -> None:
    """Say what issuance would say to a CSR; nothing is ordered. Exits 1 when it would be refused."""
    from chargepki.client.wire import encode

    async with desk.client() as client:
        checked = await client.csr_checks.check(read_csr(file), profile=profile or None, tolerant=tolerant)
    if desk.is_json:
        desk.out.json(checked)
    elif checked.is_acceptable:
        desk.out.notices(encode(checked.findings))
        desk.out.facts(("Fine", f"{file} can be ordered"), ("Subject", checked.subject), ("Key", checked.key_spec or ""))
    if not checked.is_acceptable:
        if desk.is_json:
            raise typer.Exit(1)
        raise Refused(*(Finding(f.code, f.message, Severity(f.severity), f.path, f.clause, f.hint) for f in checked.findings))
