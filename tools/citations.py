"""Citations of standards in text: "RFC 5280 4.2.1.9", "OCPP A00.FR.501-504", "X.690 11.6" to values that sort and compare."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

SPAN_MAX: Final = 64  # requirements in one range; more is a typing error

_NUMBER: Final = r"\d+(?:\.\d+)*"
_DOTTED: Final = r"(?:\d+(?:\.\d+)+|[A-Z]\.\d+(?:\.\d+)*)"  # a clause that cannot be mistaken for a quantity
_CLAUSE: Final = rf"(?:(?:section|chapter|appendix|clause) )?(?:{_DOTTED}|table \d+|Annex [A-Z]|{_NUMBER})"
_MORE: Final = rf"(?:(?:, | and )(?:{_DOTTED}|table \d+)(?![\w.]*-\d))*"

# Standards whose clauses are numbered: the name, then one clause or several.
_NUMBERED: Final = re.compile(
    r"(?P<name>RFC \d{3,5}|X\.\d{3}(?= \d)|FIPS \d+|NIST SP \d+-\d+[A-Z]?|CA/Browser Forum BR|CA/B (?:BR|NetSec)|ISO 15118-\d+|"
    r"C2SP (?:signed-note|tlog-[a-z]+)|OpenID Connect (?:Core|Discovery)|draft-[a-z]+(?:-[a-z]+)+|"
    r"OCPP-J 1\.6|OCPP 2\.\d(?:\.\d)? part \d|OCPP 1\.6(?= \d))(?:-\d\d)?"
    rf"(?:,? (?P<clauses>{_CLAUSE}{_MORE})(?!\w))?"
)
# Requirements and use cases of OCPP: "A00.FR.510", "A00.FR.504, FR.506", "A00.FR.701-707", "OCPP 2.1 A02, A03".
_REQUIREMENT: Final = re.compile(
    r"(?P<paper>whitepaper )?\b(?P<case>[A-Z]\d\d)\.FR\.(?P<first>\d{1,3})"
    r"(?P<more>(?:-\d{1,3}|(?:, | and )FR\.\d{1,3})*)"
)
_USE_CASE: Final = re.compile(r"(?P<name>OCPP(?: \d\.\d(?:\.\d)?)?|whitepaper) (?P<cases>[A-Z]\d\d(?:, [A-Z]\d\d)*)\b(?!\.FR)")
# Messages, fields, types and variables: "OCPP CertificateSigned.certificateChain", "OCPP 2.0.1 identifierString".
_WORD: Final = r"(?:[A-Z][a-z]+|[a-z]+)[A-Z]\w+(?:\.\w+)?"
_MESSAGE: Final = re.compile(rf"OCPP(?: \d\.\d(?:\.\d)?)? (?P<messages>{_WORD}(?:, {_WORD})*)")
# Requirements with names of their own: "EN 319 401 REQ-7.4.1-08", "EN 319 411-1 GEN-6.4.3-02", "CIMC FMT_SMR.2.3".
_NAMED: Final = re.compile(
    r"(?:ETSI )?(?P<name>EN 319 \d{3}(?:-\d)?|CIMC) (?P<clause>(?:REQ|GEN|OVR)-\d+(?:\.\d+)*-\d+|F[A-Z]{2}_[A-Z]{3}\.\d+(?:\.\d+)*)"
)
_EXTENSION: Final = "OCPP 1.6 security whitepaper"


@dataclass(frozen=True, slots=True)
class Citation:
    """A standard and a clause of it; "" stands for the standard as a whole."""

    standard: str
    clause: str = ""

    @property
    def order(self) -> tuple[tuple[tuple[int, int, str], ...], ...]:
        """Sorts 4.2.1.9 before 4.2.1.10."""
        return _natural(self.standard), _natural(self.clause)

    def is_part_of(self, other: "Citation") -> bool:
        """True for 4.2.1.9 and 4.2.1, for A02.FR.04 and A02; not for a clause and itself, nor for the standard as a whole."""
        return self.standard == other.standard and other.clause != "" and self.clause.startswith(f"{other.clause}.")

    def __str__(self) -> str:
        return f"{self.standard} {self.clause}".rstrip()


def find_citations(text: str) -> frozenset[Citation]:
    """Every citation in `text`, where line breaks count as blanks."""
    flat = " ".join(text.split())
    named = (Citation(match["name"], match["clause"]) for match in _NAMED.finditer(flat))
    return frozenset((*_find_numbered(flat), *_find_requirements(flat), *_find_messages(flat), *named))


def _find_numbered(text: str) -> Iterator[Citation]:
    for match in _NUMBERED.finditer(text):
        clauses = re.split(r", | and ", match["clauses"]) if match["clauses"] else [""]
        for clause in clauses:
            yield Citation(match["name"], re.sub(r"^(section|chapter|appendix|clause) ", "", clause))


def _find_requirements(text: str) -> Iterator[Citation]:
    for match in _REQUIREMENT.finditer(text):
        standard, width, last = _EXTENSION if match["paper"] else "OCPP", len(match["first"]), int(match["first"])
        yield _requirement(standard, match["case"], last, width)
        for sign, digits in re.findall(r"(-|FR\.)(\d+)", match["more"]):
            number = int(digits)
            if sign == "-" and not last < number <= last + SPAN_MAX:
                raise ValueError(f"not a range of requirements: {match[0]}")
            for each in range(last + 1, number + 1) if sign == "-" else (number,):
                yield _requirement(standard, match["case"], each, width)
            last = number
    for match in _USE_CASE.finditer(text):
        standard = _EXTENSION if match["name"] == "whitepaper" else "OCPP"
        yield from (Citation(standard, case) for case in match["cases"].split(", "))


def _requirement(standard: str, case: str, number: int, width: int) -> Citation:
    return Citation(standard, f"{case}.FR.{number:0{width}d}")


def _find_messages(text: str) -> Iterator[Citation]:
    for match in _MESSAGE.finditer(text):
        yield from (Citation("OCPP", message) for message in match["messages"].split(", "))


def _natural(text: str) -> tuple[tuple[int, int, str], ...]:
    return tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.findall(r"\d+|[^\d.]+", text))
