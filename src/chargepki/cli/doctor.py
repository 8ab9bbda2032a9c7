"""chargepki doctor: looks at the platform from outside, as a client and as a relying party. One line each, with a fix."""

import typer

from chargepki.cli.desk import Desk, command
from chargepki.cli.exits import Exit


def register(app: typer.Typer) -> None:
    command(app, "doctor")(doctor)


async def doctor(desk: Desk) -> None:
    """Check reachability, clock, TLS, token, readiness, CRLs and OCSP; exits 1 when something is wrong."""
    from chargepki.cli.checks import run_checks

    checks = [check async for check in run_checks(desk.connection())]
    if desk.is_json:
        desk.out.json([{"name": c.name, "is_well": c.is_well, "seen": c.seen, "fix": "" if c.is_well else c.fix} for c in checks])
    else:
        for check in checks:
            desk.out.line(f"{'ok   ' if check.is_well else 'FAIL '} {check.name:<10} {check.seen}")
            if not check.is_well:
                desk.out.line(f"      fix: {check.fix}")
    if not all(check.is_well for check in checks):
        raise typer.Exit(Exit.REFUSED)
