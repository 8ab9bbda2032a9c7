"""Versions of profiles."""

from sqlalchemy import Connection

from chargepki.adapters.store.conflicts.wording import conflict
from chargepki.adapters.store.rows.values import Values
from chargepki.errors import Conflict


def version_exists(_: Connection, values: Values) -> Conflict:
    message = f"the profile {values['profile']} was changed meanwhile: it has a version {values['number']} already"
    return conflict("store.profile.changed", message, "look at it again, then propose anew: chargepki profile show")
