"""The words of authorisation: who acts, under which grants, on what, and what others said to it.

All of it is plain data, so that a recorded decision can be made again from the log alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum, StrEnum

from chargepki.core.access.permissions import Permission
from chargepki.core.identifiers.name_spaces import NameSpace, ScopedName


class ActorKind(StrEnum):
    PERSON = "person"
    MACHINE = "machine"
    STATION = "station"
    SYSTEM = "system"  # the platform itself: bootstrap, scheduled work


class Assurance(IntEnum):
    """How sure we are who acts."""

    TOKEN = 1  # a bearer secret, a password alone
    MFA = 2  # a second factor, fresh
    HARDWARE = 3  # a key that cannot leave its device: client certificate, security key


class Plane(StrEnum):
    PLATFORM = "platform"
    CEREMONY = "ceremony"
    FEDERATION = "federation"
    PARTY = "party"
    MACHINE = "machine"
    SELF = "self"  # what everybody may do about their own account
    DEVELOPMENT = "development"  # holds everything, and only under the development policy


class Role(StrEnum):
    ADMINISTRATOR = "administrator"
    OPERATOR = "operator"
    SECURITY_OFFICER = "security-officer"
    CA_OFFICER = "ca-officer"
    REGISTRATION_OFFICER = "registration-officer"
    REVOCATION_OFFICER = "revocation-officer"
    AUDITOR = "auditor"
    KEY_CUSTODIAN = "key-custodian"
    CEREMONY_ADMINISTRATOR = "ceremony-administrator"
    WITNESS = "witness"
    ELECTOR = "elector"
    PARTY_ADMIN = "party-admin"
    REQUESTER = "requester"
    APPROVER = "approver"
    PARTY_AUDITOR = "party-auditor"
    DEVICE = "device"
    CSMS = "csms"
    FACTORY_LINE = "factory-line"
    MO_BACKEND = "mo-backend"
    OEM_BACKEND = "oem-backend"
    CPS_SIGNER = "cps-signer"
    MONITOR = "monitor"
    PLATFORM = "platform"  # the platform's own scheduled work
    SELF = "self"  # a person about their own account: held by everybody, granted by nobody
    DEVELOPER = "developer"  # development only


@dataclass(frozen=True, slots=True)
class RoleDefinition:
    role: Role
    plane: Plane
    title: str
    permissions: frozenset[Permission]


@dataclass(frozen=True, slots=True)
class Scope:
    """What a grant reaches. None is no bound; an empty set reaches nothing."""

    parties: frozenset[str] | None = None
    authorities: frozenset[str] | None = None
    profiles: frozenset[str] | None = None
    names: frozenset[NameSpace] | None = None


EVERYWHERE = Scope()


@dataclass(frozen=True, slots=True)
class Grant:
    """A role, held within a scope until a day. `narrowed_to` are permission patterns (`certificate:*:*`); None: all of the role's.

    Ids: `grt_...`; a token's grants keep the id of the grant they were narrowed from, and end with it.
    """

    id: str
    role: Role
    scope: Scope = EVERYWHERE
    until: datetime | None = None  # None only for what the platform makes anew at each start
    narrowed_to: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts. `person` is the natural person behind all their accounts: conflicts and seats are judged on it, not on `id`."""

    id: str  # "person:per_...", "token:NAME/tok_..." (a person's: "token:per_.../tok_..."), "machine:mch_...", "station:CS-17", "system"
    kind: ActorKind
    grants: tuple[Grant, ...]
    person: str = ""  # per_...; "" for what is no person's
    assurance: Assurance = Assurance.TOKEN
    other_roles: frozenset[Role] = frozenset()  # roles the same person holds elsewhere: they conflict all the same


EVERYBODY = "*"  # as a resource's party: it belongs to no one party and everybody may see it


