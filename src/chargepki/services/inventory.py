"""The station inventory: what exists, who operates it, how it may connect, and what it reported."""

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Final

from chargepki.core.access.permissions import Permission
from chargepki.core.identifiers.station import parse_serial_number, parse_station_id
from chargepki.core.names import UPPER_BOUND
from chargepki.core.passwords import SALT_OCTETS, hash_password
from chargepki.core.profiles.model import SubjectKind
from chargepki.core.profiles.registry import Profiles
from chargepki.core.records import (
    EnrolmentToken,
    Page,
    Party,
    ProfileId,
    SecurityEvent,
    SecurityProfile,
    Station,
    StationId,
    StationState,
    TokenId,
)
from chargepki.core.secret_text import new_secret
from chargepki.errors import Conflict, Finding, Refused
from chargepki.ports import AddEnrolmentToken, AddSecurityEvent, AddStation, Change, Ports, StationChanged, TouchStation, UpdateStation
from chargepki.services.access import ENROLMENT_PREFIX, SECRET_OCTETS
from chargepki.services.audit import AuditTrail, Caller, OpenAct
from chargepki.services.parties import Parties
from chargepki.services.scoping import no_such_station, resource_of_station

PASSWORD_OCTETS: Final = 20  # 40 hex characters: the longest that OCPP 1.6 (AuthorizationKey) and 2.0.1 both carry
TOKEN_VALID_HOURS_MAX: Final = 24 * 366
UPDATE_ATTEMPTS_MAX: Final = 5  # two writers at once are rare; five in a row are a fault


