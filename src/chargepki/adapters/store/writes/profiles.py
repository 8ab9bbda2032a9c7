"""Versions of profiles."""

from typing import Final

from chargepki.adapters.store import schema
from chargepki.adapters.store.conflicts import profiles as conflicts
from chargepki.adapters.store.writes.write import insert_into

ADD_PROFILE_VERSION: Final = insert_into(schema.profile_version, conflicts.version_exists, locks="profile")
