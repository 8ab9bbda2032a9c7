"""Which duties no person may hold together: refused when a role is granted, and again at every use.

Auditor against officers, administrator against officers, administrator against auditor are the three of the CIMC protection profile
(FMT_SMR.2.3); the rest keeps the seats of one quorum, and what together makes a key, in different hands.
"""

from collections.abc import Iterable
from functools import lru_cache
from itertools import product
from typing import Final

from chargepki.core.access.model import Role

PLATFORM_ROLES: Final = frozenset(
    {
        Role.ADMINISTRATOR,
        Role.OPERATOR,
        Role.SECURITY_OFFICER,
        Role.CA_OFFICER,
        Role.REGISTRATION_OFFICER,
        Role.REVOCATION_OFFICER,
        Role.AUDITOR,
    }
)
CEREMONY_ROLES: Final = frozenset({Role.KEY_CUSTODIAN, Role.CEREMONY_ADMINISTRATOR, Role.WITNESS})
PARTY_ROLES: Final = frozenset({Role.PARTY_ADMIN, Role.REQUESTER, Role.APPROVER, Role.PARTY_AUDITOR})
_CIMC_OFFICERS: Final = frozenset({Role.CA_OFFICER, Role.REGISTRATION_OFFICER, Role.REVOCATION_OFFICER})

# Everything on the left with everything on the right.
_APART: Final[tuple[tuple[Iterable[Role], Iterable[Role]], ...]] = (
    ({Role.ADMINISTRATOR}, _CIMC_OFFICERS | {Role.AUDITOR, Role.SECURITY_OFFICER, Role.KEY_CUSTODIAN}),
    ({Role.AUDITOR}, _CIMC_OFFICERS | {Role.SECURITY_OFFICER, Role.OPERATOR, Role.KEY_CUSTODIAN, Role.CEREMONY_ADMINISTRATOR}),
    ({Role.OPERATOR}, {Role.KEY_CUSTODIAN}),  # a backup and a share are a key
    ({Role.CEREMONY_ADMINISTRATOR}, {Role.KEY_CUSTODIAN, Role.WITNESS, Role.SECURITY_OFFICER}),
    ({Role.KEY_CUSTODIAN}, {Role.WITNESS}),
    ({Role.REQUESTER}, {Role.APPROVER}),
    ({Role.PARTY_ADMIN}, {Role.APPROVER}),  # whoever makes requesters does not agree to what they order
    ({Role.PARTY_AUDITOR}, PARTY_ROLES - {Role.PARTY_AUDITOR}),
    (PARTY_ROLES, PLATFORM_ROLES | CEREMONY_ROLES),  # whoever serves one party does not judge over all
)
CONFLICTS: Final = frozenset(frozenset(pair) for left, right in _APART for pair in product(left, right))


def find_conflicts(roles: Iterable[Role]) -> tuple[tuple[Role, Role], ...]:
    """The pairs among `roles` that one person may not hold, in alphabetical order."""
    return _find(frozenset(roles))


@lru_cache(maxsize=1_024)  # sets of roles that people hold; a platform has a few dozen
def _find(roles: frozenset[Role]) -> tuple[tuple[Role, Role], ...]:
    held = sorted(roles)
    return tuple((one, other) for one in held for other in held if one < other and frozenset((one, other)) in CONFLICTS)
