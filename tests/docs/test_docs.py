"""What the documents tell a reader to click, type or make is really there."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from tools.page import ROOT

from chargepki.cli.main import app
from chargepki.config import load_config

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
CODE = re.compile(r"```.*?```|`[^`\n]+`", re.DOTALL)
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
COMMAND = re.compile(r"^\s*(?:\$ )?(?:sudo -u \S+ )?(?:\.venv/bin/)?(chargepki(?: .*)?)$", re.MULTILINE)
MAKE = re.compile(r"\bmake ([a-z][a-z-]*)")
END_OF_COMMAND = frozenset({"|", ">", ">>", "<", ";", "&&", "||", "&"})
SETTINGS = re.compile(r"```toml\n(.*?)```", re.DOTALL)
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def pairs(found: Iterator[tuple[Path, str]]) -> list[Any]:
    return [pytest.param(page, text, id=f"{page.relative_to(ROOT)}: {text}") for page, text in dict.fromkeys(found)]


def local_links() -> Iterator[tuple[Path, str]]:
    for page in DOCUMENTS:
        for target in LINK.findall(CODE.sub("", page.read_text())):
            if "://" not in target and not target.startswith("mailto:"):
                yield page, target


def commands() -> Iterator[tuple[Path, str]]:
    """Every `chargepki ...` in code, up to a pipe, a redirection or a comment. `<noun>` and `...` stand for something else."""
    for page in DOCUMENTS:
        for code in CODE.findall(page.read_text()):
            for line in COMMAND.findall(code.strip("`").replace("\\\n", " ")):
                if "<" not in line and "..." not in line:
                    yield page, " ".join(line.split())


def make_targets() -> Iterator[tuple[Path, str]]:
    for page in DOCUMENTS:
        for code in CODE.findall(page.read_text()):
            yield from ((page, target) for target in MAKE.findall(code))


def settings() -> Iterator[tuple[Path, str]]:
    for page in DOCUMENTS:
        yield from ((page, block) for block in SETTINGS.findall(page.read_text()))


def anchors(page: Path) -> set[str]:
    words = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in HEADING.findall(page.read_text()))
    return {each.strip().replace(" ", "-") for each in words}


@pytest.mark.parametrize(("page", "target"), pairs(local_links()))
def test_a_link_leads_somewhere(page: Path, target: str) -> None:
    path, _, anchor = target.partition("#")
    file = (page.parent / path).resolve() if path else page
    assert file.exists()
    assert not anchor or anchor in anchors(file)


@pytest.mark.parametrize(("page", "line"), pairs(commands()))
def test_a_command_is_one_that_the_command_line_takes(page: Path, line: str) -> None:
    words = shlex.split(line, comments=True)[1:]
    given = next((words[:at] for at, word in enumerate(words) if word in END_OF_COMMAND), words)
    parse(typer.main.get_command(app), given)


@pytest.mark.parametrize(("page", "target"), pairs(make_targets()))
def test_a_make_target_exists(page: Path, target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


@pytest.mark.parametrize(("page", "block"), list(settings()), ids=lambda given: given.name if isinstance(given, Path) else "")
def test_a_configuration_is_accepted(page: Path, block: str, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(block)
    assert load_config(tmp_path, environment={}).origins


def parse(command: Any, words: list[str]) -> None:
    """Raises a usage error as the command line would. Nothing is run."""
    if not words or words[-1] in {"--help", "--version"}:
        return
    context = command.make_context(command.name, list(words))
    if hasattr(command, "resolve_command"):
        _, inner, rest = command.resolve_command(context, words)
        parse(inner, rest)
