"""Why the gate says no: every code a denial can carry, in words. docs/reference/roles.md prints them."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

REASONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "access.assurance": "the actor is not known surely enough: a second factor, or a key in hardware, is asked for",
        "access.conflict": "this person holds two duties that nobody may hold together, in whatever accounts",
        "access.machine.roles": "a machine holds several roles; it may have one",
        "access.permission.missing": "no live grant gives the permission to this kind of actor",
        "access.permission.unknown": "there is no such permission",
        "access.role.development": "a role for development platforms is held on a platform in production",
        "access.scope.authority": "a grant gives the permission, for other authorities",
        "access.scope.name": "a grant gives the permission, for other names",
        "access.scope.party": "a grant gives the permission, for other parties",
        "access.scope.profile": "a grant gives the permission, for other profiles",
        "access.seat.none": "others have to agree, and the actor can take no seat among them: a machine, for instance, or whom it is about",
        "access.space.name": "the name lies in none of the party's name spaces",
        "access.vote.against": "somebody who has a say voted against it",
        "access.vote.closed": "the time for voting is over",
        "access.vote.many": "the ballot has more votes than any platform has officers",
    }
)
