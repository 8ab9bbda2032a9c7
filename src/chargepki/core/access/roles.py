"""The roles: what each may do, who may hold it. There is no role that may do everything, but the developer's on a development platform."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import lru_cache
from types import MappingProxyType
from typing import Final

from chargepki.core.access.conflicts import find_conflicts
from chargepki.core.access.model import ActorKind, Plane, Role, RoleDefinition, Scope
from chargepki.core.access.permissions import Permission
from chargepki.errors import Finding

__all__ = ["ROLES", "find_conflicts", "find_grant_faults", "may_hold", "pattern_covers", "permissions_of"]

P = Permission

_SEE: Final = frozenset({P.CA_AUTHORITY_READ, P.PROFILE_READ})  # what is public anyway
_SEE_WORK: Final = _SEE | {P.CERTIFICATE_READ, P.INVENTORY_STATION_READ, P.ACCESS_PARTY_READ, P.APPROVAL_PROPOSAL_READ}
_SEE_ALL: Final = frozenset(permission for permission in P if permission.endswith(":read"))
_OWN_TOKENS: Final = frozenset({P.ACCESS_TOKEN_CREATE, P.ACCESS_TOKEN_READ, P.ACCESS_TOKEN_REVOKE})  # never more than the holder may do
_ORDER: Final = frozenset(
    {
        P.CERTIFICATE_EXPORT_KEY,
        P.CERTIFICATE_ISSUE,
        P.INVENTORY_STATION_WRITE,
        P.REGISTRATION_BATCH_CREATE,
        P.REGISTRATION_CREDENTIAL_CREATE,
        P.STATION_COMMAND,
    }
)
_HOLD: Final = frozenset({P.REVOCATION_EMERGENCY_CONFIRM, P.REVOCATION_EMERGENCY_SUSPEND})  # to confirm takes others, too
_BACKEND: Final = _SEE | _OWN_TOKENS | {P.CERTIFICATE_ISSUE, P.CERTIFICATE_READ, P.CERTIFICATE_REVOKE}


def _define(role: Role, plane: Plane, title: str, *permissions: Iterable[Permission]) -> tuple[Role, RoleDefinition]:
    return role, RoleDefinition(role, plane, title, frozenset().union(*permissions))


ROLES: Final[Mapping[Role, RoleDefinition]] = MappingProxyType(
    dict(
        (
            _define(
                Role.ADMINISTRATOR,
                Plane.PLATFORM,
                "configures, keeps accounts and parties; proposes grants, profiles and authorities",
                _SEE_WORK,
                _OWN_TOKENS,
                {P.ACCESS_ACCOUNT_READ, P.ACCESS_ACCOUNT_WRITE, P.ACCESS_MACHINE_WRITE, P.ACCESS_PARTY_WRITE},
                {P.ACCESS_GRANT_PROPOSE, P.ACCESS_GRANT_READ, P.ACCESS_SESSION_READ, P.ACCESS_SESSION_REVOKE},
                {P.APPROVAL_STANDING_PROPOSE, P.APPROVAL_STANDING_READ},
                {P.CA_AUTHORITY_CREATE, P.PROFILE_DEFINITION_PROPOSE, P.SYSTEM_CONFIG_WRITE},
            ),
            _define(
                Role.OPERATOR,
                Plane.PLATFORM,
                "runs it day by day: jobs, CRLs, backups, orders; half of a restore",
                _SEE_WORK,
                _OWN_TOKENS,
                _ORDER,
                {
                    P.APPROVAL_STANDING_READ,
                    P.CA_CRL_ISSUE,
                    P.CA_KEY_READ,
                    P.SYSTEM_BACKUP_CREATE,
                    P.SYSTEM_BACKUP_RESTORE,
                    P.SYSTEM_JOB_CONTROL,
                },
            ),
            _define(
                Role.SECURITY_OFFICER,
                Plane.PLATFORM,
                "approves grants, profiles and ceremony scripts; holds in an emergency",
                _SEE_WORK,
                {P.ACCESS_ACCOUNT_READ, P.ACCESS_GRANT_APPROVE, P.ACCESS_GRANT_READ, P.ACCESS_SESSION_READ, P.ACCESS_SESSION_REVOKE},
                {P.APPROVAL_STANDING_READ, P.CA_KEY_READ, P.CEREMONY_SCRIPT_APPROVE, P.PROFILE_DEFINITION_ACTIVATE},
                _HOLD,
            ),
            _define(
                Role.CA_OFFICER,
                Plane.PLATFORM,
                "approves authorities, profiles, bulk work and firmware",
                _SEE_WORK,
                {P.CA_CERTIFICATE_APPROVE, P.CA_KEY_READ, P.CERTIFICATE_BULK_APPROVE, P.FIRMWARE_IMAGE_APPROVE},
                {P.PROFILE_DEFINITION_ACTIVATE, P.REGISTRATION_BATCH_APPROVE},
                {P.REVOCATION_BULK_APPROVE},
                _HOLD,
            ),
            _define(
                Role.REGISTRATION_OFFICER,
                Plane.PLATFORM,
                "vets parties and their name spaces, approves requests and standing approvals",
                _SEE_WORK,
                {P.APPROVAL_STANDING_APPROVE, P.APPROVAL_STANDING_READ, P.CERTIFICATE_BULK_APPROVE, P.CERTIFICATE_REQUEST_APPROVE},
                {P.REGISTRATION_BATCH_APPROVE, P.REGISTRATION_CREDENTIAL_CREATE, P.REGISTRATION_IDENTITY_APPROVE},
            ),
            _define(
                Role.REVOCATION_OFFICER,
                Plane.PLATFORM,
                "revokes, alone and in bulk",
                _SEE_WORK,
                {P.CERTIFICATE_REVOKE, P.REVOCATION_BULK_APPROVE, P.REVOCATION_BULK_PROPOSE},
                {P.REVOCATION_REQUEST_APPROVE},
                _HOLD,
            ),
            _define(
                Role.AUDITOR,
                Plane.PLATFORM,
                "reads everything, exports, signs reviews; changes nothing",
                _SEE_ALL,
                {P.AUDIT_EXPORT_CREATE, P.AUDIT_REVIEW_SIGN},
            ),
            _define(
                Role.KEY_CUSTODIAN,
                Plane.CEREMONY,
                "holds one share of a key; acts inside a ceremony only",
                _SEE,
                {P.APPROVAL_PROPOSAL_READ, P.CA_KEY_DESTROY, P.CA_KEY_GENERATE, P.CA_KEY_READ, P.CA_KEY_RESTORE},
            ),
            _define(
                Role.CEREMONY_ADMINISTRATOR,
                Plane.CEREMONY,
                "runs the script, holds no share",
                _SEE,
                {P.APPROVAL_PROPOSAL_READ, P.CA_KEY_READ, P.CEREMONY_SCRIPT_RUN},
            ),
            _define(
                Role.WITNESS,
                Plane.CEREMONY,
                "signs the transcript, records deviations",
                _SEE,
                {P.APPROVAL_PROPOSAL_READ, P.AUDIT_PROOF_READ, P.CEREMONY_TRANSCRIPT_WITNESS},
            ),
            _define(
                Role.ELECTOR,
                Plane.FEDERATION,
                "proposes and votes on trust lists, for an organisation",
                _SEE,
                {P.APPROVAL_PROPOSAL_READ, P.TRUSTLIST_ENTRY_PROPOSE, P.TRUSTLIST_ENTRY_VOTE},
            ),
            _define(
                Role.PARTY_ADMIN,
                Plane.PARTY,
                "its own people, machines, tokens and stations",
                _SEE_WORK,
                _OWN_TOKENS,
                {P.ACCESS_ACCOUNT_READ, P.ACCESS_ACCOUNT_WRITE, P.ACCESS_MACHINE_WRITE, P.ACCESS_GRANT_PROPOSE, P.ACCESS_GRANT_READ},
                {P.ACCESS_SESSION_READ, P.ACCESS_SESSION_REVOKE, P.APPROVAL_STANDING_PROPOSE, P.APPROVAL_STANDING_READ},
                {P.INVENTORY_STATION_WRITE},
            ),
            _define(
                Role.REQUESTER,
                Plane.PARTY,
                "registers stations, orders certificates and revokes them",
                _SEE_WORK,
                _OWN_TOKENS,
                _ORDER,
                {P.CERTIFICATE_REVOKE},
            ),
            _define(
                Role.APPROVER,
                Plane.PARTY,
                "approves what its party's requesters ordered; revokes",
                _SEE_WORK,
                {P.CERTIFICATE_REQUEST_APPROVE, P.CERTIFICATE_REVOKE},
            ),
            _define(
                Role.PARTY_AUDITOR,
                Plane.PARTY,
                "reads its party's part of everything, with proofs",
                _SEE_ALL - {P.CA_KEY_READ},
            ),
            _define(
                Role.DEVICE,
                Plane.MACHINE,
                "a station: connects, reports, renews its own certificate",
                {P.CERTIFICATE_ISSUE, P.STATION_CONNECT, P.STATION_REPORT},
            ),
            _define(
                Role.CSMS,
                Plane.MACHINE,
                "an operator's backend: orders and renews for its stations",
                _BACKEND,
                {P.INVENTORY_STATION_READ, P.INVENTORY_STATION_WRITE, P.REGISTRATION_CREDENTIAL_CREATE, P.STATION_COMMAND},
            ),
            _define(
                Role.FACTORY_LINE,
                Plane.MACHINE,
                "a line that makes stations: registers them and orders their first certificates",
                _SEE,
                {P.CERTIFICATE_ISSUE, P.CERTIFICATE_READ, P.INVENTORY_STATION_READ, P.INVENTORY_STATION_WRITE},
            ),
            _define(Role.MO_BACKEND, Plane.MACHINE, "a mobility operator's backend: contract certificates of its eMAIDs", _BACKEND),
            _define(Role.OEM_BACKEND, Plane.MACHINE, "a car maker's backend: provisioning certificates of its WMIs", _BACKEND),
            _define(
                Role.CPS_SIGNER,
                Plane.MACHINE,
                "signs contract data for cars",
                _SEE,
                {P.CERTIFICATE_ISSUE, P.CERTIFICATE_READ},
            ),
            _define(Role.MONITOR, Plane.MACHINE, "watches health and the log's proofs", _SEE, {P.AUDIT_PROOF_READ}),
            _define(
                Role.PLATFORM,
                Plane.MACHINE,
                "the platform's own scheduled work",
                _SEE_WORK,
                {P.ACCESS_PARTY_WRITE, P.ACCESS_SESSION_CREATE, P.CA_AUTHORITY_CREATE, P.CA_CRL_ISSUE},
                {P.CERTIFICATE_ISSUE, P.CERTIFICATE_REVOKE, P.STATUS_RESPONDER_SIGN},
                {P.SYSTEM_BOOTSTRAP, P.SYSTEM_INTENT_REVIEW, P.SYSTEM_JOB_CONTROL},
            ),
            _define(
                Role.SELF,
                Plane.SELF,
                "everybody about their own account: signs in, accepts what is offered",
                {P.ACCESS_GRANT_ACCEPT, P.ACCESS_SESSION_CREATE},
            ),
            _define(Role.DEVELOPER, Plane.DEVELOPMENT, "everything, alone, on a development platform", P),
        )
    )
)

_MACHINES: Final = frozenset({ActorKind.MACHINE, ActorKind.STATION})
_HOLDERS: Final[Mapping[Plane, frozenset[ActorKind]]] = {
    Plane.PLATFORM: frozenset({ActorKind.PERSON}),
    Plane.CEREMONY: frozenset({ActorKind.PERSON}),
    Plane.FEDERATION: frozenset({ActorKind.PERSON}),
    Plane.PARTY: frozenset({ActorKind.PERSON}),
    Plane.MACHINE: _MACHINES,
    Plane.SELF: frozenset({ActorKind.PERSON}),
    Plane.DEVELOPMENT: frozenset(ActorKind),
}


def may_hold(kind: ActorKind, role: Role) -> bool:
    """Officers are people, who have a second factor; what works by itself has a role made for that. PLATFORM is the system's alone."""
    if role is Role.PLATFORM:
        return kind is ActorKind.SYSTEM
    return kind in _HOLDERS[ROLES[role].plane]


