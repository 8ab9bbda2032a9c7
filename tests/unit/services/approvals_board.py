"""A platform in production with the people a quorum needs, and an act that needs them: a standing approval."""

import hashlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Final

import pytest

from chargepki.core.access.model import Policy, Role
from chargepki.core.access.permissions import Permission
from chargepki.core.access.policy import DEVELOPMENT, PRODUCTION
from chargepki.core.algorithms import KeySpec
from chargepki.core.identifiers.name_spaces import parse_name_space
from chargepki.core.records import ApiToken, PartyId, PersonId, PersonState, ProfileId, Proposal, ProposalId, StandingRecord, TokenId
from chargepki.core.secret_text import new_secret
from chargepki.errors import NeedsVotes
from chargepki.ports import AddApiToken, UpdatePerson
from chargepki.services.access import API_PREFIX
from chargepki.services.approvals import Approvals, Executor, ResourceOf
from chargepki.services.audit import Caller
from chargepki.services.standing import StandingOrder
from chargepki.testing.workbench import Workbench, open_workbench

PARTY = PartyId("demo-cpo")


@dataclass(frozen=True)
class Board:
    """One who proposes, three who may agree: a quorum takes the proposer and two of them."""

    bench: Workbench
    proposer: Caller
    officers: tuple[Caller, Caller, Caller]
    approvals: Approvals

    def order(self, per_hour_max: int = 10) -> StandingOrder:
        names = frozenset({parse_name_space("station-serial:SN-2026")})
        until = self.bench.clock.now() + timedelta(days=30)
        return StandingOrder(PARTY, frozenset({ProfileId("ocpp/station")}), names, frozenset({KeySpec.P256}), per_hour_max, until)

    async def propose(self, per_hour_max: int = 10) -> Proposal:
        with pytest.raises(NeedsVotes) as waits:
            await self.bench.services.standing.create(self.proposer, self.order(per_hour_max))
        return await self.get(ProposalId(waits.value.proposal))

    async def vote(self, officer: int, proposal: Proposal, *, is_for: bool = True, digest: bytes = b"") -> Proposal:
        voted = await self.approvals.vote(self.officers[officer], proposal.id, digest or proposal.digest, is_for=is_for)
        return voted.proposal

    async def get(self, id: ProposalId) -> Proposal:
        return await self.bench.ports.store.get_proposal(id)

    async def made(self) -> tuple[StandingRecord, ...]:
        return (await self.bench.ports.store.list_standing(party=PARTY)).items

    async def offboard(self, officer: int) -> None:
        person = await self.bench.ports.store.get_person(PersonId(self.officers[officer].actor.person))
        await self.bench.ports.store.commit(UpdatePerson(replace(person, state=PersonState.OFFBOARDED)))
        self.forget(officer)

    def forget(self, officer: int) -> None:
        self.bench.services.actors.forget(self.officers[officer].actor.id)

    def approvals_with(self, executor: Executor) -> Approvals:
        """The same approvals over another executor."""
        return approvals_of(self.bench, {Permission.APPROVAL_STANDING_PROPOSE: executor})


def approvals_of(bench: Workbench, executors: Mapping[Permission, Executor]) -> Approvals:
    services = bench.services
    resources: Mapping[Permission, ResourceOf] = {
        Permission.APPROVAL_STANDING_PROPOSE: services.standing.resource_of,
        Permission.REGISTRATION_BATCH_CREATE: services.batches.resource_of,
        Permission.REVOCATION_BULK_PROPOSE: services.bulk_revocation.resource_of,
    }
    return Approvals(bench.ports, services.audit, services.actors, executors, resources)


def executors_of(bench: Workbench) -> Mapping[Permission, Executor]:
    services = bench.services
    return {
        Permission.APPROVAL_STANDING_PROPOSE: services.standing.carry_out,
        Permission.REGISTRATION_BATCH_CREATE: services.batches.carry_out,
        Permission.REVOCATION_BULK_PROPOSE: services.bulk_revocation.carry_out,
    }


async def add_token(bench: Workbench, caller: Caller) -> str:
    """A bearer token of this person, which may do what they may."""
    secret, now = new_secret(API_PREFIX, bench.ports.entropy.octets(32)), bench.clock.now()
    id, actor = TokenId(bench.ports.entropy.ulid("tok")), caller.actor
    grants = tuple(grant for grant in actor.grants if grant.until is not None)
    token = ApiToken(id, hashlib.sha256(secret.encode()).digest(), "test", grants, actor.id, actor.id, now, now + timedelta(days=365))
    await bench.ports.store.commit(AddApiToken(token))
    return secret


def cooling(hours: int) -> Policy:
    """Production, where a standing approval waits for so long before it takes effect."""
    rules = tuple(replace(rule, cool_down_hours=hours) if rule.id == "standing-approval" else rule for rule in PRODUCTION.rules)
    return replace(PRODUCTION, id=f"cooling-{hours}", rules=rules)


# Production's quorums for people who are known by a token: the API's tests sign nobody in.
LENIENT: Final = replace(PRODUCTION, id="lenient", assurance=DEVELOPMENT.assurance)


@asynccontextmanager
async def open_board(directory: Path, policy: Policy = PRODUCTION) -> AsyncIterator[Board]:
    async with open_workbench(directory, policy=policy, has_authorities=False) as bench:
        proposer = await bench.person("adam", Role.ADMINISTRATOR)
        officers = [await bench.person(name, Role.REGISTRATION_OFFICER) for name in ("rita", "rosa", "rolf")]
        approvals = approvals_of(bench, executors_of(bench))
        yield Board(bench, proposer, (officers[0], officers[1], officers[2]), approvals)
