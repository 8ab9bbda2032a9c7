"""docs/reference/findings.md lists every finding code that the code can report, and is current."""

import ast

import pytest
from tools.findings import PAGE, Reader, assemble_page, find_entries
from tools.page import is_current

from chargepki.core.lint import ALL_RULES


def entries(source: str) -> list[tuple[str, str, str]]:
    return sorted(set(Reader(ast.parse(source)).entries()))


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("Finding('a.b', 'text', Severity.ERROR, 'csr', 'RFC 1', 'do it')", ("a.b", "RFC 1", "do it")),
        ("Refused.because('a.b', f'{x}', clause=CLAUSE)\nCLAUSE: Final = 'RFC 1'", ("a.b", "RFC 1", "")),
        ("Finding(f'a.{error.type}', 'text')", ("a.*", "", "")),
        ("Finding(raw['code'], raw['text'])", ("*", "", "")),
    ],
)
def test_codes_are_read_from_the_syntax_tree(source: str, found: tuple[str, str, str]) -> None:
    assert entries(source) == [found]


def test_a_function_that_puts_a_prefix_before_a_slug_is_followed() -> None:
    source = """
def find():
    yield fault("one", "text", hint="go")
    yield fault(f"deep.{slug}", "text")
    yield twice("three")

def twice(slug): return fault(f"two.{slug}", "text")
def fault(slug, message, clause="RFC 1", hint=""): return Finding(f"a.{slug}", message, clause=clause, hint=hint)
"""
    assert entries(source) == [("a.deep.*", "RFC 1", ""), ("a.one", "RFC 1", "go"), ("a.two.three", "RFC 1", "")]


def test_every_lint_rule_is_listed() -> None:
    assert {rule.code for rule in ALL_RULES} <= set(find_entries())


def test_the_page_is_current() -> None:
    assert is_current(PAGE, assemble_page(find_entries())), "make format"
