"""Versions of profiles."""

import json

from chargepki.adapters.store.rows.values import AnyRow, Values, json_text, seconds, storable, text_or_none, time_of
from chargepki.core.profiles.narrowing import ProfileVersion, parse_narrowing, spell_narrowing
from chargepki.errors import Broken, Refused


def version_values(v: ProfileVersion) -> Values:
    return {
        "profile": storable(v.profile),
        "number": v.number,
        "narrowing": json_text(spell_narrowing(v.narrowing)),
        "proposal": text_or_none(v.proposal),
        "created_by": storable(v.created_by),
        "created_at": seconds(v.created_at),
    }


def version_of(row: AnyRow) -> ProfileVersion:
    """`Broken` when it cannot be read: a profile whose limits are unknown is not used."""
    try:
        narrowing = parse_narrowing(row.profile, json.loads(row.narrowing))
    except (Refused, ValueError) as error:
        hint = "run the version of ChargePKI that wrote it, or: chargepki log verify"
        raise Broken(f"version {row.number} of the profile {row.profile} cannot be read: {error}", hint=hint) from error
    return ProfileVersion(row.profile, row.number, narrowing, row.created_by, time_of(row.created_at), row.proposal)
