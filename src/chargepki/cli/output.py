"""How the command line looks. The one place that prints.

Results go to stdout, talk to stderr. With --json stdout holds exactly one JSON value. No colour and no line folding where nobody
looks (not a terminal, NO_COLOR, TERM=dumb). Nothing from outside reaches the terminal with control characters or markup.
"""

import json
import os
import sys
import textwrap
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import IO, TYPE_CHECKING, Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from chargepki.client.wire import encode
from chargepki.errors import Broken, ChargePkiError, Finding, NeedsVotes, NotAuthenticated, NotAuthorised, Refused

if TYPE_CHECKING:
    from chargepki.core.inspect import Node

LABEL_WIDTH: Final = 9  # "Issued   station certificate ..."
_UNFOLDED_WIDTH: Final = 1000  # for pipes: one record, one line
_CODE_WIDTH: Final = 28
_MESSAGE_WIDTH_MIN: Final = 32  # below that a finding's message goes under its code
_FOLDED_WIDTH: Final = 20  # what a column that may break wants at least
_STATE_STYLE: Final = {
    "valid": "green",
    "active": "green",
    "done": "green",
    "held": "yellow",
    "registered": "yellow",
    "suspended": "yellow",
    "revoked": "red",
    "refused": "red",
    "broken": "red",
    "expired": "dim",
    "retired": "dim",
    "decommissioned": "dim",
}


class Output:
    def __init__(self, *, is_json: bool, suffix: str = "", stdout: IO[str] | None = None, stderr: IO[str] | None = None) -> None:
        self.is_json = is_json
        self._suffix = suffix  # for commands that are printed to be run: --data DIR
        self._out = _console(stdout or sys.stdout)
        self._err = _console(stderr or sys.stderr)

    # ---------------------------------------------------------------------------------------------------------- results

    def json(self, value: object) -> None:
        """`value` (an SDK object, or a sequence of them) as JSON on stdout."""
        self._out.file.write(json.dumps(encode(value), indent=2, ensure_ascii=False) + "\n")

    def raw(self, octets: bytes) -> None:
        """A file's content on stdout, untouched."""
        sys.stdout.flush()
        sys.stdout.buffer.write(octets)
        sys.stdout.buffer.flush()

    def line(self, text: str) -> None:
        self._out.print(_text(text))

    def facts(self, *facts: tuple[str, str]) -> None:
        """Label and value, one below the other; empty values are left out. A value that is a command runs as printed."""
        shown = [(label, clean(value + self._suffix if value.startswith("chargepki ") else value)) for label, value in facts if value]
        column = max([LABEL_WIDTH, *(len(label) + 2 for label, _ in shown)])
        for label, value in shown:
            first, *rest = _fold(value, self._out.width - column)
            self._out.print(Text.assemble((label.ljust(column), "bold"), first), soft_wrap=True)
            for line in rest:
                self._out.print(Text(" " * column + line), soft_wrap=True)

    def table(
        self, columns: Sequence[str], rows: Sequence[Sequence[str]], *, empty: str, fold: Sequence[str] = (), shed: Sequence[str] = ()
    ) -> None:
        """One row per object. `empty` says what to do when there is none.

        Where the width is short the columns in `shed` go first, in this order; those in `fold` may break; names and ids never do.
        """
        if not rows:
            self.talk(empty)
            return
        kept = _fitting(columns, rows, self._out.width, fold, shed)
        table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
        for column in kept:
            table.add_column(column, overflow="fold", no_wrap=column not in fold)
        for row in rows:
            cells = (cell for column, cell in zip(columns, row, strict=True) if column in kept)
            table.add_row(*(_text(cell, style=_STATE_STYLE.get(cell, "")) for cell in cells))
        self._out.print(table)

    def tree(self, root: "Node") -> None:
        """Label, value and the note that explains it; one line each where the width allows."""
        tree = Tree(_line_of(root), guide_style="dim")
        _grow(tree, root)
        self._out.print(tree)

    def seen(self, findings: Sequence[Finding]) -> None:
        """What is wrong or odd with what was read: part of the result."""
        for finding in findings:
            hint = f"  hint: {finding.hint}" if finding.hint else ""
            clause = f" ({finding.clause})" if finding.clause else ""
            style = "red" if finding.is_error else "yellow"
            self._out.print(Text.assemble((f"{finding.severity}: ", style), clean(f"{finding.code}: {finding.message}{clause}{hint}")))

    # ------------------------------------------------------------------------------------------------------------- talk

    def talk(self, text: str) -> None:
        self._err.print(_text(text))

    def warn(self, text: str) -> None:
        self._err.print(Text.assemble(("warning: ", "yellow bold"), clean(text)))

    def notices(self, findings: Sequence[Mapping[str, str]]) -> None:
        """What was tolerated, below a success."""
        for finding in findings:
            hint = f"  hint: {finding['hint']}" if finding["hint"] else ""
            self._err.print(Text.assemble((f"{finding['severity']}: ", "yellow"), clean(f"{finding['message']} ({finding['code']}){hint}")))

    def failure(self, error: ChargePkiError, undone: str) -> None:
        """What went wrong, all of it, and what was therefore not done."""
        if self.is_json:
            self._out.file.write(json.dumps(_problem(error), indent=2, ensure_ascii=False) + "\n")
            return
        if isinstance(error, NeedsVotes):
            self._waits(error)
            return
        if not isinstance(error, Refused):
            self._err.print(Text.assemble(("error: ", "red bold"), clean(str(error))))
            self._hint(error.hint if isinstance(error, Broken) else "")
            return
        self._err.print(Text.assemble(("error: ", "red bold"), _headline(error)))
        for number, finding in enumerate(error.findings, 1):
            self._finding(number, finding)
        if undone:
            self._err.print(undone)

    def _waits(self, error: NeedsVotes) -> None:
        """Nothing is wrong: others have to agree first."""
        self._err.print(Text.assemble(("proposed: ", "yellow bold"), f"{clean(error.proposal)} waits for others; nothing was done yet"))
        for missing in error.missing:
            self._lines([f"missing: {clean(missing)}"], 2)
        for finding in error.findings:
            self._hint(finding.hint)
        commands = {"they": "approve", "you": "withdraw"}
        self._lines([f"{who}: chargepki approval {verb} {clean(error.proposal)}{self._suffix}" for who, verb in commands.items()], 2)

    def _finding(self, number: int, finding: Finding) -> None:
        code = clean(finding.code)
        column = 5 + max(_CODE_WIDTH, len(code)) + 1
        if self._err.width >= column + _MESSAGE_WIDTH_MIN:
            first, *rest = _fold(clean(finding.message), self._err.width - column)
            self._err.print(Text.assemble(f"{number:>3}. ", (code.ljust(column - 5), "bold"), first), soft_wrap=True)
            self._lines(rest, column)
        else:
            self._err.print(Text.assemble(f"{number:>3}. ", (code, "bold")), soft_wrap=True)
            self._lines(_fold(clean(finding.message), self._err.width - 5), 5)
        parts = (f"{finding.clause}." if finding.clause else "", f"hint: {finding.hint}" if finding.hint else "")
        detail = "  ".join(part for part in parts if part)
        if detail:
            self._lines(_fold(clean(detail), self._err.width - 5), 5)

    def _hint(self, hint: str) -> None:
        if hint:
            self._lines(_fold(clean(f"hint: {hint}"), self._err.width - 2), 2)

    def _lines(self, lines: Sequence[str], indent: int) -> None:
        for line in lines:
            self._err.print(Text(" " * indent + line), soft_wrap=True)


