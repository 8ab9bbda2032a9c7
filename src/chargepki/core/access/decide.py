"""The only gate: may this actor do this?"""

from dataclasses import dataclass
from enum import StrEnum

from chargepki.core.access.permissions import Permission
from chargepki.errors import Finding, NotAuthorised


class ActorKind(StrEnum):
    PERSON = "person"
    MACHINE = "machine"
    STATION = "station"
    SYSTEM = "system"  # the platform itself: bootstrap, scheduled work


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts. `scopes` are permission patterns, `*` stands for one whole segment: `certificate:*:*`."""

    id: str
    kind: ActorKind
    role: str
    scopes: frozenset[str]


SYSTEM = Actor("system", ActorKind.SYSTEM, "system", frozenset({"*:*:*"}))


@dataclass(frozen=True, slots=True)
class Allow:
    via: str  # the scope that matched


@dataclass(frozen=True, slots=True)
class Deny:
    reason: str


def decide(actor: Actor, permission: Permission) -> Allow | Deny:
    """A pure function of its inputs, so that a recorded decision can be replayed."""
    for scope in sorted(actor.scopes):
        if covers(scope, permission):
            return Allow(via=scope)
    return Deny(reason=f"{actor.id} has no scope that covers {permission}")


def covers(scope: str, wanted: str) -> bool:
    """True when every segment of `scope` is `*` or equals the wanted one."""
    have, want = scope.split(":"), wanted.split(":")
    return len(have) == len(want) and all(h in ("*", w) for h, w in zip(have, want, strict=True))


def check_allowed(actor: Actor, permission: Permission) -> Allow:
    """Raises `NotAuthorised` on a denial."""
    match decide(actor, permission):
        case Allow() as allowed:
            return allowed
        case Deny(reason):
            raise NotAuthorised(Finding("access.scope.missing", reason, hint=f"ask for a token with the scope {permission}"))
