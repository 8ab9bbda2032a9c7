"""Lints a TBSCertificate before it is signed. One module per source of rules, one function per rule."""

from typing import Final

from chargepki.core.lint import house, ocpp, rfc5280
from chargepki.core.lint.rule import LintContext, Rule
from chargepki.core.lint.view import parse_tbs
from chargepki.errors import Finding, Refused

__all__ = ["ALL_RULES", "LintContext", "Rule", "lint_tbs"]

ALL_RULES: Final[tuple[Rule, ...]] = (*rfc5280.RULES, *ocpp.RULES, *house.RULES)


def lint_tbs(tbs: bytes, context: LintContext) -> tuple[Finding, ...]:
    """Every rule over the exact octets that will be signed; a TBSCertificate that is no DER is one finding."""
    try:
        view = parse_tbs(tbs)
    except Refused as refusal:
        return refusal.findings
    return tuple(rule.judge(message) for rule in ALL_RULES if (message := rule.find(view, context)))