def _line_of(node: "Node") -> Text:
    note = f"  ({clean(node.note)})" if node.note else ""
    return Text.assemble((clean(node.label), "bold"), f"  {clean(node.value)}" if node.value else "", (note, "dim"))


def _grow(tree: Tree, node: "Node") -> None:
    for child in node.children:
        _grow(tree.add(_line_of(child)), child)


def clean(text: str) -> str:
    """`text` with every control character spelt out, so that no terminal obeys it."""
    return "".join(c if c.isprintable() or c == "\n" else f"\\x{ord(c):02x}" for c in text)


def serial_groups(serial: str, *, whole: bool = False) -> str:
    """3f:9c:…:41 for people; `whole` keeps every octet."""
    digits = serial if len(serial) % 2 == 0 else "0" + serial
    octets = [digits[at : at + 2] for at in range(0, len(digits), 2)]
    return ":".join(octets if whole or len(octets) <= 4 else (*octets[:2], "…", octets[-1]))


def day(moment: datetime | None) -> str:
    return "" if moment is None else moment.astimezone(UTC).strftime("%Y-%m-%d")


def minute(moment: datetime | None) -> str:
    return "" if moment is None else moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def days_between(start: datetime, end: datetime) -> str:
    days = (end - start).days
    return f"{days} day" if days == 1 else f"{days} days"


def _headline(error: Refused) -> str:
    count = len(error.findings)
    if isinstance(error, NotAuthenticated):
        return "the server does not know this token"
    if isinstance(error, NotAuthorised):
        return "this token does not allow that"
    return f"this request was refused ({count} finding{'' if count == 1 else 's'})"


def _problem(error: ChargePkiError) -> dict[str, Any]:
    findings = error.findings if isinstance(error, Refused) else (Finding("platform.broken", str(error), hint=getattr(error, "hint", "")),)
    fields = ("code", "message", "severity", "path", "clause", "hint")
    problem: dict[str, Any] = {
        "error": type(error).__name__,
        "findings": [{name: str(getattr(f, name)) for name in fields} for f in findings],
    }
    if isinstance(error, NeedsVotes):
        problem |= {"proposal": error.proposal, "missing": list(error.missing)}
    return problem


def _fold(text: str, width: int) -> list[str]:
    """Lines of at most `width`; a long word stays whole, so that it can be copied."""
    return textwrap.wrap(text, max(width, 20), break_long_words=False, break_on_hyphens=False) or [""]


def _fitting(columns: Sequence[str], rows: Sequence[Sequence[str]], width: int, fold: Sequence[str], shed: Sequence[str]) -> list[str]:
    widths = {
        column: max(len(column), *(min(len(row[at]), _FOLDED_WIDTH) if column in fold else len(row[at]) for row in rows))
        for at, column in enumerate(columns)
    }
    kept = list(columns)
    for column in shed:
        if sum(widths[name] + 2 for name in kept) - 2 <= width:
            break
        kept.remove(column)
    return kept


def _text(text: str, style: str = "") -> Text:
    return Text(clean(text), style=style)


def _console(file: IO[str]) -> Console:
    is_watched = file.isatty()
    width = None if is_watched or "COLUMNS" in os.environ else _UNFOLDED_WIDTH
    return Console(file=file, width=width, highlight=False, markup=False, emoji=False, soft_wrap=False)
