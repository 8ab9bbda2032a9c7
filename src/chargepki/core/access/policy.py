"""The policies as data: what needs more than one person, and how surely a person must be known.

The first rule that applies is the one that counts, so the narrower stands before the wider.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from chargepki.core.access.model import Assurance, Plane, Policy, QuorumRule, Role, Seat
from chargepki.core.access.permissions import Permission
from chargepki.core.access.roles import ROLES

P = Permission

HOURS_A_DAY: Final = 24
SCHEDULED: Final = 30 * HOURS_A_DAY  # a ceremony has a date; a month is room enough to keep it
BATCH_ALONE_MAX: Final = 100  # a pallet of stations; a whole production run asks for a second look
REVOKED_ALONE_MAX: Final = 100  # a site; more of them at once stop a region's charging

# Whatever is not a party's own: what its administrator gives to people and machines, within the party
_TRUSTED: Final = frozenset(role for role in Role if role is Role.PLATFORM or ROLES[role].plane not in (Plane.PARTY, Plane.MACHINE))
_SCRIPT: Final = (Seat(P.CEREMONY_SCRIPT_APPROVE), Seat(P.CEREMONY_SCRIPT_RUN))

# What issues within a party, or says who may: an administrator with puppets in these roles would be requester and approver in one
_ISSUING: Final = frozenset(
    role for role in Role if ROLES[role].plane is Plane.MACHINE and P.CERTIFICATE_ISSUE in ROLES[role].permissions
) - {Role.PLATFORM}
_SECOND_LOOK: Final = _ISSUING | {Role.APPROVER, Role.PARTY_ADMIN}
_AUTHORITIES: Final = ("cross/", "root/", "sub/")  # profiles of certificates that others hang below


def _witnesses(count: int) -> Seat:
    return Seat(P.CEREMONY_TRANSCRIPT_WITNESS, count)


_ROOT: Final = (*_SCRIPT, Seat(P.CA_KEY_GENERATE, 3), _witnesses(2))

RULES: Final = (
    # EN 319 411-1 GEN-6.4.3-02: no one person signs subordinate certificates; CA/B BR 6.1.1.1: roots by a script, witnessed
    QuorumRule("root-key", P.CA_KEY_GENERATE, _ROOT, SCHEDULED),
    QuorumRule("root", P.CA_AUTHORITY_CREATE, _ROOT, SCHEDULED, profiles=("root/",)),
    QuorumRule("sub-ca", P.CA_AUTHORITY_CREATE, (Seat(P.CA_AUTHORITY_CREATE), Seat(P.CA_CERTIFICATE_APPROVE, 2)), 3 * HOURS_A_DAY),
    # CA/B BR 5.2.2: keys are recovered under dual control at least
    QuorumRule("key-restore", P.CA_KEY_RESTORE, (*_SCRIPT, Seat(P.CA_KEY_RESTORE, 3), _witnesses(1)), SCHEDULED),
    QuorumRule("key-destroy", P.CA_KEY_DESTROY, (*_SCRIPT, Seat(P.CA_KEY_DESTROY, 3), _witnesses(2)), SCHEDULED, cool_down_hours=72),
    QuorumRule(  # `count` is how many things the new definition allows that the old one did not
        "profile-widen",
        P.PROFILE_DEFINITION_PROPOSE,
        (
            Seat(P.PROFILE_DEFINITION_PROPOSE),
            Seat(P.PROFILE_DEFINITION_ACTIVATE, roles=frozenset({Role.SECURITY_OFFICER})),
            Seat(P.PROFILE_DEFINITION_ACTIVATE, roles=frozenset({Role.CA_OFFICER})),
        ),
        7 * HOURS_A_DAY,
        cool_down_hours=24,
        over=0,
    ),
    QuorumRule(
        "profile-narrow",
        P.PROFILE_DEFINITION_PROPOSE,
        (Seat(P.PROFILE_DEFINITION_PROPOSE), Seat(P.PROFILE_DEFINITION_ACTIVATE)),
        7 * HOURS_A_DAY,
    ),
    QuorumRule(  # `count` is how many rights are given: 0 takes one away
        "trusted-role",
        P.ACCESS_GRANT_PROPOSE,
        (Seat(P.ACCESS_GRANT_PROPOSE, roles=frozenset({Role.ADMINISTRATOR})), Seat(P.ACCESS_GRANT_APPROVE)),
        3 * HOURS_A_DAY,
        over=0,
        roles=_TRUSTED,
    ),
    QuorumRule(  # the party's approver agrees; while it has none, the platform's registration officer
        "party-role",
        P.ACCESS_GRANT_PROPOSE,
        (Seat(P.ACCESS_GRANT_PROPOSE), Seat(P.CERTIFICATE_REQUEST_APPROVE)),
        14 * HOURS_A_DAY,
        over=0,
        roles=_SECOND_LOOK,
    ),
    QuorumRule(  # `count` is how many name spaces are added
        "name-space",
        P.ACCESS_PARTY_WRITE,
        (Seat(P.ACCESS_PARTY_WRITE), Seat(P.REGISTRATION_IDENTITY_APPROVE, 2)),
        14 * HOURS_A_DAY,
        over=0,
    ),
    QuorumRule(
        "standing-approval",
        P.APPROVAL_STANDING_PROPOSE,
        (Seat(P.APPROVAL_STANDING_PROPOSE), Seat(P.APPROVAL_STANDING_APPROVE, 2)),
        14 * HOURS_A_DAY,
    ),
    QuorumRule(
        "firmware",
        P.CERTIFICATE_ISSUE,
        (Seat(P.CERTIFICATE_ISSUE), Seat(P.FIRMWARE_IMAGE_APPROVE, 2)),
        7 * HOURS_A_DAY,
        profiles=("firmware/",),
    ),
    QuorumRule(
        "certificate-bulk",
        P.CERTIFICATE_ISSUE,
        (Seat(P.CERTIFICATE_ISSUE), Seat(P.CERTIFICATE_BULK_APPROVE, 2)),
        3 * HOURS_A_DAY,
        over=BATCH_ALONE_MAX,
    ),
    QuorumRule(
        "certificate",
        P.CERTIFICATE_ISSUE,
        (Seat(P.CERTIFICATE_ISSUE), Seat(P.CERTIFICATE_REQUEST_APPROVE)),
        14 * HOURS_A_DAY,
        may_stand=True,
        alone=frozenset({Role.PLATFORM}),  # its listeners' and responders' own certificates
    ),
    QuorumRule(
        "factory-batch",
        P.REGISTRATION_BATCH_CREATE,
        (Seat(P.REGISTRATION_BATCH_CREATE), Seat(P.REGISTRATION_BATCH_APPROVE, 2)),
        3 * HOURS_A_DAY,
        over=BATCH_ALONE_MAX,
    ),
    QuorumRule(
        "bulk-revocation",
        P.REVOCATION_BULK_PROPOSE,
        (Seat(P.REVOCATION_BULK_PROPOSE), Seat(P.REVOCATION_BULK_APPROVE, 2)),
        HOURS_A_DAY,
        over=REVOKED_ALONE_MAX,
    ),
    QuorumRule(  # for ever, and everything below falls with it: those who let it be made let it end
        "authority-revocation",
        P.CERTIFICATE_REVOKE,
        (Seat(P.CERTIFICATE_REVOKE), Seat(P.CA_CERTIFICATE_APPROVE, 2)),
        HOURS_A_DAY,
        profiles=_AUTHORITIES,
        alone=frozenset({Role.PLATFORM}),  # ends the hold of a cross certificate that nobody confirmed
    ),
    # Whoever held it alone is the one whom the act is about, and takes no seat (`Resource.subject`).
    QuorumRule("emergency-hold", P.REVOCATION_EMERGENCY_CONFIRM, (Seat(P.REVOCATION_BULK_APPROVE, 2),), HOURS_A_DAY),
    QuorumRule("backup-restore", P.SYSTEM_BACKUP_RESTORE, (Seat(P.SYSTEM_BACKUP_RESTORE, 2), _witnesses(1)), HOURS_A_DAY),
)


def _ask_of_people(permission: Permission) -> Assurance:
    """Whoever reads is known by a password; whoever proposes, approves, revokes or grants shows a second factor."""
    is_first = permission is P.ACCESS_SESSION_CREATE  # signing in is how one comes to a second factor
    return Assurance.TOKEN if is_first or permission.endswith(":read") else Assurance.MFA


PRODUCTION: Final = Policy("production-1", False, RULES, MappingProxyType({permission: _ask_of_people(permission) for permission in P}))
DEVELOPMENT: Final = Policy("development-1", True, (), MappingProxyType(dict.fromkeys(P, Assurance.TOKEN)))
POLICIES: Final[Mapping[str, Policy]] = MappingProxyType({policy.id: policy for policy in (PRODUCTION, DEVELOPMENT)})


def people_needed(policy: Policy) -> Mapping[str, int]:
    """How many different persons each rule takes."""
    return {rule.id: sum(seat.count for seat in rule.seats) for rule in policy.rules}
