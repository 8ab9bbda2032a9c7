"""All profiles by id, as this deployment offers them."""

from collections.abc import Iterable, Mapping
from typing import Final

from chargepki.core.profiles import authority, backend, firmware, ocpp, status
from chargepki.core.profiles.model import EffectiveProfile, Narrowing, Profile, narrow
from chargepki.core.records import ProfileId
from chargepki.errors import Finding, NotFound

BUILT_IN: Final[tuple[Profile, ...]] = (
    *authority.PROFILES,
    *ocpp.PROFILES,
    *status.PROFILES,
    *backend.PROFILES,
    *firmware.PROFILES,
)


class Profiles:
    """The profiles of one deployment: the built-in ones within its narrowings."""

    def __init__(self, narrowings: Iterable[Narrowing] = ()) -> None:
        built_in = {profile.id: profile for profile in BUILT_IN}
        offered = {id: EffectiveProfile(profile) for id, profile in built_in.items()}
        for narrowing in narrowings:
            if narrowing.profile not in built_in:
                raise _unknown(narrowing.profile, built_in)
            offered[narrowing.profile] = narrow(built_in[narrowing.profile], narrowing)
        self._offered: Mapping[ProfileId, EffectiveProfile] = offered

    def get(self, id: ProfileId) -> EffectiveProfile:
        """Raises `NotFound`, naming the profiles there are."""
        try:
            return self._offered[id]
        except KeyError:
            raise _unknown(id, self._offered) from None

    def list(self) -> tuple[EffectiveProfile, ...]:
        return tuple(self._offered.values())


def _unknown(id: ProfileId, known: Iterable[ProfileId]) -> NotFound:
    return NotFound(Finding("profile.unknown", f"there is no profile {id!r}", path="profile", hint=f"one of: {', '.join(known)}"))
