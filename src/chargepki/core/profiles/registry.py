"""All profiles by id, as this deployment offers them."""

from collections.abc import Iterable, Mapping
from typing import Final

from chargepki.core.profiles import authority, backend, firmware, ocpp, status
from chargepki.core.profiles.model import EffectiveProfile, Narrowing, Profile, narrow
from chargepki.core.profiles.narrowing import CONFIGURATION, ProfileVersion, lay, within_version
from chargepki.core.records import ProfileId
from chargepki.errors import Finding, NotFound

BUILT_IN: Final[tuple[Profile, ...]] = (
    *authority.PROFILES,
    *ocpp.PROFILES,
    *status.PROFILES,
    *backend.PROFILES,
    *firmware.PROFILES,
)
_BY_ID: Final[Mapping[ProfileId, Profile]] = {profile.id: profile for profile in BUILT_IN}


class Profiles:
    """The profiles of one deployment: the built-in ones, within the changes in force, within the configuration's narrowings."""

    def __init__(self, narrowings: Iterable[Narrowing] = (), changes: Iterable[ProfileVersion] = ()) -> None:
        """Raises `NotFound` and `Refused` for a narrowing of no profile, and for one that would widen."""
        self._narrowings = tuple(narrowings)
        offered = {id: EffectiveProfile(profile) for id, profile in _BY_ID.items()}
        for change in changes:
            if change.profile in offered:  # else of a profile that this version does not have any more: nothing to narrow
                offered[change.profile] = within_version(offered[change.profile], change)
        for narrowing in self._narrowings:
            narrow(built_in(narrowing.profile), narrowing)
            offered[narrowing.profile] = lay(offered[narrowing.profile], narrowing, CONFIGURATION)
        self._offered: Mapping[ProfileId, EffectiveProfile] = offered

    def within(self, changes: Iterable[ProfileVersion]) -> "Profiles":
        """The same deployment's under these changes: at most one of each profile, the one in force."""
        return Profiles(self._narrowings, changes)

    def get(self, id: ProfileId) -> EffectiveProfile:
        """Raises `NotFound`, naming the profiles there are."""
        try:
            return self._offered[id]
        except KeyError:
            raise _unknown(id) from None

    def list(self) -> tuple[EffectiveProfile, ...]:
        return tuple(self._offered.values())


def built_in(id: ProfileId) -> Profile:
    """The profile without any narrowing. Raises `NotFound`."""
    try:
        return _BY_ID[id]
    except KeyError:
        raise _unknown(id) from None


def _unknown(id: ProfileId) -> NotFound:
    known = ", ".join(_BY_ID)
    return NotFound(Finding("profile.unknown", f"there is no profile {id[:64]!r}", path="profile", hint=f"one of: {known}"))
