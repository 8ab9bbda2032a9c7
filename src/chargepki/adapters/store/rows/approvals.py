"""Proposals, votes and standing approvals."""

from typing import Final

from chargepki.adapters.store.rows.access import spaces_of
from chargepki.adapters.store.rows.values import (
    AnyRow,
    Values,
    seconds,
    seconds_or_none,
    storable,
    text_or_none,
    texts,
    texts_of,
    time_of,
    time_or_none,
)
from chargepki.core.access.model import StandingApproval
from chargepki.core.access.permissions import Permission
from chargepki.core.records import Proposal, ProposalState, StandingRecord, VoteRecord

HOUR_SECONDS: Final = 3_600  # uses of a standing approval are counted by the hour of the clock


def proposal_values(p: Proposal) -> Values:
    return {
        "id": storable(p.id),
        "action": p.action.value,
        "object": storable(p.object),
        "rule": storable(p.rule),
        "payload": p.payload,
        "digest": p.digest,
        "party": storable(p.party),
        "proposer": storable(p.proposer),
        "proposer_person": storable(p.proposer_person),
        "created_at": seconds(p.created_at),
        "expires_at": seconds(p.expires_at),
        "state": p.state.value,
        "outcome": storable(p.outcome),
        "revision": p.revision,
        "version": p.version,
    }


def proposal_of(row: AnyRow) -> Proposal:
    return Proposal(
        id=row.id,
        action=Permission(row.action),
        object=row.object,
        rule=row.rule,
        payload=bytes(row.payload),
        digest=bytes(row.digest),
        party=row.party,
        proposer=row.proposer,
        proposer_person=row.proposer_person,
        created_at=time_of(row.created_at),
        expires_at=time_of(row.expires_at),
        state=ProposalState(row.state),
        outcome=row.outcome,
        revision=row.revision,
        version=row.version,
    )


def vote_values(v: VoteRecord) -> Values:
    return {
        "proposal": storable(v.proposal),
        "person": storable(v.person),
        "digest": v.digest,
        "is_for": v.is_for,
        "at": seconds(v.at),
        "assurance": v.assurance,
        "note": storable(v.note),
    }


def vote_of(row: AnyRow) -> VoteRecord:
    return VoteRecord(
        proposal=row.proposal,
        person=row.person,
        digest=bytes(row.digest),
        is_for=bool(row.is_for),
        at=time_of(row.at),
        assurance=row.assurance,
        note=row.note,
    )


def standing_values(s: StandingRecord) -> Values:
    a = s.approval
    return {
        "id": storable(a.id),
        "party": storable(a.party),
        "profiles": texts(a.profiles),
        "names": texts(a.names),
        "keys": texts(a.keys),
        "per_hour_max": a.per_hour_max,
        "until": seconds(a.until),
        "created_by": storable(s.created_by),
        "created_at": seconds(s.created_at),
        "proposal": text_or_none(s.proposal),
        "ended_at": seconds_or_none(s.ended_at),
    }


def standing_of(row: AnyRow) -> StandingRecord:
    approval = StandingApproval(
        id=row.id,
        party=row.party,
        profiles=texts_of(row.profiles),
        names=spaces_of(row.names),
        keys=texts_of(row.keys),
        per_hour_max=row.per_hour_max,
        until=time_of(row.until),
        used=row.used,
    )
    return StandingRecord(approval, row.created_by, time_of(row.created_at), row.proposal, time_or_none(row.ended_at))
