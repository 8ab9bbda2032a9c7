"""Authorities, keys, intents, certificates, their status, and CRLs."""

import threading
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Select, bindparam, func, or_, select
from sqlalchemy.sql.elements import ColumnElement

from chargepki.adapters.store import cursors, schema
from chargepki.adapters.store.backend import Backend
from chargepki.adapters.store.queries.narrowing import of_parties
from chargepki.adapters.store.rows.certificates import (
    authority_of,
    certificate_of,
    crl_of,
    event_of,
    intent_of,
    key_of,
    revoked_of,
)
from chargepki.adapters.store.rows.values import SERIAL_MAX, SERIAL_OCTETS, seconds, serial_octets, storable
from chargepki.core.records import (
    Authority,
    AuthorityId,
    Certificate,
    CertificateEvent,
    CertificateEventKind,
    CertificateId,
    CertificateQuery,
    Crl,
    Intent,
    IntentId,
    KeyRecord,
    KeyRef,
    Page,
    PartyId,
)
from chargepki.core.revocation import Revoked
from chargepki.errors import Finding, NotFound, Refused

REVOKED_CHUNK: Final = 5_000  # rows in memory at a time while a CRL is made: about 2 MB
LATEST_EVENTS_CHUNK: Final = 500

_a, _c, _i, _o = schema.authority.c, schema.certificate.c, schema.intent.c, schema.intent_open.c
_e, _k = schema.certificate_event.c, schema.key_record.c
_newer = schema.certificate_event.alias("newer")
_newest = schema.certificate_event.alias("newest")

_IS_NEWEST: Final = ~select(_newer.c.seq).where(_newer.c.certificate_seq == _e.certificate_seq, _newer.c.ordinal > _e.ordinal).exists()
_REVOKED_KINDS: Final = (CertificateEventKind.REVOKED.value, CertificateEventKind.HELD.value)
_IS_REVOKED_KIND: Final = _e.kind.in_(_REVOKED_KINDS)

_AUTHORITY: Final = select(schema.authority).where(_a.id == bindparam("id"))
_AUTHORITIES: Final = select(schema.authority).order_by(_a.seq)
_KEY: Final = select(schema.key_record).where(_k.ref == bindparam("ref"))
_CERTIFICATE: Final = select(schema.certificate).where(_c.id == bindparam("id"))
_CERTIFICATE_BY_SERIAL: Final = select(schema.certificate).where(_c.serial == bindparam("serial"), _c.issuer == bindparam("issuer"))
_CERTIFICATE_BY_INTENT: Final = select(schema.certificate).where(_c.intent == bindparam("intent"))
_LATEST: Final = (_e.certificate_seq == _c.seq) & (
    _e.ordinal == select(func.max(_newest.c.ordinal)).where(_newest.c.certificate_seq == _c.seq).scalar_subquery()
)
_STATUS: Final = (
    select(schema.certificate_event)
    .select_from(schema.certificate.outerjoin(schema.certificate_event, _LATEST))
    .where(_c.serial == bindparam("serial"), _c.issuer == bindparam("issuer"))
)
_EVENTS: Final = (
    select(schema.certificate_event)
    .join(schema.certificate, _e.certificate_seq == _c.seq)
    .where(_c.id == bindparam("id"))
    .order_by(_e.ordinal)
)
_LATEST_EVENTS: Final = (
    select(schema.certificate_event)
    .select_from(schema.certificate.join(schema.certificate_event, _LATEST))
    .where(_c.id.in_(bindparam("ids", expanding=True)))
)
_REVOKED: Final = (
    select(_e.seq, _e.serial, _e.at, _e.reason)
    .where(
        _e.issuer == bindparam("issuer"), _e.seq > bindparam("seq"), _e.not_after >= bindparam("not_after"), _IS_REVOKED_KIND, _IS_NEWEST
    )
    .order_by(_e.seq)
    .limit(REVOKED_CHUNK)
)
_DUE_HOLDS: Final = (
    select(schema.certificate_event)
    .where(_e.until.is_not(None), _e.until <= bindparam("before"), _IS_NEWEST)
    .order_by(_e.until, _e.seq)
    .limit(bindparam("limit"))
)
_NEWEST_CRL: Final = (
    select(schema.crl)
    .join(schema.crl_newest, (schema.crl_newest.c.issuer == schema.crl.c.issuer) & (schema.crl_newest.c.number == schema.crl.c.number))
    .where(schema.crl.c.issuer == bindparam("issuer"))
)