@dataclass(frozen=True, slots=True)
class Resource:
    """What an act is about. `party` "" is the platform's own. `spaces` are the party's name spaces; None: names are not bounded."""

    party: str = ""
    authority: str = ""
    profile: str = ""
    names: tuple[ScopedName, ...] = ()
    spaces: frozenset[NameSpace] | None = None
    key: str = ""  # the kind of the public key to be certified
    count: int = 1  # of objects that the act touches at once
    role: str = ""  # of a grant that is proposed
    subject: str = ""  # the person whom it is about: they take no seat, for nobody judges in their own cause
    is_own: bool = False  # the actor's own token, session or certificate: it needs no name that a grant covers


PLATFORM_RESOURCE = Resource()
PUBLIC_RESOURCE = Resource(party=EVERYBODY)


@dataclass(frozen=True, slots=True)
class Seat:
    """A voice that a quorum needs: `count` different persons who hold `permission` over the resource, in one of `roles` if any is named."""

    permission: Permission
    count: int = 1
    roles: frozenset[Role] = frozenset()


@dataclass(frozen=True, slots=True)
class QuorumRule:
    """When an act needs more than one voice. It applies where everything given matches; the most specific rule comes first.

    `over`: only when the resource counts more than this (-1: always). `profiles`: only these (`firmware/` covers all below). `roles`:
    only when one of these is granted. `may_stand`: a standing approval fills the seats other than the proposer's, and a machine may
    take that one. `alone`: these roles need nobody else for what is the platform's own.
    """

    id: str
    permission: Permission
    seats: tuple[Seat, ...]
    open_hours: int
    cool_down_hours: int = 0
    over: int = -1
    profiles: tuple[str, ...] = ()
    roles: frozenset[Role] = frozenset()
    may_stand: bool = False
    alone: frozenset[Role] = frozenset()


@dataclass(frozen=True, slots=True)
class Policy:
    """The rules a platform runs under; `id` names them in every recorded decision."""

    id: str
    is_development: bool
    rules: tuple[QuorumRule, ...]
    assurance: Mapping[Permission, Assurance]  # the least that a permission asks of a person


@dataclass(frozen=True, slots=True)
class Vote:
    """What one voter said to exactly these bytes. `voter` is who they are now, not when they voted."""

    voter: Actor
    digest: bytes
    is_for: bool


@dataclass(frozen=True, slots=True)
class StandingApproval:
    """A rule, approved beforehand, that lets machines work: within it the approving seats count as filled.

    `used` is how many certificates it produced in the current hour, as counted by the caller.
    """

    id: str  # sta_...
    party: str
    profiles: frozenset[str]
    names: frozenset[NameSpace]  # empty: no names; `*` of a kind: all of it
    keys: frozenset[str]
    per_hour_max: int
    until: datetime
    used: int = 0


@dataclass(frozen=True, slots=True)
class Ballot:
    """What is on the table besides the actor's own word. `digest` is the SHA-256 of the proposal's exact bytes."""

    digest: bytes = b""
    votes: tuple[Vote, ...] = ()
    opened_at: datetime | None = None
    standing: tuple[StandingApproval, ...] = ()


NO_BALLOT = Ballot()


@dataclass(frozen=True, slots=True)
class Allow:
    """`via` names the grant, the rule and whoever filled its seats: "grt_1", "grt_1 sub-ca per_a,per_b", "grt_1 standing sta_3".

    `standing` is the standing approval that stood in for the others, "" where none did.
    """

    via: str
    standing: str = ""


@dataclass(frozen=True, slots=True)
class Deny:
    """`reasons` are dotted codes with a sentence each, in a stable order; never empty."""

    reasons: tuple[tuple[str, str], ...]
    is_step_up: bool = False  # the same person, signed in more strongly, might be allowed


@dataclass(frozen=True, slots=True)
class NeedsApproval:
    """Allowed as soon as `missing` is filled by others (and `not_before` has passed)."""

    rule: str
    missing: tuple[Seat, ...]
    filled: tuple[tuple[Permission, str], ...]  # seat and the person in it
    not_before: datetime | None = None


Decision = Allow | Deny | NeedsApproval
