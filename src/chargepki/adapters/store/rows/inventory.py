"""Stations, what they enrol with, and what they report."""

from chargepki.adapters.store.rows.values import AnyRow, Values, seconds, seconds_or_none, storable, time_of, time_or_none
from chargepki.core.records import EnrolmentToken, SecurityEvent, SecurityProfile, Station, StationState


def station_values(s: Station) -> Values:
    return {
        "id": storable(s.id),
        "serial_number": storable(s.serial_number),
        "operator": storable(s.operator),
        "state": s.state.value,
        "security_profile": s.security_profile.value,
        "created_at": seconds(s.created_at),
        "ocpp_version": storable(s.ocpp_version),
        "vendor": storable(s.vendor),
        "model": storable(s.model),
        "firmware": storable(s.firmware),
        "csr_tolerant": s.csr_tolerant,
        "include_root": s.include_root,
        "password_hash": storable(s.password_hash),
        "last_seen": seconds_or_none(s.last_seen),
        "version": s.version,
        "party": storable(s.party),
    }


def station_of(row: AnyRow) -> Station:
    return Station(
        id=row.id,
        serial_number=row.serial_number,
        operator=row.operator,
        state=StationState(row.state),
        security_profile=SecurityProfile(row.security_profile),
        created_at=time_of(row.created_at),
        ocpp_version=row.ocpp_version,
        vendor=row.vendor,
        model=row.model,
        firmware=row.firmware,
        csr_tolerant=bool(row.csr_tolerant),
        include_root=bool(row.include_root),
        password_hash=row.password_hash,
        last_seen=time_or_none(row.last_seen),
        version=row.version,
        party=row.party,
    )


def enrolment_token_values(t: EnrolmentToken) -> Values:
    return {
        "id": storable(t.id),
        "token_sha256": t.token_sha256,
        "station": storable(t.station),
        "profile": storable(t.profile),
        "expires_at": seconds(t.expires_at),
        "created_by": storable(t.created_by),
        "created_at": seconds(t.created_at),
        "used_at": seconds_or_none(t.used_at),
    }


def enrolment_token_of(row: AnyRow) -> EnrolmentToken:
    return EnrolmentToken(
        id=row.id,
        token_sha256=bytes(row.token_sha256),
        station=row.station,
        profile=row.profile,
        expires_at=time_of(row.expires_at),
        created_by=row.created_by,
        created_at=time_of(row.created_at),
        used_at=time_or_none(row.used_at),
    )


def security_event_values(e: SecurityEvent) -> Values:
    return {
        "id": storable(e.id),
        "station": storable(e.station),
        "type": storable(e.type),
        "at": seconds(e.at),
        "received_at": seconds(e.received_at),
        "is_critical": e.is_critical,
        "tech_info": storable(e.tech_info),
    }


def security_event_of(row: AnyRow) -> SecurityEvent:
    return SecurityEvent(
        id=row.id,
        station=row.station,
        type=row.type,
        at=time_of(row.at),
        received_at=time_of(row.received_at),
        is_critical=bool(row.is_critical),
        tech_info=row.tech_info,
    )
