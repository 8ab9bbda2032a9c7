"""The profiles in force, and changing them while the platform runs: proposed by one, agreed on by others, stored as versions.

A change states a whole narrowing of the built-in profile. One that allows nothing new takes another person's word; one that allows
anything again takes a security officer, a CA officer and a day (`core/access/policy.py`: profile-narrow, profile-widen). Nothing here
goes beyond what is built in, or beyond the configuration.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from chargepki.core.access.model import NO_BALLOT, PUBLIC_RESOURCE, Ballot, Resource
from chargepki.core.access.permissions import Permission
from chargepki.core.audit import Effect
from chargepki.core.canonical_json import JsonValue
from chargepki.core.profiles.model import EffectiveProfile, Narrowing
from chargepki.core.profiles.narrowing import (
    ProfileVersion,
    check_narrowing,
    find_newly_allowed,
    find_nothing_left,
    parse_narrowing,
    spell_narrowing,
)
from chargepki.core.profiles.registry import BUILT_IN, Profiles, built_in
from chargepki.core.proposals import JsonObject
from chargepki.core.records import Page, ProfileId
from chargepki.errors import Conflict, Finding, Refused, refuse_errors
from chargepki.ports import AddProfileVersion, Ports
from chargepki.services.approvals import proposal_of
from chargepki.services.audit import AuditTrail, Caller
from chargepki.services.proposed import order_of

KNOWN_FOR: Final = timedelta(seconds=1)  # after which another node's change is seen here; our own is seen at once


@dataclass(frozen=True, slots=True)
class ProfileChange:
    """What is asked for. `base` is the version that it was thought up against, 0 before the first; None: whatever is in force."""

    narrowing: Narrowing
    base: int | None = None


@dataclass(frozen=True, slots=True)
class _Judged:
    """A change against what is in force: the gate counts what it newly allows."""

    change: ProfileChange
    base: int
    newly_allowed: tuple[str, ...]

    @property
    def resource(self) -> Resource:
        return Resource(profile=self.change.narrowing.profile, count=len(self.newly_allowed))

    def order(self) -> dict[str, JsonValue]:
        """What people vote on: they see what it would newly allow."""
        by = self.change.narrowing
        return {"profile": by.profile, "base": self.base, "narrowing": spell_narrowing(by), "newly_allowed": list(self.newly_allowed)}


class ProfileRegister:
    """`configured` are the profiles as the configuration narrows them."""

    def __init__(self, ports: Ports, audit: AuditTrail, configured: Profiles) -> None:
        self._ports, self._audit, self._configured = ports, audit, configured
        self._current = configured
        self._read_at: datetime | None = None

    async def current(self) -> Profiles:
        """The profiles in force, at most a second old."""
        now = self._ports.clock.now()
        if self._read_at is None or now - self._read_at >= KNOWN_FOR:
            newest = await self._ports.store.list_profile_versions(is_newest=True, limit=len(BUILT_IN))
            self._current, self._read_at = self._configured.within(newest.items), now
        return self._current

    async def get(self, id: ProfileId) -> EffectiveProfile:
        """Raises `NotFound`, naming the profiles there are."""
        return (await self.current()).get(id)

    def forget(self) -> None:
        """After a change: the next look is at the store."""
        self._read_at = None

    async def in_force(self, id: ProfileId) -> ProfileVersion | None:
        """The change in force, None for a profile that was never changed."""
        page = await self._ports.store.list_profile_versions(profile=id, is_newest=True, limit=1)
        return page.items[0] if page.items else None

    async def change(self, caller: Caller, change: ProfileChange, *, ballot: Ballot = NO_BALLOT) -> ProfileVersion:
        """Makes `change` the one in force. Raises `NeedsVotes` where others have to agree, `Conflict` when the profile was changed
        since `base`, `Refused` for what goes beyond the built-in profile, changes nothing, or leaves nothing."""
        profile = change.narrowing.profile
        act = caller.act(Permission.PROFILE_DEFINITION_PROPOSE, f"profile:{profile}", resource=None)
        async with self._audit.act(act) as opened:
            judged = await self._judge(change)
            opened.check(judged.resource, ballot=ballot, order=order_of(judged.order(), ballot))
            now = self._ports.clock.now()
            version = ProfileVersion(profile, judged.base + 1, change.narrowing, caller.actor.id, now, proposal_of(caller))
            narrowing, newly = spell_narrowing(change.narrowing), len(judged.newly_allowed)
            opened.effect = Effect({"version": version.number, "narrowing": narrowing, "newly_allowed": newly})
            await self._ports.store.commit(AddProfileVersion(version), opened.done())
        self.forget()
        return version

    async def carry_out(self, caller: Caller, order: JsonObject, ballot: Ballot) -> str:
        """What others agreed to."""
        version = await self.change(caller, (await self._read(order)).change, ballot=ballot)
        return f"profile:{version.profile} change {version.number}"

    async def resource_of(self, order: JsonObject) -> Resource:
        """What an edited order is about; refuses one that could not be carried out."""
        return (await self._read(order)).resource

    async def versions(
        self, caller: Caller, *, profile: ProfileId | None = None, cursor: str = "", limit: int = 50
    ) -> Page[ProfileVersion]:
        """Newest first."""
        self._audit.check(caller, Permission.PROFILE_READ, PUBLIC_RESOURCE)
        return await self._ports.store.list_profile_versions(profile=profile, cursor=cursor, limit=limit)

    async def _judge(self, change: ProfileChange) -> _Judged:
        profile = built_in(change.narrowing.profile)
        check_narrowing(profile, change.narrowing)
        current = await self.in_force(profile.id)
        number, before = (0, None) if current is None else (current.number, current.narrowing)
        if change.base is not None and change.base != number:
            message = f"{profile.id} was changed since: change {number} is in force, not {change.base}"
            raise Conflict(Finding("profile.change.outdated", message, path="base", hint=f"chargepki profile show {profile.id}"))
        if change.narrowing == (before or Narrowing(profile.id)):
            hint = f"chargepki profile show {profile.id}"
            raise Refused.because("profile.change.none", f"{profile.id} is narrowed to exactly this already", path="narrowing", hint=hint)
        next = ProfileVersion(profile.id, number + 1, change.narrowing, "", self._ports.clock.now())
        refuse_errors(find_nothing_left(self._configured.within([next]).get(profile.id)))
        return _Judged(change, number, find_newly_allowed(profile, before, change.narrowing))

    async def _read(self, order: JsonObject) -> _Judged:
        """An order that somebody may have edited: it says itself, and truly, what it newly allows."""
        judged = await self._judge(_parse_order(order))
        if order["newly_allowed"] != list(judged.newly_allowed):
            would = "; ".join(judged.newly_allowed) or "nothing"
            raise Refused.because(
                "profile.change.understated", f"this newly allows: {would}", path="order.newly_allowed", hint="propose it anew"
            )
        return judged


def _parse_order(raw: JsonObject) -> ProfileChange:
    """Raises `Refused` for anything that `_Judged.order` does not write."""
    profile, base, narrowing = raw.get("profile"), raw.get("base"), raw.get("narrowing")
    is_whole = set(raw) == {"profile", "base", "narrowing", "newly_allowed"}
    if not is_whole or not isinstance(profile, str) or isinstance(base, bool) or not isinstance(base, int):
        raise Refused.because("profile.change.unreadable", "the order cannot be read", path="order", hint="withdraw it and propose anew")
    return ProfileChange(parse_narrowing(ProfileId(profile), narrowing if isinstance(narrowing, Mapping) else None), base)
