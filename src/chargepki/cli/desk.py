"""What every command is handed: its common options, the output, a client. And the decorator that hands it over."""

import asyncio
import inspect
import os
import shlex
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from chargepki.cli.exits import exit_code_of
from chargepki.errors import ChargePkiError

if TYPE_CHECKING:
    from chargepki.cli.output import Output
    from chargepki.client import Client, Connection

DEFAULT_DATA: Final = Path("data")
_COMMON_PANEL: Final = "Common options"
DataOption = Annotated[
    Path,
    typer.Option("--data", metavar="DIR", envvar="CHARGEPKI_DATA", help="the platform's data directory", rich_help_panel=_COMMON_PANEL),
]
UrlOption = Annotated[
    str, typer.Option("--url", metavar="URL", help="the server, instead of DIR/endpoints.json", rich_help_panel=_COMMON_PANEL)
]
TokenOption = Annotated[
    Path | None,
    typer.Option("--token-file", metavar="FILE", help="the bearer token, instead of DIR/admin.token", rich_help_panel=_COMMON_PANEL),
]
RootsOption = Annotated[
    Path | None, typer.Option("--ca-file", metavar="FILE", help="the server's roots, instead of DIR/trust", rich_help_panel=_COMMON_PANEL)
]
JsonOption = Annotated[bool, typer.Option("--json", help="print the API object", rich_help_panel=_COMMON_PANEL)]
DebugOption = Annotated[bool, typer.Option("--debug", help="show the traceback of a bug", rich_help_panel=_COMMON_PANEL)]


@dataclass
class Desk:
    """One run of one command. `undone` closes a refusal with what was not done; a verb empties it once that is no longer true."""

    data: Path
    url: str
    token_file: Path | None
    ca_file: Path | None
    is_json: bool
    is_debug: bool
    undone: str = ""

    @cached_property
    def out(self) -> "Output":
        from chargepki.cli.output import Output

        return Output(is_json=self.is_json, suffix=self._same_place())

    def _same_place(self) -> str:
        """What a printed command needs in addition to reach the same platform."""
        options = {"--data": self.data, "--url": self.url, "--token-file": self.token_file, "--ca-file": self.ca_file}
        defaults = (Path(os.environ.get("CHARGEPKI_DATA") or DEFAULT_DATA), "", None)
        return "".join(f" {name} {shlex.quote(str(value))}" for name, value in options.items() if value not in defaults)

    def connection(self) -> "Connection":
        """With the token that was named, else the session of `chargepki login` at this server, else DIR/admin.token."""
        from chargepki.cli import session_file
        from chargepki.client import find_connection

        server = self.server()
        if self.token_file is None and (kept := session_file.lookup(server.url)) is not None:
            return replace(server, token=kept.secret)
        return find_connection(self.data, url=self.url, token_file=self.token_file, ca_file=self.ca_file)

    def server(self) -> "Connection":
        """Where the server is, for whoever has no token yet."""
        from chargepki.client import find_connection

        return find_connection(self.data, url=self.url, token_file=Path(os.devnull), ca_file=self.ca_file)

    @asynccontextmanager
    async def client(self) -> "AsyncIterator[Client]":
        from chargepki.client import Client

        connection = self.connection()
        async with Client(connection.url, connection.token, connection.ca_file) as client:
            if self.token_file is None:
                client.ask_step_up(self._ask_code)
            yield client

    @staticmethod
    def _ask_code() -> str:
        """A fresh code of the second factor; "" where there is nobody to ask."""
        from chargepki.cli.sign_in import ask_code

        return ask_code("This needs a fresh code of your second factor: ") if sys.stdin.isatty() else ""


def command(app: typer.Typer, name: str, *, undone: str = "") -> Callable[[Callable[..., Awaitable[None]]], Callable[..., Awaitable[None]]]:
    """Registers `async def verb(desk, ...)` with the common options added, which therefore stand anywhere on the line.

    `undone` closes a refusal: what was not done ("Nothing was signed.").
    """

    def register(verb: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
        _, *own = inspect.signature(verb).parameters.values()

        def run(**given: Any) -> None:
            desk = Desk(**{field: given.pop(option) for option, field in _COMMON_FIELDS.items()}, undone=undone)
            try:
                asyncio.run(_as_coroutine(verb, desk, given))
            except ChargePkiError as error:
                desk.out.failure(error, desk.undone)
                raise typer.Exit(exit_code_of(error)) from error

        parameters = [*(p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own), *_COMMON_PARAMETERS]
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {p.name: p.annotation for p in parameters}
        run.__doc__ = verb.__doc__
        app.command(name)(run)
        return verb

    return register


async def _as_coroutine(verb: Callable[..., Awaitable[None]], desk: Desk, given: dict[str, Any]) -> None:
    await verb(desk, **given)


def noun(name: str, help: str) -> typer.Typer:
    """The group of one noun's verbs."""
    return typer.Typer(name=name, help=help, no_args_is_help=True, add_completion=False, rich_markup_mode=None)


_COMMON_FIELDS: Final = {
    "data_": "data",
    "url_": "url",
    "token_file_": "token_file",
    "ca_file_": "ca_file",
    "json_": "is_json",
    "debug_": "is_debug",
}


def _common(name: str, annotation: Any, default: object) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


_COMMON_PARAMETERS: Final = (
    _common("data_", DataOption, DEFAULT_DATA),
    _common("url_", UrlOption, ""),
    _common("token_file_", TokenOption, None),
    _common("ca_file_", RootsOption, None),
    _common("json_", JsonOption, False),
    _common("debug_", DebugOption, False),
)
