"""docs/specs/audit-entry.md shows an entry as the code makes it."""

import json
import re
from datetime import UTC, datetime
from typing import Any

from tools.page import ROOT

from chargepki.core.access.decide import SYSTEM, ActorKind
from chargepki.core.access.permissions import Permission
from chargepki.core.audit import BODY_OCTETS_MAX, FINDINGS_MAX, Act, assemble_entry
from chargepki.core.records import AuditId, Outcome
from chargepki.errors import Finding

PAGE = (ROOT / "docs" / "specs" / "audit-entry.md").read_text()
EXAMPLE: dict[str, Any] = json.loads(re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)[0])


def test_the_example_has_exactly_the_fields_that_the_code_writes() -> None:
    act = Act(SYSTEM, Permission.CERTIFICATE_ISSUE, "station:CS-17")
    entry = assemble_entry(
        AuditId("aud_1"), datetime(2026, 11, 22, tzinfo=UTC), act, Outcome.DONE, decision={}, findings=[Finding("a.b", "text")]
    )
    made = json.loads(entry.body)
    assert set(EXAMPLE) == set(made)
    assert set(EXAMPLE["actor"]) == set(made["actor"])
    assert set(EXAMPLE["findings"][0]) == set(made["findings"][0])
    assert list(EXAMPLE) == sorted(EXAMPLE)


def test_the_words_and_bounds_of_the_page_are_those_of_the_code() -> None:
    assert EXAMPLE["action"] in set(Permission)
    assert all(f"`{kind}`" in PAGE for kind in ActorKind)
    assert all(f"`{outcome}`" in PAGE for outcome in Outcome)
    assert f"{BODY_OCTETS_MAX:,} octets" in PAGE
    assert f"at most {FINDINGS_MAX} objects" in PAGE
