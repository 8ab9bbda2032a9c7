"""The gate by itself: how long one decision takes, for actors and resources as a busy platform has them."""

import gc
import resource
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from chargepki.core.access.decide import decide
from chargepki.core.access.model import (
    EVERYWHERE,
    NO_BALLOT,
    Actor,
    ActorKind,
    Allow,
    Assurance,
    Ballot,
    Decision,
    Grant,
    Resource,
    Role,
    Scope,
    StandingApproval,
    Vote,
)
from chargepki.core.access.permissions import Permission
from chargepki.core.access.policy import PRODUCTION
from chargepki.core.identifiers.name_spaces import parse_name_space, station_name, station_serial
from chargepki.errors import Broken
from chargepki.testing.bench.measurement import CPU_SECONDS_MIN, Measurement

COUNT: Final = 20_000
KINDS: Final = ("alone", "standing", "votes")
_BATCH: Final = 20  # decisions per reading of the clock, which is not free
_NOW: Final = datetime(2026, 11, 22, tzinfo=UTC)
_UNTIL: Final = _NOW + timedelta(days=30)
_SPACES: Final = frozenset(map(parse_name_space, ("evse-operator:DE*ABC", "dns:example.org", "station-serial:ACME", "station:*")))
_HERE: Final = Scope(parties=frozenset({"acme"}), profiles=frozenset({"ocpp/station"}), names=_SPACES)
_STATION: Final = Resource("acme", "operator-sub", "ocpp/station", (station_name("CS-1"), station_serial("ACME-7")), _SPACES, "ecdsa-p256")


async def bench_decide(kind: str, count: int = COUNT) -> Measurement:
    """`alone`: three grants, a scope with names. `standing`: under a standing approval. `votes`: a quorum of three, five voters."""
    judge = _judge(kind)
    if not isinstance(judge(), Allow):
        raise Broken(f"the measured decision {kind} does not allow", hint="the roles changed: bench/decide.py wants a case that does")
    gc.collect()
    times: list[float] = []
    cpu = time.process_time()
    for _ in range(max(1, count // _BATCH)):
        began = time.perf_counter()
        for _ in range(_BATCH):
            judge()
        times.append((time.perf_counter() - began) / _BATCH)
    cpu_seconds = max(time.process_time() - cpu, CPU_SECONDS_MIN)
    times.sort()
    done = len(times) * _BATCH
    return Measurement(
        name=f"decide-{kind}",
        count=done,
        per_second=round(done / (sum(times) * _BATCH), 1),
        per_cpu_second=round(done / cpu_seconds, 1),
        cpu_seconds=round(cpu_seconds, 2),
        peak_rss_mb=round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
        p50_ms=round(times[len(times) // 2] * 1000, 4),
        p99_ms=round(times[len(times) * 99 // 100] * 1000, 4),
        store="none",
    )


def _judge(kind: str) -> Callable[[], Decision]:
    match kind:
        case "alone":
            return _asking(_requester(), Permission.CERTIFICATE_REVOKE, _STATION, NO_BALLOT)
        case "standing":
            names, keys = _SPACES, frozenset({"ecdsa-p256"})
            standing = StandingApproval("sta_1", "acme", frozenset({"ocpp/station"}), names, keys, 100, _UNTIL)
            return _asking(_requester(), Permission.CERTIFICATE_ISSUE, _STATION, Ballot(standing=(standing,)))
        case _:
            digest, officers = bytes(32), (_officer(number) for number in range(5))
            ballot = Ballot(b"\x01" + digest[1:], tuple(Vote(voter, b"\x01" + digest[1:], True) for voter in officers), _NOW)
            asked = Resource(authority="operator-sub-2", profile="sub/operator")
            return _asking(_administrator(), Permission.CA_AUTHORITY_CREATE, asked, ballot)


def _asking(actor: Actor, permission: Permission, about: Resource, ballot: Ballot) -> Callable[[], Decision]:
    return lambda: decide(actor, permission, about, _NOW, PRODUCTION, ballot)


def _requester() -> Actor:
    return _person("req", (Role.REQUESTER, _HERE), (Role.PARTY_ADMIN, _HERE), (Role.ELECTOR, EVERYWHERE))


def _administrator() -> Actor:
    return _person("adm", *((role, EVERYWHERE) for role in (Role.ADMINISTRATOR, Role.OPERATOR, Role.CEREMONY_ADMINISTRATOR)))


def _officer(number: int) -> Actor:
    return _person(f"cao{number}", (Role.CA_OFFICER, EVERYWHERE), (Role.REGISTRATION_OFFICER, EVERYWHERE))


def _person(name: str, *held: tuple[Role, Scope]) -> Actor:
    grants = tuple(Grant(f"grt_{name}_{role}", role, scope, _UNTIL) for role, scope in held)
    return Actor(f"person:per_{name}", ActorKind.PERSON, grants, f"per_{name}", Assurance.MFA)
