"""A page that is generated: written to disk, or compared with what stands there."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
SOURCE: Final = ROOT / "src" / "chargepki"
TESTS: Final = ROOT / "tests"


def python_files(folder: Path) -> tuple[Path, ...]:
    """All modules below `folder` in a stable order; what package managers unpacked there is not ours."""
    return tuple(sorted(path for path in folder.rglob("*.py") if "node_modules" not in path.parts))


def link(target: Path, page: Path, text: str) -> str:
    """A Markdown link from `page` to `target`, relative, so that it works in a checkout and on a hosting page."""
    steps = "../" * len(page.parent.relative_to(ROOT).parts)
    return f"[{text}]({steps}{target.relative_to(ROOT).as_posix()})"


def cell(text: str) -> str:
    """Text that stays in its cell of a Markdown table."""
    return text.replace("|", "\\|").replace("\n", " ")


def is_current(page: Path, text: str) -> bool:
    return page.is_file() and page.read_text() == text


def write_or_check(page: Path, text: str, arguments: Sequence[str] | None = None) -> None:
    """Writes `page`; with --check leaves it alone and exits 1 when it differs from `text`."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when the page on disk is out of date")
    if not parser.parse_args(arguments).check:
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(text)
    elif not is_current(page, text):
        sys.exit(f"{page.relative_to(ROOT)} is out of date: make format")
