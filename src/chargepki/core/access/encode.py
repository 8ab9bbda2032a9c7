"""The words of authorisation as JSON values: for the log, from which decisions are made again, and for columns.

What has its default is left out. A decoder takes any JSON value and answers with the value or with `Refused`; it never trusts a length.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from enum import Enum
from typing import Final, TypeVar

from chargepki.core.access.model import (
    EVERYWHERE,
    Actor,
    ActorKind,
    Allow,
    Assurance,
    Ballot,
    Decision,
    Deny,
    Grant,
    NeedsApproval,
    Resource,
    Role,
    Scope,
    Seat,
    StandingApproval,
    Vote,
)
from chargepki.core.access.permissions import Permission
from chargepki.core.access.quorum import VOTES_MAX
from chargepki.core.canonical_json import JsonValue
from chargepki.core.identifiers.name_spaces import NameSpace, parse_name_space, parse_scoped_name
from chargepki.errors import Refused

TEXT_MAX: Final = 320  # the longest are name spaces of host names
SENTENCE_MAX: Final = 8 * 1_024  # reasons, and who filled the seats: a few names and ids each
GRANTS_MAX: Final = 64  # of one actor; a person holds a few, a token those of its maker
SET_MAX: Final = 1_024  # members of one bound of a scope: parties, authorities, profiles, name spaces
NAMES_MAX: Final = 10_000  # names of one act: a large batch
STANDING_MAX: Final = 256  # standing approvals that could fit one order
REASONS_MAX: Final = 512  # four bounds of every grant, and those of the actor itself
COUNT_MAX: Final = 2**53 - 1  # RFC 8785 3.2.2.3: integers that every JSON reader keeps
DIGEST_OCTETS: Final = 32

T = TypeVar("T")
E = TypeVar("E", bound=Enum)


def encode_actor(actor: Actor) -> JsonValue:
    body: dict[str, JsonValue] = {"id": actor.id, "kind": actor.kind, "grants": [encode_grant(grant) for grant in actor.grants]}
    if actor.person:
        body["person"] = actor.person
    if actor.assurance is not Assurance.TOKEN:
        body["assurance"] = int(actor.assurance)
    if actor.other_roles:
        body["other_roles"] = sorted(actor.other_roles)
    return body


def decode_actor(value: JsonValue) -> Actor:
    body = _Object(value, "actor")
    return Actor(
        body.text("id"),
        body.member("kind", ActorKind),
        body.items("grants", decode_grant, GRANTS_MAX),
        body.text("person", ""),
        _assurance(body.number("assurance", int(Assurance.TOKEN))),
        frozenset(body.items("other_roles", _role, len(Role))),
    )


def encode_grant(grant: Grant) -> JsonValue:
    body: dict[str, JsonValue] = {"id": grant.id, "role": grant.role}
    if grant.scope != EVERYWHERE:
        body["scope"] = encode_scope(grant.scope)
    if grant.until is not None:
        body["until"] = _spell_time(grant.until)
    if grant.narrowed_to is not None:
        body["narrowed_to"] = sorted(grant.narrowed_to)
    return body


def decode_grant(value: JsonValue) -> Grant:
    body = _Object(value, "grant")
    scope = decode_scope(body.get("scope")) if "scope" in body else EVERYWHERE
    return Grant(body.text("id"), body.member("role", Role), scope, body.time("until"), body.texts("narrowed_to"))


def encode_scope(scope: Scope) -> JsonValue:
    body: dict[str, JsonValue] = {
        name: sorted(bound)
        for name, bound in (("parties", scope.parties), ("authorities", scope.authorities), ("profiles", scope.profiles))
        if bound is not None
    }
    if scope.names is not None:
        body["names"] = sorted(map(str, scope.names))
    return body


def decode_scope(value: JsonValue) -> Scope:
    body = _Object(value, "scope")
    names = frozenset(body.items("names", _space, SET_MAX)) if "names" in body else None
    return Scope(body.texts("parties"), body.texts("authorities"), body.texts("profiles"), names)


def encode_resource(resource: Resource) -> JsonValue:
    texts = (
        ("party", resource.party),
        ("authority", resource.authority),
        ("profile", resource.profile),
        ("key", resource.key),
        ("role", resource.role),
        ("subject", resource.subject),
    )
    body: dict[str, JsonValue] = {name: text for name, text in texts if text}
    if resource.names:
        body["names"] = [str(name) for name in resource.names]
    if resource.spaces is not None:
        body["spaces"] = sorted(map(str, resource.spaces))
    if resource.count != 1:
        body["count"] = resource.count
    if resource.is_own:
        body["own"] = True
    return body


def decode_resource(value: JsonValue) -> Resource:
    body = _Object(value, "resource")
    return Resource(
        body.text("party", ""),
        body.text("authority", ""),
        body.text("profile", ""),
        body.items("names", lambda name: parse_scoped_name(_text(name)), NAMES_MAX),
        frozenset(body.items("spaces", _space, SET_MAX)) if "spaces" in body else None,
        body.text("key", ""),
        body.number("count", 1),
        body.text("role", ""),
        body.text("subject", ""),
        body.flag("own", False),
    )


def encode_ballot(ballot: Ballot) -> JsonValue:
    body: dict[str, JsonValue] = {"digest": ballot.digest.hex()}
    if ballot.votes:
        body["votes"] = [encode_vote(vote) for vote in ballot.votes]
    if ballot.opened_at is not None:
        body["opened_at"] = _spell_time(ballot.opened_at)
    if ballot.standing:
        body["standing"] = [encode_standing(approval) for approval in ballot.standing]
    return body


def decode_ballot(value: JsonValue) -> Ballot:
    body = _Object(value, "ballot")
    votes = body.items("votes", decode_vote, VOTES_MAX)
    return Ballot(body.digest("digest"), votes, body.time("opened_at"), body.items("standing", decode_standing, STANDING_MAX))


def encode_vote(vote: Vote) -> JsonValue:
    return {"voter": encode_actor(vote.voter), "digest": vote.digest.hex(), "for": vote.is_for}


def decode_vote(value: JsonValue) -> Vote:
    body = _Object(value, "vote")
    return Vote(decode_actor(body.get("voter")), body.digest("digest"), body.flag("for"))


def encode_standing(approval: StandingApproval) -> JsonValue:
    return {
        "id": approval.id,
        "party": approval.party,
        "profiles": sorted(approval.profiles),
        "names": sorted(map(str, approval.names)),
        "keys": sorted(approval.keys),
        "per_hour_max": approval.per_hour_max,
        "until": _spell_time(approval.until),
        "used": approval.used,
    }


def decode_standing(value: JsonValue) -> StandingApproval:
    body = _Object(value, "standing")
    until = body.time("until")
    if until is None:
        raise _malformed("standing.until", "a standing approval ends")
    return StandingApproval(
        body.text("id"),
        body.text("party"),
        body.texts("profiles") or frozenset(),
        frozenset(body.items("names", _space, SET_MAX)),
        body.texts("keys") or frozenset(),
        body.number("per_hour_max"),
        until,
        body.number("used", 0),
    )


def encode_decision(decision: Decision) -> JsonValue:
    match decision:
        case Allow(via, standing):
            return {"allow": via, **({"standing": standing} if standing else {})}
        case Deny(reasons, is_step_up):
            return {"deny": [list(reason) for reason in reasons], **({"step_up": True} if is_step_up else {})}
        case NeedsApproval(rule, missing, filled, not_before):
            body: dict[str, JsonValue] = {
                "needs": rule,
                "missing": [_encode_seat(seat) for seat in missing],
                "filled": [[permission, person] for permission, person in filled],
            }
            return body if not_before is None else {**body, "not_before": _spell_time(not_before)}


def decode_decision(value: JsonValue) -> Decision:
    body = _Object(value, "decision")
    if "allow" in body:
        return Allow(_text(body.get("allow"), "decision.allow", SENTENCE_MAX), body.text("standing", ""))
    if "deny" in body:
        reasons = body.items("deny", _pair, REASONS_MAX)
        if not reasons:
            raise _malformed("decision.deny", "a denial has reasons")
        return Deny(reasons, body.flag("step_up", False))
    filled = tuple((_permission(permission), person) for permission, person in body.items("filled", _pair, VOTES_MAX))
    return NeedsApproval(body.text("needs"), body.items("missing", _decode_seat, VOTES_MAX), filled, body.time("not_before"))


def _encode_seat(seat: Seat) -> JsonValue:
    return {"permission": seat.permission, "count": seat.count, **({"roles": sorted(seat.roles)} if seat.roles else {})}


def _decode_seat(value: JsonValue) -> Seat:
    body = _Object(value, "seat")
    return Seat(body.member("permission", Permission), body.number("count", 1), frozenset(body.items("roles", _role, len(Role))))


class _Object:
    """A JSON object that is read field by field; a field of the wrong shape is `Refused` with its path."""

    def __init__(self, value: JsonValue, path: str) -> None:
        if not isinstance(value, Mapping):
            raise _malformed(path, "an object is expected")
        self._value, self._path = value, path

    def __contains__(self, name: str) -> bool:
        return name in self._value

    def get(self, name: str) -> JsonValue:
        return self._value.get(name)

    def text(self, name: str, default: str | None = None) -> str:
        return default if default is not None and name not in self else _text(self.get(name), self._at(name))

    def number(self, name: str, default: int | None = None) -> int:
        value = self._value.get(name, default)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= COUNT_MAX:
            raise _malformed(self._at(name), "a number is expected")
        return value

    def flag(self, name: str, default: bool | None = None) -> bool:
        value = self._value.get(name, default)
        if not isinstance(value, bool):
            raise _malformed(self._at(name), "true or false is expected")
        return value

    def member(self, name: str, kind: type[E]) -> E:
        return _member(self.get(name), kind, self._at(name))

    def items(self, name: str, decode: Callable[[JsonValue], T], count_max: int) -> tuple[T, ...]:
        value = self._value.get(name, ())
        if not isinstance(value, Sequence) or isinstance(value, str) or len(value) > count_max:
            raise _malformed(self._at(name), f"a list of at most {count_max} is expected")
        return tuple(decode(item) for item in value)

    def texts(self, name: str) -> frozenset[str] | None:
        return frozenset(self.items(name, _text, SET_MAX)) if name in self else None

    def time(self, name: str) -> datetime | None:
        return _parse_time(self.text(name), self._at(name)) if name in self else None

    def digest(self, name: str) -> bytes:
        text = self.text(name)
        try:
            octets = bytes.fromhex(text)
        except ValueError:
            octets = b"?"
        if len(octets) not in (0, DIGEST_OCTETS) or octets.hex() != text:
            raise _malformed(self._at(name), "a SHA-256 in hex is expected")
        return octets

    def _at(self, name: str) -> str:
        return f"{self._path}.{name}"


def _text(value: JsonValue, path: str = "text", length_max: int = TEXT_MAX) -> str:
    if not isinstance(value, str) or len(value) > length_max:
        raise _malformed(path, f"a text of at most {length_max} characters is expected")
    return value


def _member(value: JsonValue, kind: type[E], path: str) -> E:
    try:
        return kind(_text(value, path))
    except ValueError:
        raise _malformed(path, f"there is no such {kind.__name__.lower()}") from None


def _role(value: JsonValue) -> Role:
    return _member(value, Role, "role")


def _permission(value: JsonValue) -> Permission:
    return _member(value, Permission, "permission")


def _space(value: JsonValue) -> NameSpace:
    return parse_name_space(_text(value))


def _assurance(number: int) -> Assurance:
    try:
        return Assurance(number)
    except ValueError:
        raise _malformed("actor.assurance", f"there is no assurance {number}") from None


def _pair(value: JsonValue) -> tuple[str, str]:
    match value:
        case [str(one), str(other)]:
            return _text(one), _text(other, "pair", SENTENCE_MAX)
    raise _malformed("pair", "two texts are expected")


def _spell_time(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _parse_time(text: str, path: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
        if at.tzinfo is not None:
            return at.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise _malformed(path, "a time with its zone is expected: 2026-11-22T09:00:00Z")


def _malformed(path: str, message: str) -> Refused:
    return Refused.because("access.record.malformed", f"{path}: {message}", path=path)
