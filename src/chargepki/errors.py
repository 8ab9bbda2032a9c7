"""What can go wrong, in two families.

    ChargePkiError
    ├── Refused               the input or a policy says no; nothing was signed; carries findings
    │   ├── NotAuthenticated  we do not know who is asking
    │   │   └── NeedsStepUp   not surely enough: the same person with a fresh second factor may be allowed
    │   ├── NotAuthorised     we know, and the answer is no
    │   ├── NotFound          the named object does not exist (or not for this caller)
    │   ├── Conflict          the object changed, exists already, or was used already
    │   ├── TooMany           ask again later
    │   └── NeedsVotes        allowed as soon as others agree; a proposal is on record
    └── Broken                we, or something we depend on, failed; the caller did nothing wrong
        ├── StoreUnavailable
        ├── VaultUnavailable
        ├── LogUnavailable
        └── LogInconsistent   the store and the log contradict each other: nothing may be signed

A refusal collects every finding before it is raised, so that one round trip shows the whole picture.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Self


class Severity(StrEnum):
    ERROR = "error"
    WARNING = "warning"
    NOTICE = "notice"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing seen in an input or an output.

    `code` is stable and dotted (`body.standard.rule`), `path` points into the object (`csr.subject.cn`), `clause` names the
    rule's source, `hint` is the command or the change that helps.
    """

    code: str
    message: str
    severity: Severity = Severity.ERROR
    path: str = ""
    clause: str = ""
    hint: str = ""

    @property
    def is_error(self) -> bool:
        return self.severity is Severity.ERROR


class ChargePkiError(Exception):
    """The root of everything this package raises on purpose."""


class Refused(ChargePkiError):
    """The input or a policy says no. `findings` is never empty."""

    def __init__(self, *findings: Finding) -> None:
        if not findings:
            raise ValueError("a refusal names at least one finding")
        self.findings: tuple[Finding, ...] = findings
        super().__init__("; ".join(f"{f.code}: {f.message}" for f in findings))

    @classmethod
    def because(cls, code: str, message: str, *, path: str = "", clause: str = "", hint: str = "") -> Self:
        """A refusal with one finding."""
        return cls(Finding(code, message, Severity.ERROR, path, clause, hint))


class NotAuthenticated(Refused):
    """We do not know who is asking."""


class NeedsStepUp(NotAuthenticated):
    """We know who is asking, not surely enough for this act: a fresh proof of the second factor may help (RFC 9470)."""


class NotAuthorised(Refused):
    """We know who is asking, and the answer is no."""


class NotFound(Refused):
    """The named object does not exist, or not for this caller."""


class Conflict(Refused):
    """The object changed, exists already, or was used already."""


class TooMany(Refused):
    """Ask again in `retry_after` seconds."""

    def __init__(self, *findings: Finding, retry_after: int) -> None:
        super().__init__(*findings)
        self.retry_after = retry_after


class NeedsVotes(Refused):
    """Allowed as soon as others agree. `proposal` is the id under which they vote, `missing` the empty seats for people to read."""

    def __init__(self, *findings: Finding, proposal: str, missing: tuple[str, ...]) -> None:
        super().__init__(*findings)
        self.proposal, self.missing = proposal, missing


class Broken(ChargePkiError):
    """We failed. `hint` says what the operator can do."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class StoreUnavailable(Broken):
    """The database cannot be reached or cannot write (a full disk, for instance)."""


class VaultUnavailable(Broken):
    """The key vault is locked, lost or refuses to sign."""


class LogUnavailable(Broken):
    """The log cannot be written: what is not in the log is not done."""


class LogInconsistent(Broken):
    """The store and the log contradict each other: one of them was rolled back or changed."""


def refuse_errors(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Raises `Refused` with all findings when one of them is an error; else returns them."""
    seen = tuple(findings)
    if any(f.is_error for f in seen):
        raise Refused(*seen)
    return seen
