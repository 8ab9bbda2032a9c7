"""Proposals, votes and standing approvals."""

from typing import Final

from sqlalchemy import Text, literal_column, select
from sqlalchemy.sql.elements import ClauseElement

from chargepki.adapters.store import schema
from chargepki.adapters.store.conflicts import approvals as conflicts
from chargepki.adapters.store.statements import slot
from chargepki.adapters.store.writes.write import ONE, Insert, Write, insert_into, update_version, update_where
from chargepki.core.records import ProposalState

_OPEN: Final = literal_column(f"'{ProposalState.OPEN}'", Text)


def _use_standing(insert: Insert, _count: int) -> ClauseElement:
    """Counts one more in the hour. The approval's row is held until the commit: it does not end in between."""
    table, c = schema.standing_use, schema.standing.c
    live = (c.id == slot(table.c.standing), c.ended_at.is_(None), c.until > slot(c.until, name="at"))
    first = select(c.id, slot(table.c.hour).label("hour"), ONE.label("used")).where(*live, slot(table.c.used, name="per_hour_max") >= ONE)
    statement = insert(table).from_select(["standing", "hour", "used"], first.with_for_update(read=True))
    return statement.on_conflict_do_update(  # type: ignore[no-any-return]
        index_elements=["standing", "hour"],
        set_={"used": table.c.used + ONE},
        where=table.c.used < slot(table.c.used, name="per_hour_max"),
    ).inline()


ADD_PROPOSAL: Final = insert_into(schema.proposal, conflicts.proposal_exists)
UPDATE_PROPOSAL: Final = update_version(
    schema.proposal, conflicts.proposal_changed, fixed=frozenset({"created_at", "proposer", "proposer_person"})
)
# A vote counts the proposal's version up: whoever decided without having seen it conflicts, and decides again.
TAKE_VOTE: Final = update_where(
    schema.proposal,
    conflicts.vote_not_taken,
    where=lambda c: [c.id == slot(c.id, name="proposal"), c.state == _OPEN, c.digest == slot(c.digest)],
    values=lambda c: {c.version: c.version + ONE},
    locks="proposal",
)
ADD_VOTE: Final = insert_into(schema.vote, conflicts.voted_already)
ADD_STANDING: Final = insert_into(schema.standing, conflicts.standing_exists)
END_STANDING: Final = update_where(
    schema.standing,
    conflicts.standing_ended,
    where=lambda c: [c.id == slot(c.id), c.ended_at.is_(None)],
    values=lambda c: {c.ended_at: slot(c.ended_at)},
    locks="id",
)
USE_STANDING: Final = Write(_use_standing, conflicts.standing_unusable, locks="standing")
