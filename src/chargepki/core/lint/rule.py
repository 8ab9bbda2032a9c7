"""What a rule is, and what it may look at besides the certificate."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from chargepki.core.lint.view import TbsView
from chargepki.core.profiles.model import Profile
from chargepki.errors import Finding, Severity


@dataclass(frozen=True, slots=True)
class LintContext:
    """What the certificate is meant to be. The issuer's fields are None for a self-signed certificate."""

    profile: Profile
    issuer_subject_der: bytes | None
    issuer_key_id: bytes | None
    issuer_not_after: datetime | None
    now: datetime


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. `find` says what breaks it, "" when it holds; its docstring is the rule in words."""

    code: str
    clause: str
    find: Callable[[TbsView, LintContext], str]
    path: str = ""
    hint: str = ""
    severity: Severity = Severity.ERROR

    @property
    def description(self) -> str:
        return (self.find.__doc__ or "").strip()

    def judge(self, message: str) -> Finding:
        return Finding(self.code, message, self.severity, self.path, self.clause, self.hint)