def get_authority(connection: Connection, id: AuthorityId) -> Authority:
    if row := connection.execute(_AUTHORITY, {"id": storable(id)}).first():
        return authority_of(row)
    raise NotFound(Finding("authority.unknown", f"there is no authority {id}", hint="list them: chargepki ca list"))


def list_authorities(connection: Connection) -> tuple[Authority, ...]:
    return tuple(authority_of(row) for row in connection.execute(_AUTHORITIES))


def get_key_record(connection: Connection, ref: KeyRef) -> KeyRecord:
    if row := connection.execute(_KEY, {"ref": storable(ref)}).first():
        return key_of(row)
    raise NotFound(Finding("key.unknown", f"there is no key {ref} in the register", hint="list them: chargepki keys list"))


def list_key_records(connection: Connection, cursor: str, limit: int) -> Page[KeyRecord]:
    after = cursors.parse(cursor, "keys", int)
    statement = select(schema.key_record).where(_k.seq > (after[0] if after else 0))
    rows = connection.execute(statement.order_by(_k.seq).limit(cursors.page_size(limit) + 1)).all()
    return cursors.page_of(rows, limit, key_of, "keys", "seq")


def get_certificate(connection: Connection, id: CertificateId) -> Certificate:
    if row := connection.execute(_CERTIFICATE, {"id": storable(id)}).first():
        return certificate_of(row)
    raise NotFound(Finding("certificate.unknown", f"there is no certificate {id}", hint="list them: chargepki cert list"))


def lookup_certificate_by_serial(connection: Connection, issuer: AuthorityId, serial: int) -> Certificate | None:
    if not 0 <= serial <= SERIAL_MAX:
        return None
    row = connection.execute(_CERTIFICATE_BY_SERIAL, {"issuer": storable(issuer), "serial": serial_octets(serial)}).first()
    return certificate_of(row) if row else None


def lookup_certificate_by_intent(connection: Connection, intent: IntentId) -> Certificate | None:
    row = connection.execute(_CERTIFICATE_BY_INTENT, {"intent": storable(intent)}).first()
    return certificate_of(row) if row else None


def list_certificates(connection: Connection, query: CertificateQuery, now: datetime, cursor: str, limit: int) -> Page[Certificate]:
    after = cursors.parse(cursor, "certificates", int)
    chosen = select(_c.seq).where(*_narrowings(query))
    if query.state:
        chosen = _with_state(chosen, query.state, seconds(now))
    if after:
        chosen = chosen.where(_c.seq < after[0])
    chosen = chosen.order_by(_c.seq.desc()).limit(cursors.page_size(limit) + 1)
    # Chosen by number first: where a database prefers to sort (by not_after, for instance), it sorts numbers, not certificates.
    rows = connection.execute(select(schema.certificate).where(_c.seq.in_(chosen)).order_by(_c.seq.desc())).all()
    return cursors.page_of(rows, limit, certificate_of, "certificates", "seq")


def _narrowings(query: CertificateQuery) -> list[ColumnElement[bool]]:
    found = of_parties(_c.party, query.parties)
    if query.station is not None:
        found.append(_c.station == storable(query.station))
    if query.issuer is not None:
        found.append(_c.issuer == storable(query.issuer))
    if query.profile is not None:
        found.append(_c.profile == storable(query.profile))
    if query.spki_sha256:
        found.append(_c.spki_sha256 == query.spki_sha256)
    if query.expires_before is not None:
        found.append(_c.not_after < seconds(query.expires_before))
    if query.text:
        found.append(_matches_text(query.text))
    return found


def _matches_text(text: str) -> ColumnElement[bool]:
    """A part of the subject, in any case of letters, or a whole serial number in hexadecimal."""
    in_subject = _c.subject.icontains(storable(text), autoescape=True)
    digits = text.strip().replace(":", "")
    try:
        serial = bytes.fromhex(digits.zfill(2 * SERIAL_OCTETS))
    except ValueError:
        return in_subject
    return or_(in_subject, _c.serial == serial) if len(serial) == SERIAL_OCTETS else in_subject