def pattern_covers(pattern: str, permission: str) -> bool:
    """True when every segment of `pattern` is `*` or equals the permission's."""
    have, want = pattern.split(":"), permission.split(":")
    return len(have) == len(want) and all(h in ("*", w) for h, w in zip(have, want, strict=True))


@lru_cache(maxsize=4_096)  # roles by the patterns they were narrowed to, of the tokens in use
def permissions_of(role: Role, kind: ActorKind, narrowed_to: frozenset[str] | None) -> frozenset[Permission]:
    """What a grant of `role` gives to an actor of this kind. A pattern that matches no permission gives nothing."""
    if not may_hold(kind, role):
        return frozenset()
    held = ROLES[role].permissions
    if narrowed_to is None:
        return held
    return frozenset(permission for permission in held if any(pattern_covers(pattern, permission) for pattern in narrowed_to))


def find_grant_faults(kind: ActorKind, role: Role, scope: Scope, until: datetime | None, held: Iterable[Role]) -> tuple[Finding, ...]:
    """Why this role should not be granted to such a holder, who holds `held` already. Asked at grant time; `decide` asks again."""
    return tuple(_find_grant_faults(kind, role, scope, until, frozenset(held)))


def _find_grant_faults(kind: ActorKind, role: Role, scope: Scope, until: datetime | None, held: frozenset[Role]) -> Iterable[Finding]:
    if not may_hold(kind, role):
        yield Finding("access.grant.holder", f"{role} is not for a {kind}", path="role", hint="people hold offices, machines machine roles")
    if until is None:
        yield Finding("access.grant.endless", "every grant ends", path="until", hint="12 months for people, 90 days for machines")
    if ROLES[role].plane in (Plane.PARTY, Plane.MACHINE) and role is not Role.MONITOR and not scope.parties:
        yield Finding("access.grant.party", f"{role} is held for named parties", path="scope.parties", hint="--party demo-cpo")
    for one, other in find_conflicts(held | {role}):
        if role in (one, other):
            yield Finding("access.conflict", f"nobody may be {one} and {other} at once", path="role", clause="CIMC FMT_SMR.2.3")
    if kind is not ActorKind.PERSON and held - {role}:
        yield Finding("access.machine.roles", f"a machine holds one role; this one is {', '.join(sorted(held))}", path="role")
