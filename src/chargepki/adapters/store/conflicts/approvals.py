"""Proposals, votes and standing approvals."""

from typing import Final

from sqlalchemy import Connection

from chargepki.adapters.store import schema
from chargepki.adapters.store.conflicts.wording import Explain, changed, conflict, ended, find, id_exists
from chargepki.adapters.store.rows.approvals import HOUR_SECONDS
from chargepki.adapters.store.rows.values import Values, time_of
from chargepki.errors import Conflict

_LIST_STANDING: Final = "list them: chargepki standing list"


def vote_not_taken(connection: Connection, values: Values) -> Conflict:
    row = find(connection, schema.proposal, schema.proposal.c.id == values["proposal"])
    if row is None:
        return conflict("store.proposal.unknown", f"there is no proposal {values['proposal']}", "list them: chargepki approval list")
    if row.state != "open":
        return conflict("store.proposal.closed", f"the proposal {row.id} is {row.state}: votes count no more", "read its outcome")
    return conflict("store.proposal.edited", f"the proposal {row.id} was edited: the vote was on other bytes", "read it again, then vote")


def voted_already(_: Connection, values: Values) -> Conflict:
    message = f"{values['person']} has voted on {values['proposal']} already"
    return conflict("store.vote.exists", message, "a vote stands; an edit of the proposal would void it")


def standing_unusable(connection: Connection, values: Values) -> Conflict:
    row = find(connection, schema.standing, schema.standing.c.id == values["standing"])
    if row is None:
        return conflict("store.standing.unknown", f"there is no standing approval {values['standing']}", _LIST_STANDING)
    if row.ended_at is not None or row.until <= values["at"]:
        return conflict("store.standing.ended", f"the standing approval {row.id} has ended", "have a new one approved")
    next_hour = time_of((values["hour"] + 1) * HOUR_SECONDS)
    message = f"the standing approval {row.id} was used {values['per_hour_max']} times in this hour, as often as it allows"
    return conflict("store.standing.full", message, f"wait until {next_hour:%H:%M} UTC, or have a wider one approved")


proposal_exists: Explain = id_exists("proposal")
proposal_changed: Explain = changed(schema.proposal, "proposal", "list them: chargepki approval list")
standing_exists: Explain = id_exists("standing approval")
standing_ended: Explain = ended(schema.standing, "standing approval", _LIST_STANDING)
