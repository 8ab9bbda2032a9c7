"""docs/specs/audit-entry.md shows an entry as the code makes it."""

import json
import re
from datetime import UTC, datetime
from typing import Any

from tools.page import ROOT

from chargepki.core import canonical_json
from chargepki.core.access.decide import SYSTEM
from chargepki.core.access.model import ActorKind, Allow, Resource
from chargepki.core.access.permissions import Permission
from chargepki.core.access.replay import decode_judgement, find_deviation
from chargepki.core.audit import BODY_OCTETS_MAX, FINDINGS_MAX, SALT_OCTETS, Act, Judgement, assemble_entry
from chargepki.core.leaves import parse_leaf
from chargepki.core.records import AuditId, Outcome

PAGE = (ROOT / "docs" / "specs" / "audit-entry.md").read_text()
EXAMPLE: dict[str, Any] = json.loads(re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)[0])
NOW = datetime(2026, 11, 22, tzinfo=UTC)


def test_the_example_has_exactly_the_fields_that_the_code_writes() -> None:
    act = Act(SYSTEM, Permission.CERTIFICATE_ISSUE, "station:CS-17", remote="192.0.2.17")
    judgement = Judgement(Allow("system"), Resource(), "production-1", NOW)
    entry = assemble_entry(AuditId("aud_1"), NOW, act, Outcome.DONE, judgement=judgement, salt=b"1" * SALT_OCTETS)
    made = json.loads(entry.body)
    assert set(EXAMPLE) == set(made)
    assert set(EXAMPLE["personal"]) == set(made["personal"])
    assert set(made["judgement"]) | {"ballot"} == set(EXAMPLE["judgement"])
    assert list(EXAMPLE) == sorted(EXAMPLE)


def test_the_decision_of_the_example_follows_from_the_example() -> None:
    leaf = parse_leaf(canonical_json.encode(EXAMPLE))
    recorded = decode_judgement(leaf.action, leaf.judgement)
    assert isinstance(recorded.decision, Allow)
    assert find_deviation(recorded) is None


def test_the_words_and_bounds_of_the_page_are_those_of_the_code() -> None:
    assert EXAMPLE["action"] in set(Permission)
    assert all(f"`{kind}`" in PAGE for kind in ActorKind)
    assert all(f"`{outcome}`" in PAGE for outcome in Outcome)
    assert all(f"| `{name}` |" in PAGE or f"`{name}`, `" in PAGE or f"`, `{name}` |" in PAGE for name in EXAMPLE)
    assert f"{BODY_OCTETS_MAX:,} octets" in PAGE
    assert f"at most {FINDINGS_MAX} objects" in PAGE
    assert f"a salt of {SALT_OCTETS} random octets" in PAGE
