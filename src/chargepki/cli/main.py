"""The command's entry: nouns, examples, and what an exception means to the shell."""

import sys
from collections.abc import Sequence
from typing import Annotated, Final

import typer

from chargepki import __version__
from chargepki.cli import (
    approval,
    batch,
    bench,
    ca,
    ceremony,
    cert,
    config,
    crl,
    csr,
    doctor,
    grant,
    init,
    inspect,
    keys,
    log_audit,
    machine,
    ocsp,
    party,
    person,
    platform,
    profile,
    sign_in,
    signer,
    standing,
    station,
    token,
    witness,
)
from chargepki.cli.exits import Exit, exit_code_of
from chargepki.errors import ChargePkiError

EXAMPLES: Final = """\
Start here:
  chargepki up --data data                                        the platform, with a development PKI
  chargepki station add CS-17 --serial SN-0017 --operator demo-cpo
  chargepki cert request --profile ocpp/station --station CS-17 --csr cs17.csr
  chargepki cert list
  chargepki inspect cs17.chain.pem                                reads anything X.509
  chargepki doctor                                                what is wrong, and how to put it right

"""
_NOUNS: Final = (
    ca.app,
    cert.app,
    csr.app,
    profile.app,
    crl.app,
    ocsp.app,
    station.app,
    batch.app,
    approval.app,
    standing.app,
    party.app,
    person.app,
    machine.app,
    grant.app,
    token.app,
    log_audit.app,
    keys.app,
    ceremony.app,
    signer.app,
    witness.app,
    config.app,
    bench.app,
)

app: Final = typer.Typer(name="chargepki", add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
for _noun in _NOUNS:
    app.add_typer(_noun)
inspect.register(app)
doctor.register(app)
init.register(app)
platform.register(app)
sign_in.register(app)


def _show_version(is_wanted: bool) -> None:
    if is_wanted:
        typer.echo(f"chargepki {__version__}")
        raise typer.Exit()


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    _version: Annotated[bool, typer.Option("--version", is_eager=True, callback=_show_version, help="show the version")] = False,
) -> None:
    """The certificate authority platform for EV charging."""
    if context.invoked_subcommand is None:
        typer.echo(EXAMPLES + context.get_help())


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; the exit code. A traceback is shown only with --debug."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        app(given, prog_name="chargepki")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else Exit.DONE
    except BrokenPipeError:
        return Exit.DONE  # the reader had enough: chargepki cert list | head
    except ChargePkiError as error:  # of commands that run the platform in this process
        from chargepki.cli.output import Output

        Output(is_json="--json" in given).failure(error, "")
        return exit_code_of(error)
    except Exception as bug:  # the composition root of the command line: whatever is left is our bug
        if "--debug" in given:
            raise
        typer.echo(
            f"error: this is our bug: {type(bug).__name__}: {bug}\n  hint: run it again with --debug and report what it says", err=True
        )
        return Exit.BUG
    return Exit.DONE
