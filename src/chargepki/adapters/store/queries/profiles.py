"""Versions of profiles."""

from sqlalchemy import Connection, select

from chargepki.adapters.store import cursors, schema
from chargepki.adapters.store.queries.narrowing import equal, page_rows
from chargepki.adapters.store.rows.profiles import version_of
from chargepki.core.profiles.narrowing import ProfileVersion
from chargepki.core.records import Page, ProfileId

_v = schema.profile_version.c
_newer = schema.profile_version.alias("newer")
_IS_NEWEST = ~select(_newer.c.seq).where(_newer.c.profile == _v.profile, _newer.c.number > _v.number).exists()


def list_profile_versions(
    connection: Connection, profile: ProfileId | None, is_newest: bool, cursor: str, limit: int
) -> Page[ProfileVersion]:
    after = cursors.parse(cursor, "profile-versions", int)
    where = equal((_v.profile, profile or ""))
    if is_newest:
        where.append(_IS_NEWEST)
    if after:
        where.append(_v.seq < after[0])
    rows = page_rows(connection, select(schema.profile_version), where, _v.seq.desc(), cursors.page_size(limit))
    return cursors.page_of(rows, limit, version_of, "profile-versions", "seq")