class Inventory:
    def __init__(self, ports: Ports, audit: AuditTrail, profiles: Profiles, parties: Parties) -> None:
        self._ports, self._audit, self._profiles, self._parties = ports, audit, profiles, parties

    async def add_station(
        self,
        caller: Caller,
        *,
        id: str,
        serial_number: str,
        operator: str,
        csr_tolerant: bool = False,
        include_root: bool = False,
    ) -> Station:
        """Registers a station of a party, named by its id or its name; `Conflict` when the station's id, or the operator's serial number,
        is taken."""
        async with self._audit.act(caller.act(Permission.INVENTORY_STATION_WRITE, f"station:{id}", resource=None)) as opened:
            named, station_id, serial = _parse_operator(operator), parse_station_id(id), parse_serial_number(serial_number)
            party = await self._find_operator(caller, named)
            station = Station(
                station_id,
                serial,
                party.name,
                StationState.REGISTERED,
                SecurityProfile.TLS_BASIC,
                self._ports.clock.now(),
                csr_tolerant=csr_tolerant,
                include_root=include_root,
                party=party.id,
            )
            opened.check(resource_of_station(station, party))
            await self._ports.store.commit(AddStation(station), opened.done(after_sha256=_digest(station)))
            return station

    async def get_station(self, caller: Caller, id: StationId) -> Station:
        self._audit.check_held(caller, Permission.INVENTORY_STATION_READ)
        station = await self._ports.store.get_station(id)
        self._audit.check_visible(caller, Permission.INVENTORY_STATION_READ, resource_of_station(station, None), no_such_station(id))
        return station

    async def list_stations(
        self, caller: Caller, *, text: str = "", operator: str = "", state: str = "", cursor: str = "", limit: int = 50
    ) -> Page[Station]:
        parties = self._audit.parties_of(caller, Permission.INVENTORY_STATION_READ)
        return await self._ports.store.list_stations(text=text, operator=operator, state=state, parties=parties, cursor=cursor, limit=limit)

    async def update_station(
        self,
        caller: Caller,
        id: StationId,
        *,
        state: StationState | None = None,
        csr_tolerant: bool | None = None,
        include_root: bool | None = None,
        security_profile: SecurityProfile | None = None,
    ) -> Station:
        """Changes what is given. Lowering `security_profile` is the operator's way back for a station that lost its key."""
        wanted = {"state": state, "csr_tolerant": csr_tolerant, "include_root": include_root, "security_profile": security_profile}
        given = {name: value for name, value in wanted.items() if value is not None}
        facts = {name: str(value) for name, value in given.items()}
        act = caller.act(Permission.INVENTORY_STATION_WRITE, f"station:{id}", resource=None, facts=facts)
        async with self._audit.act(act) as opened:
            await self._decide(opened, caller, id)
            if not given:
                raise Refused.because("inventory.station.unchanged", "the request changes nothing", hint="name a field to change")
            return await self._rewrite(id, opened, lambda old: replace(old, **given))  # type: ignore[arg-type]  # typed above

    async def set_password(self, caller: Caller, id: StationId) -> str:
        """A fresh Basic password for security profile 2, shown this once; the old one ends."""
        act = caller.act(Permission.REGISTRATION_CREDENTIAL_CREATE, f"station:{id}", resource=None, credential="password")
        async with self._audit.act(act) as opened:
            await self._decide(opened, caller, id)
            password = self._ports.entropy.octets(PASSWORD_OCTETS).hex()
            hashed = await asyncio.to_thread(hash_password, password, self._ports.entropy.octets(SALT_OCTETS))
            await self._rewrite(id, opened, lambda old: replace(old, password_hash=hashed))
            return password

    async def create_enrolment_token(
        self, caller: Caller, id: StationId, *, profile: ProfileId, valid_hours: int = 72
    ) -> tuple[EnrolmentToken, str]:
        """A token that gets this station one certificate of this profile, shown this once."""
        facts = {"credential": "enrolment token", "profile": profile}
        act = caller.act(Permission.REGISTRATION_CREDENTIAL_CREATE, f"station:{id}", resource=None, facts=facts)
        async with self._audit.act(act) as opened:
            station = await self._decide(opened, caller, id, profile=profile)
            if not 1 <= valid_hours <= TOKEN_VALID_HOURS_MAX:
                raise Refused.because(
                    "inventory.token.validity", f"an enrolment token lives 1 to {TOKEN_VALID_HOURS_MAX} hours", path="valid_hours"
                )
            if self._profiles.get(profile).profile.subject_kind is not SubjectKind.STATION:
                raise Refused.because(
                    "inventory.token.profile", f"{profile} does not speak for a station", path="profile", hint="ocpp/station"
                )
            secret, now = new_secret(ENROLMENT_PREFIX, self._ports.entropy.octets(SECRET_OCTETS)), self._ports.clock.now()
            token = EnrolmentToken(
                TokenId(self._ports.entropy.ulid("enr")),
                hashlib.sha256(secret.encode()).digest(),
                station.id,
                profile,
                now + timedelta(hours=valid_hours),
                caller.actor.id,
                now,
            )
            await self._ports.store.commit(AddEnrolmentToken(token), opened.done())
            return token, secret

    async def note_boot(self, caller: Caller, station: StationId, *, ocpp_version: str, vendor: str, model: str, firmware: str) -> Station:
        """What a station says of itself (OCPP B01). A first boot makes it active; a boot that changes nothing leaves no entry."""
        said = {"ocpp_version": ocpp_version, "vendor": vendor[:50], "model": model[:50], "firmware": firmware[:50]}

        def booted(old: Station) -> Station:
            state = StationState.ACTIVE if old.state is StationState.REGISTERED else old.state
            return replace(old, state=state, **said)  # type: ignore[arg-type]  # its keys are fields of text

        old = await self._ports.store.get_station(station)
        if booted(old) == old:
            await self.note_seen(station)
            return old
        async with self._audit.act(caller.act(Permission.STATION_REPORT, f"station:{station}", resource=None, facts=said)) as opened:
            await self._decide(opened, caller, station)
            return await self._rewrite(station, opened, booted, TouchStation(station, self._ports.clock.now()))

    async def note_seen(self, station: StationId) -> None:
        await self._ports.store.commit(TouchStation(station, self._ports.clock.now()))

    async def record_security_event(self, event: SecurityEvent) -> None:
        await self._ports.store.commit(AddSecurityEvent(event))

    async def list_security_events(
        self, caller: Caller, station: StationId | None, *, cursor: str = "", limit: int = 50
    ) -> Page[SecurityEvent]:
        """Of one station, or of all that the caller may see."""
        parties = None
        if station is not None:
            await self.get_station(caller, station)
        else:
            parties = self._audit.parties_of(caller, Permission.INVENTORY_STATION_READ)
        return await self._ports.store.list_security_events(station, parties=parties, cursor=cursor, limit=limit)

    async def _find_operator(self, caller: Caller, operator: str) -> Party:
        """The party that operates it; another's does not exist. A development platform registers one that it does not know yet."""
        party = await self._parties.find_by_operator(operator)
        if party is not None and self._audit.reaches_party(caller, Permission.INVENTORY_STATION_WRITE, party.id):
            return party
        if self._audit.policy.is_development:
            self._audit.check_held(caller, Permission.ACCESS_PARTY_WRITE)
            return await self._parties.ensure_development(caller, operator)
        raise Refused.because(
            "inventory.operator.unknown",
            f"{operator} is no party of this platform",
            path="operator",
            hint="chargepki party create ID --name NAME --role cpo",
        )

    async def _decide(self, opened: OpenAct, caller: Caller, id: StationId, *, profile: str = "") -> Station:
        """The gate about one station: another party's does not exist for this caller."""
        station = await self._ports.store.get_station(id)
        self._audit.check_visible(caller, opened.act.action, resource_of_station(station, None), no_such_station(id))
        party = await self._parties.get(station.party) if station.party else None
        opened.check(resource_of_station(station, party, profile=profile))
        return station

    async def _rewrite(self, id: StationId, opened: OpenAct, change: Callable[[Station], Station], *more: Change) -> Station:
        """Read, change, write against the version that was read; another writer in between means once more."""
        for _ in range(UPDATE_ATTEMPTS_MAX):
            old = await self._ports.store.get_station(id)
            new = change(old)
            try:
                entry = opened.done(before_sha256=_digest(old), after_sha256=_digest(new))
                await self._ports.store.commit(UpdateStation(new), *more, entry)
            except Conflict:
                continue
            stored = replace(new, version=old.version + 1)
            self._ports.notifier.publish(StationChanged(stored))
            return stored
        raise Conflict(Finding("inventory.station.busy", f"station {id} is being changed by others", hint="try again"))


def _parse_operator(text: str) -> str:
    # RFC 5280 7.1: blanks at the ends and runs of blanks do not count when names are compared.
    if not 0 < len(text) <= UPPER_BOUND["O"] or not text.isprintable() or text != " ".join(text.split()):
        raise Refused.because(
            "inventory.operator",
            f"an operator's name has 1 to {UPPER_BOUND['O']} printable characters, and single blanks between them only",
            path="operator",
            clause="OCPP A00.FR.509",
        )
    return text


def _digest(station: Station) -> bytes:
    return hashlib.sha256(repr(station).encode()).digest()
