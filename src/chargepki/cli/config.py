"""chargepki config: what the platform would run with, and why. Works without a server."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

from chargepki.cli.desk import Desk, command, noun

if TYPE_CHECKING:
    from chargepki.config import Explanation

app = noun("config", "The configuration: show, check, explain.")


@command(app, "show")
async def show_config(desk: Desk) -> None:
    """Show what differs from the defaults, and where it was said."""
    from chargepki.config import load_config

    said = [e for e in load_config(desk.data).explain() if e.origin != "default"]
    if desk.is_json:
        desk.out.json(said)
        return
    _show(desk, said, empty=f"Everything is at its default. Say otherwise in {desk.data}/config.toml: chargepki config explain")


@command(app, "check")
async def check_config(desk: Desk) -> None:
    """Check DIR/config.toml and the environment; every fault is a finding."""
    from chargepki.config import FILE_NAME, load_config

    said = [e for e in load_config(desk.data).explain() if e.origin != "default"]
    if desk.is_json:
        desk.out.json({"is_well": True, "path": str(desk.data / FILE_NAME)})
        return
    desk.out.facts(("Fine", f"{desk.data / FILE_NAME}: {len(said)} value(s) differ from the defaults"))


@command(app, "explain")
async def explain_config(desk: Desk, key: Annotated[str, typer.Argument(help="server.api_port, server, or nothing for all")] = "") -> None:
    """Show effective values and which of flag, environment, file and default won."""
    from chargepki.config import load_config

    found = load_config(desk.data).explain(key)
    if desk.is_json:
        desk.out.json(found)
        return
    _show(desk, found, empty="There is no such value.")


def _show(desk: Desk, values: "tuple[Explanation, ...] | list[Explanation]", *, empty: str) -> None:
    rows = [(v.key, json.dumps(v.value, ensure_ascii=False), v.origin) for v in values]
    desk.out.table(("KEY", "VALUE", "FROM"), rows, empty=empty, fold=("VALUE",))
