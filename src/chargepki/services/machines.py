"""Machines: a backend, a factory line, a monitor. Each holds exactly one role, and signs in with a certificate or a token."""

import hashlib
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from chargepki.core import canonical_json
from chargepki.core.access.model import EVERYWHERE, ActorKind, Resource, Role, Scope
from chargepki.core.access.permissions import Permission
from chargepki.core.access.roles import find_grant_faults
from chargepki.core.canonical_json import JsonValue
from chargepki.core.identifiers.name_spaces import contains
from chargepki.core.records import (
    PLATFORM_PARTY,
    GrantId,
    GrantRecord,
    Machine,
    MachineId,
    MachineState,
    Page,
    Party,
    PartyId,
)
from chargepki.errors import Finding, NotFound, Refused, refuse_errors
from chargepki.ports import AddGrant, AddMachine, EndTokens, Ports, UpdateMachine
from chargepki.services.actors import Actors
from chargepki.services.audit import AuditTrail, Caller
from chargepki.services.grants import DAYS_MAX, MACHINE_DAYS, check_reach, find_scope_faults, new_record, with_party
from chargepki.services.holders import Holder, find_live_grants
from chargepki.services.labels import parse_label

CLIENT_PROFILE: Final = "backend/mtls-client"  # of the certificate a machine signs in with


@dataclass(frozen=True, slots=True)
class HeldMachine:
    """A machine and the grant it works under; None where that has ended."""

    machine: Machine
    grant: GrantRecord | None


class Machines:
    def __init__(self, ports: Ports, audit: AuditTrail, actors: Actors) -> None:
        self._ports, self._audit, self._actors = ports, audit, actors

    async def create_machine(
        self,
        caller: Caller,
        *,
        name: str,
        party: PartyId = PLATFORM_PARTY,
        role: Role,
        scope: Scope = EVERYWHERE,
        days: int = MACHINE_DAYS,
    ) -> HeldMachine:
        """A machine with its one role, for `days`. It cannot sign in yet: order its certificate (`CLIENT_PROFILE`) or make it a token."""
        id = MachineId(self._ports.entropy.ulid("mch"))
        resource = Resource(party=party, role=role)
        act = caller.act(Permission.ACCESS_MACHINE_WRITE, _object(id), resource=resource, name=name, role=role.value, days=str(days))
        async with self._audit.act(act) as opened:
            now = self._ports.clock.now()
            owner = await self._ports.store.get_party(party) if party != PLATFORM_PARTY else None
            machine = Machine(id, parse_label(name, path="name", code="machine.name"), party, MachineState.ACTIVE, now)
            if not 1 <= days <= DAYS_MAX:
                raise Refused.because("machine.days", f"a machine's role lasts 1 to {DAYS_MAX} days", path="days")
            wanted, until = with_party(role, scope, party), now + timedelta(days=days)
            faults = find_grant_faults(ActorKind.MACHINE, role, wanted, until, ())
            refuse_errors((*faults, *find_scope_faults(wanted), *_find_outside(wanted, owner)))
            check_reach(caller.actor, Permission.ACCESS_MACHINE_WRITE, wanted, until, now)
            holder = Holder(_object(id), machine.name, party, is_person=False, may_hold=True)
            grant = new_record(GrantId(self._ports.entropy.ulid("grt")), holder, role, wanted, until, caller.actor.id, now)
            opened.act.detail["grant"] = grant.id
            await self._ports.store.commit(AddMachine(machine), AddGrant(grant), opened.done(after_sha256=_digest(machine)))
            return HeldMachine(machine, grant)

    async def get_machine(self, caller: Caller, id: MachineId) -> HeldMachine:
        if is_other := caller.actor.id != _object(id):
            self._audit.check_held(caller, Permission.ACCESS_ACCOUNT_READ)
        machine = await self._load(id)
        if is_other:
            self._audit.check_visible(caller, Permission.ACCESS_ACCOUNT_READ, Resource(party=machine.party), _unknown(id))
        return await self._with_grant(machine)

    async def list_machines(self, caller: Caller, *, cursor: str = "", limit: int = 50) -> Page[HeldMachine]:
        parties = self._audit.parties_of(caller, Permission.ACCESS_ACCOUNT_READ)
        page = await self._ports.store.list_machines(parties=parties, cursor=cursor, limit=limit)
        return Page(tuple([await self._with_grant(machine) for machine in page.items]), page.next)

    async def set_state(self, caller: Caller, id: MachineId, state: MachineState) -> HeldMachine:
        """A suspended machine signs in with nothing, and its tokens have ended; its certificate works again when it is resumed."""
        act = caller.act(Permission.ACCESS_MACHINE_WRITE, _object(id), resource=None, state=state.value)
        async with self._audit.act(act) as opened:
            old = await self._load(id)
            self._audit.check_visible(caller, Permission.ACCESS_MACHINE_WRITE, Resource(party=old.party), _unknown(id))
            opened.check(Resource(party=old.party))
            if old.state is state:
                raise Refused.because("machine.unchanged", f"{old.name} is {state} already", path="state")
            new, holder = replace(old, state=state), _object(id)
            ends = (EndTokens(holder, self._ports.clock.now()),) if state is MachineState.SUSPENDED else ()
            done = opened.done(before_sha256=_digest(old), after_sha256=_digest(new))
            await self._ports.store.commit(UpdateMachine(new), *ends, done)
            self._actors.forget(holder)
            return await self._with_grant(replace(new, version=old.version + 1))

    async def _load(self, id: MachineId) -> Machine:
        try:
            return await self._ports.store.get_machine(id)
        except NotFound:
            raise _unknown(id) from None

    async def _with_grant(self, machine: Machine) -> HeldMachine:
        live = await find_live_grants(self._ports, _object(machine.id), self._ports.clock.now())
        return HeldMachine(machine, live[-1] if live else None)


def _find_outside(scope: Scope, party: Party | None) -> list[Finding]:
    """Names the machine's party may not speak for. The gate would refuse each certificate; it is kinder to say so now."""
    if party is None or scope.names is None:
        return []
    outside = sorted(str(name) for name in scope.names if not any(contains(space, name) for space in party.spaces))
    hint = f"{party.id} holds {', '.join(sorted(map(str, party.spaces))[:8]) or 'no name space'}"
    return [
        Finding("machine.scope.names", f"{name} lies in no name space of {party.id}", path="scope.names", hint=hint) for name in outside
    ]


def _object(id: MachineId) -> str:
    return f"machine:{id}"


def _unknown(id: MachineId) -> NotFound:
    return NotFound(Finding("machine.unknown", f"there is no machine {id}", path="machine", hint="chargepki machine list"))


def _digest(machine: Machine) -> bytes:
    value: dict[str, JsonValue] = {"id": machine.id, "name": machine.name, "party": machine.party, "state": machine.state}
    return hashlib.sha256(canonical_json.encode(value)).digest()
