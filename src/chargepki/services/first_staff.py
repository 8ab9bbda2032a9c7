"""The first people of a production platform: registered in one act, before there is anybody who could have registered them."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from chargepki.core.access.decide import SYSTEM
from chargepki.core.access.model import EVERYWHERE, Policy, Role
from chargepki.core.access.permissions import Permission
from chargepki.core.access.staffing import find_staffing_faults
from chargepki.core.audit import Effect
from chargepki.core.identifiers.party import parse_username
from chargepki.core.records import PLATFORM_PARTY, Account, GrantId, GrantRecord, GrantState, Person, PersonId, PersonState
from chargepki.core.secret_text import new_secret
from chargepki.errors import Conflict, Finding, Refused, refuse_errors
from chargepki.ports import AddGrant, AddPerson, Change, Ports
from chargepki.services.audit import AuditTrail, Caller
from chargepki.services.grants import PERSON_DAYS
from chargepki.services.labels import parse_email, parse_label
from chargepki.services.people import INVITATION_HOURS_MAX, INVITATION_OCTETS, INVITATION_PREFIX

STAFF_MAX = 64  # of the first day; the others are invited by these


@dataclass(frozen=True, slots=True)
class Recruit:
    """Somebody who will work here. What they hold is offered to them: they accept it when they take up their invitation."""

    username: str
    roles: frozenset[Role]
    display_name: str = ""
    email: str = ""


class FirstStaff:
    def __init__(self, ports: Ports, audit: AuditTrail) -> None:
        self._ports, self._audit = ports, audit

    async def register(self, staff: Sequence[Recruit]) -> tuple[tuple[Person, str], ...]:
        """Everybody with the secret of their invitation, shown this once. `Conflict` when there is anybody already; `Refused` when these
        people cannot fill the quorums."""
        act = Caller(SYSTEM, door="init").act(Permission.SYSTEM_BOOTSTRAP, "platform:staff", people=str(len(staff)))
        async with self._audit.act(act) as opened:
            if (await self._ports.store.list_people(limit=1)).items:
                raise Conflict(Finding("staff.exists", "there are people already", hint="further ones: chargepki person invite"))
            opened.findings = refuse_errors(find_staff_faults(staff, self._audit.policy))
            made = [self._person(recruit) for recruit in staff]
            changes: list[Change] = [change for _, _, changes in made for change in changes]
            opened.effect = Effect({person.id: ",".join(sorted(r.roles)) for (person, _, _), r in zip(made, staff, strict=True)})
            await self._ports.store.commit(*changes, opened.done())
        return tuple((person, secret) for person, secret, _ in made)

    def _person(self, recruit: Recruit) -> tuple[Person, str, tuple[Change, ...]]:
        now, id = self._ports.clock.now(), PersonId(self._ports.entropy.ulid("per"))
        name = recruit.display_name and parse_label(recruit.display_name, path="display_name", code="person.display_name")
        username, email = parse_username(recruit.username), parse_email(recruit.email)
        person = Person(id, username, PLATFORM_PARTY, PersonState.INVITED, now, name, email)
        secret = new_secret(INVITATION_PREFIX, self._ports.entropy.octets(INVITATION_OCTETS))
        digest, ends = hashlib.sha256(secret.encode()).digest(), now + timedelta(hours=INVITATION_HOURS_MAX)
        account = Account(id, invitation_sha256=digest, invitation_expires_at=ends)
        return person, secret, (AddPerson(person, account), *(self._grant(person, role) for role in sorted(recruit.roles)))

    def _grant(self, person: Person, role: Role) -> AddGrant:
        # EN 319 401 REQ-7.2-16: offered, and in force once the person has accepted it.
        now = self._ports.clock.now()
        id, until = GrantId(self._ports.entropy.ulid("grt")), now + timedelta(days=PERSON_DAYS)
        return AddGrant(GrantRecord(id, f"person:{person.id}", role, EVERYWHERE, until, GrantState.OFFERED, "system", now))


def find_staff_faults(staff: Sequence[Recruit], policy: Policy) -> tuple[Finding, ...]:
    """Why these people could not run a platform under this policy: names that are none or the same, quorums that nobody fills. An office
    that is empty is a warning."""
    found, roles = list[Finding](), dict[str, frozenset[Role]]()
    if len(staff) > STAFF_MAX:
        raise Refused.because("staff.many", f"at most {STAFF_MAX} people are registered at once", path="people")
    for recruit in staff:
        try:
            name = parse_username(recruit.username)
        except Refused as refusal:
            found += refusal.findings
            continue
        if name in roles:
            found.append(Finding("staff.twice", f"{name} is named twice", path=f"people.{name}"))
        roles[name] = recruit.roles
    return (*found, *find_staffing_faults(policy, roles))
