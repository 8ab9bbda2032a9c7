"""docs/standards.md says what the code cites and what the tests show, and is current."""

from pathlib import Path

import pytest
from tools.citations import Citation, find_citations
from tools.page import TESTS, is_current, python_files
from tools.standards import PAGE, Places, assemble_page, find_markers, find_places


def cited(text: str) -> list[str]:
    return [str(each) for each in sorted(find_citations(text), key=lambda each: each.order)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("# RFC 5280 4.2.1.9", ["RFC 5280 4.2.1.9"]),
        ("RFC 5280 4.2.1.3, 4.2.1.9", ["RFC 5280 4.2.1.3", "RFC 5280 4.2.1.9"]),
        ("RFC 5280 4.1.2.2 allows 20 octets", ["RFC 5280 4.1.2.2"]),
        ("RFC 5280 appendix A.1: ub-common-name", ["RFC 5280 A.1"]),
        ("RFC 4055 5 and 3.1 (RSA: NULL), RFC 8410 3", ["RFC 4055 3.1", "RFC 4055 5", "RFC 8410 3"]),
        ("RFC 6960 4.2.1.\nNext sentence, 3 words", ["RFC 6960 4.2.1"]),
        ("errors as RFC 9457 problems", ["RFC 9457"]),
        ("X.690 11.6", ["X.690 11.6"]),
        ("anything X.509 here", []),
        ("FIPS 204 table 2", ["FIPS 204 table 2"]),
        ("OCPP A00.FR.504, FR.506", ["OCPP A00.FR.504", "OCPP A00.FR.506"]),
        ("OCPP A00.FR.501-503", ["OCPP A00.FR.501", "OCPP A00.FR.502", "OCPP A00.FR.503"]),
        ("A02.FR.04 alone", ["OCPP A02.FR.04"]),
        ("(OCPP 2.1 A02, A03; 1.6 whitepaper A02)", ["OCPP A02", "OCPP A03", "OCPP 1.6 security whitepaper A02"]),
        ("whitepaper A00.FR.205", ["OCPP 1.6 security whitepaper A00.FR.205"]),
        ("OCPP 2.1 part 4, 4.1.1", ["OCPP 2.1 part 4 4.1.1"]),
        ("OCPP-J 1.6 4.2.3, table 7", ["OCPP-J 1.6 4.2.3", "OCPP-J 1.6 table 7"]),
        ("OCPP CertificateSigned.certificateChain", ["OCPP CertificateSigned.certificateChain"]),
        ("OCPP 2.0.1 identifierString", ["OCPP identifierString"]),
        ("draft-ietf-httpapi-idempotency-key-header-07 2", ["draft-ietf-httpapi-idempotency-key-header 2"]),
    ],
)
def test_citations_are_found_as_people_write_them(text: str, found: list[str]) -> None:
    assert cited(text) == found


def test_a_range_that_runs_backwards_is_a_typing_error() -> None:
    with pytest.raises(ValueError, match="not a range"):
        find_citations("OCPP A00.FR.510-501")


def test_a_marker_counts_wherever_it_stands(tmp_path: Path) -> None:
    module = tmp_path / "test_x.py"
    module.write_text(
        "import pytest\npytestmark = [pytest.mark.clause('RFC 1')]\n"
        "@pytest.mark.clause('RFC 2', 'RFC 3')\ndef test_it(): ...\n"
        "case = pytest.param(1, marks=pytest.mark.clause('RFC 4'))\n"
    )
    assert sorted(find_markers(module)) == ["RFC 1", "RFC 2", "RFC 3", "RFC 4"]


def test_every_marker_names_a_clause_that_is_understood() -> None:
    silent = [(test.name, marker) for test in python_files(TESTS) for marker in find_markers(test) if not find_citations(marker)]
    assert silent == []


def test_a_test_of_the_parent_clause_is_not_a_test_of_the_clause() -> None:
    places = {
        Citation("RFC 5280", "4.2"): Places(tests={TESTS / "conftest.py"}),
        Citation("RFC 5280", "4.2.1.10"): Places(),
        Citation("RFC 5280", "4.2.1.9"): Places(),
        Citation("RFC 5280", "4.20"): Places(),
    }
    rows = [line.split(" | ") for line in assemble_page(places).splitlines() if line.startswith("| 4")]
    assert [(row[0], row[-1]) for row in rows] == [
        ("| 4.2", "shown by test |"),
        ("| 4.2.1.9", "test of parent |"),
        ("| 4.2.1.10", "test of parent |"),
        ("| 4.20", "in code |"),
    ]


def test_the_page_is_current() -> None:
    assert is_current(PAGE, assemble_page(find_places())), "make format"
