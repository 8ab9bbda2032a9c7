"""People, machines and things to decide about."""

from datetime import UTC, datetime, timedelta

from chargepki.core.access.decide import decide
from chargepki.core.access.model import (
    EVERYWHERE,
    NO_BALLOT,
    PLATFORM_RESOURCE,
    Actor,
    ActorKind,
    Assurance,
    Ballot,
    Decision,
    Grant,
    Policy,
    Resource,
    Role,
    Scope,
    Vote,
)
from chargepki.core.access.permissions import Permission
from chargepki.core.access.policy import PRODUCTION
from chargepki.core.identifiers.name_spaces import NameSpace, parse_name_space, station_name, station_serial

NOW = datetime(2026, 11, 22, 9, tzinfo=UTC)
LATER = NOW + timedelta(days=90)
DIGEST = b"\x11" * 32
ACME = frozenset({"acme"})


def spaces(*texts: str) -> frozenset[NameSpace]:
    return frozenset(map(parse_name_space, texts))


ACME_SPACES = spaces("station:*", "station-serial:ACME", "dns:acme.example", "evse-operator:DE*ABC")
AT_ACME = Scope(parties=ACME)
STATION = Resource("acme", "operator-sub", "ocpp/station", (station_name("CS-1"), station_serial("ACME-7")), ACME_SPACES, "ecdsa-p256")


def grant(
    role: Role, scope: Scope = EVERYWHERE, *, id: str = "", until: datetime | None = LATER, only: frozenset[str] | None = None
) -> Grant:
    return Grant(id or f"grt_{role}", role, scope, until, only)


def person(name: str, *roles: Role, scope: Scope = EVERYWHERE, assurance: Assurance = Assurance.MFA, account: str = "") -> Actor:
    grants = tuple(grant(role, scope, id=f"grt_{name}_{role}") for role in roles)
    return Actor(f"person:{account or name}", ActorKind.PERSON, grants, f"per_{name}", assurance)


def machine(*roles: Role, scope: Scope = AT_ACME) -> Actor:
    return Actor("machine:mch_1", ActorKind.MACHINE, tuple(grant(role, scope) for role in roles))


def ballot(*voters: Actor, against: tuple[Actor, ...] = (), opened_at: datetime | None = NOW) -> Ballot:
    votes = (*(Vote(voter, DIGEST, True) for voter in voters), *(Vote(voter, DIGEST, False) for voter in against))
    return Ballot(DIGEST, votes, opened_at)


def judged(
    actor: Actor,
    permission: Permission,
    resource: Resource = PLATFORM_RESOURCE,
    votes: Ballot = NO_BALLOT,
    *,
    now: datetime = NOW,
    policy: Policy = PRODUCTION,
) -> Decision:
    return decide(actor, permission, resource, now, policy, votes)
