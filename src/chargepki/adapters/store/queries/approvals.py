"""Proposals, votes and standing approvals."""

from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Integer, Select, bindparam, func, literal_column, select

from chargepki.adapters.store import cursors, schema
from chargepki.adapters.store.queries.narrowing import equal, is_live, of_parties, page_rows
from chargepki.adapters.store.rows.approvals import HOUR_SECONDS, proposal_of, standing_of, vote_of
from chargepki.adapters.store.rows.values import seconds, storable
from chargepki.core.records import Page, PartyId, Proposal, ProposalId, ProposalState, StandingRecord, VoteRecord
from chargepki.errors import Finding, NotFound

_p, _v, _s, _u = schema.proposal.c, schema.vote.c, schema.standing.c, schema.standing_use.c

_PROPOSAL: Final = select(schema.proposal).where(_p.id == bindparam("id"))
_VOTES: Final = select(schema.vote).where(_v.proposal == bindparam("proposal")).order_by(_v.seq)


def get_proposal(connection: Connection, id: ProposalId) -> Proposal:
    if row := connection.execute(_PROPOSAL, {"id": storable(id)}).first():
        return proposal_of(row)
    raise NotFound(Finding("proposal.unknown", f"there is no proposal {id}", hint="list them: chargepki approval list"))


def list_proposals(
    connection: Connection, state: ProposalState | None, parties: frozenset[PartyId] | None, cursor: str, limit: int
) -> Page[Proposal]:
    """By id, which is a ULID: newest first."""
    after = cursors.parse(cursor, "proposals", str)
    where = [*equal((_p.state, state or "")), *of_parties(_p.party, parties)]
    if after:
        where.append(_p.id < storable(str(after[0])))
    rows = page_rows(connection, select(schema.proposal), where, _p.id.desc(), cursors.page_size(limit))
    return cursors.page_of(rows, limit, proposal_of, "proposals", "id")


def list_votes(connection: Connection, proposal: ProposalId) -> tuple[VoteRecord, ...]:
    return tuple(vote_of(row) for row in connection.execute(_VOTES, {"proposal": storable(proposal)}))


def list_standing(connection: Connection, party: PartyId | None, at: datetime | None, cursor: str, limit: int) -> Page[StandingRecord]:
    """By id, which is a ULID: oldest first."""
    after = cursors.parse(cursor, "standing", str)
    where = [*of_parties(_s.party, None if party is None else frozenset({party})), *is_live(_s.ended_at, _s.until, at)]
    if after:
        where.append(_s.id > storable(str(after[0])))
    rows = page_rows(connection, _with_use(at), where, _s.id, cursors.page_size(limit))
    return cursors.page_of(rows, limit, standing_of, "standing", "id")


def _with_use(at: datetime | None) -> Select[Any]:
    if at is None:
        return select(schema.standing, literal_column("0", Integer).label("used"))
    in_hour = (_u.standing == _s.id) & (_u.hour == seconds(at) // HOUR_SECONDS)
    counted = select(schema.standing, func.coalesce(_u.used, literal_column("0", Integer)).label("used"))
    return counted.select_from(schema.standing.outerjoin(schema.standing_use, in_hour))
