"""docs/reference/roles.md says what the gate does, and knows every reason that it gives."""

import re

from tools.page import SOURCE, is_current, python_files
from tools.roles import PAGE, assemble_page

from chargepki.core.access.model import Role
from chargepki.core.access.permissions import Permission
from chargepki.core.access.policy import PRODUCTION
from chargepki.core.access.reasons import REASONS

GATE = ("decide.py", "quorum.py")


def test_the_page_is_current() -> None:
    assert is_current(PAGE, assemble_page()), "make format"


def test_it_names_every_role_permission_and_rule() -> None:
    page = assemble_page()
    assert all(f"`{name}`" in page for name in (*Role, *Permission))
    assert all(f"| {rule.id} |" in page for rule in PRODUCTION.rules)


def test_every_reason_of_the_gate_is_explained() -> None:
    modules = [path for path in python_files(SOURCE / "core" / "access") if path.name in GATE]
    said = {code for path in modules for code in re.findall(r'"(access\.[a-z_.]+)"', path.read_text())}
    assert said == set(REASONS)