def _with_state(statement: Select[Any], state: str, now: int) -> Select[Any]:
    """A revoked or held certificate is "revoked" for ever after; any other is "expired" from its end on, and "valid" before."""
    if state == "revoked":
        # The event's own index gives the order here: a few revoked among a million certificates are found at once.
        joined = statement.join(schema.certificate_event, _e.certificate_seq == _c.seq)
        return joined.where(_IS_REVOKED_KIND, _IS_NEWEST)
    # A probe per certificate until the page is full; an anti-join would read the events of all certificates first.
    newest_kind = select(_e.kind).where(_e.certificate_seq == _c.seq).order_by(_e.ordinal.desc()).limit(1).scalar_subquery()
    is_revoked = func.coalesce(newest_kind, "").in_(_REVOKED_KINDS)
    if state == "expired":
        return statement.where(~is_revoked, _c.not_after < now)
    if state == "valid":
        return statement.where(~is_revoked, _c.not_after >= now)
    raise Refused.because(
        "certificate.query.state", f"{state!r} is not a state of a certificate", path="state", hint="valid, revoked or expired"
    )


def list_certificate_events(connection: Connection, id: CertificateId) -> tuple[CertificateEvent, ...]:
    return tuple(event_of(row) for row in connection.execute(_EVENTS, {"id": storable(id)}))


def lookup_status(connection: Connection, issuer: AuthorityId, serial: int) -> tuple[bool, CertificateEvent | None]:
    if not 0 <= serial <= SERIAL_MAX:
        return False, None
    row = connection.execute(_STATUS, {"issuer": storable(issuer), "serial": serial_octets(serial)}).first()
    if row is None:
        return False, None
    return True, None if row.id is None else event_of(row)


def latest_events(connection: Connection, ids: Sequence[CertificateId]) -> dict[CertificateId, CertificateEvent]:
    found: dict[CertificateId, CertificateEvent] = {}
    for start in range(0, len(ids), LATEST_EVENTS_CHUNK):
        chunk = [storable(id) for id in ids[start : start + LATEST_EVENTS_CHUNK]]
        events = (event_of(row) for row in connection.execute(_LATEST_EVENTS, {"ids": chunk}))
        found.update((event.certificate, event) for event in events)
    return found


def list_due_holds(connection: Connection, before: datetime, limit: int) -> tuple[CertificateEvent, ...]:
    values = {"before": seconds(before), "limit": cursors.page_size(limit)}
    return tuple(event_of(row) for row in connection.execute(_DUE_HOLDS, values))


def lookup_latest_crl(connection: Connection, issuer: AuthorityId) -> Crl | None:
    row = connection.execute(_NEWEST_CRL, {"issuer": storable(issuer)}).first()
    return crl_of(row) if row else None


def list_open_intents(
    connection: Connection, before: datetime, parties: frozenset[PartyId] | None, cursor: str, limit: int
) -> Page[Intent]:
    after = cursors.parse(cursor, "open-intents", int, str)
    where = [_o.created_at < seconds(before), *of_parties(_i.party, parties)]
    statement = select(schema.intent).join(schema.intent_open, _o.intent == _i.id).where(*where)
    if after:
        created_at, intent = after
        statement = statement.where(or_(_o.created_at > created_at, (_o.created_at == created_at) & (_o.intent > intent)))
    rows = connection.execute(statement.order_by(_o.created_at, _o.intent).limit(cursors.page_size(limit) + 1)).all()
    return cursors.page_of(rows, limit, intent_of, "open-intents", "created_at", "id")


class RevokedWalk:
    """All revoked serial numbers of one issuer, chunk by chunk, as they stood when the walk began.

    Without one snapshot a certificate that is held and then revoked during the walk would appear twice, and so would its serial
    number in the CRL. The methods are called from threads, never two at a time: the lock sees to it when a walk is given up.
    """

    def __init__(self, backend: Backend, issuer: AuthorityId, not_after_from: datetime) -> None:
        self._backend = backend
        self._values = {"issuer": storable(issuer), "not_after": seconds(not_after_from), "seq": 0}
        self._connection: Connection | None = None
        self._lock = threading.Lock()
        self._is_closed = False

    def next_chunk(self) -> list[Revoked]:
        """At most `REVOKED_CHUNK`; empty at the end."""
        with self._lock:
            if self._is_closed:
                return []
            if self._connection is None:
                self._connection = self._backend.begin_snapshot(self._backend.fresh_reader())
            rows = self._connection.execute(_REVOKED, self._values).all()
            if rows:
                self._values["seq"] = rows[-1].seq
            return [revoked_of(row) for row in rows]

    def close(self) -> None:
        with self._lock:
            self._is_closed = True
            if self._connection is not None:
                self._connection.close()
                self._connection = None
