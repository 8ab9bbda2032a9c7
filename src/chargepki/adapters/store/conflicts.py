"""What a failed precondition means to the caller: each function looks at what stands and names it."""

from sqlalchemy import ColumnElement, Connection, Table, select

from chargepki.adapters.store import schema
from chargepki.adapters.store.rows import AnyRow, Values
from chargepki.errors import Conflict, Finding


def authority_exists(_: Connection, values: Values) -> Conflict:
    return _conflict("store.authority.exists", f"there is an authority {values['id']} already", "choose another id")


def authority_unknown(_: Connection, values: Values) -> Conflict:
    return _conflict("store.authority.unknown", f"there is no authority {values['id']}", "list them: chargepki ca list")


def serial_used(connection: Connection, values: Values) -> Conflict:
    if _find(connection, schema.intent, schema.intent.c.id == values["id"]):
        return _conflict("store.intent.exists", f"the intent {values['id']} exists already", "make a fresh id")
    return _conflict(
        "store.serial.used", f"{values['issuer']} has used the serial number {_hex(values['serial'])} before", "draw a fresh serial number"
    )


def intent_not_open(_: Connection, values: Values) -> Conflict:
    return _conflict(
        "store.intent.not_open",
        f"the intent {values['intent']} does not wait for a certificate: it was never written, was closed, or has its certificate",
        "commit the intent before the certificate is signed; after it was closed, begin a new one",
    )


def certificate_exists(connection: Connection, values: Values) -> Conflict:
    c = schema.certificate.c
    if _find(connection, schema.certificate, c.intent == values["intent"]):
        return _conflict("store.intent.used", f"the intent {values['intent']} has its certificate already", "read the one that stands")
    return _conflict(
        "store.certificate.exists",
        f"the certificate {values['id']}, or one with the serial number {_hex(values['serial'])} of {values['issuer']}, exists already",
        "read the one that stands",
    )


def certificate_changed(connection: Connection, values: Values) -> Conflict:
    c = schema.certificate.c
    is_known = _find(
        connection,
        schema.certificate,
        (c.id == values["certificate"]) & (c.issuer == values["issuer"]) & (c.serial == values["serial"]),
    )
    if not is_known:
        return _conflict(
            "store.certificate.unknown",
            f"there is no certificate {values['certificate']} with the serial number {_hex(values['serial'])} of {values['issuer']}",
            "check the certificate's id",
        )
    return _conflict(
        "store.certificate.changed", f"the status of {values['certificate']} changed meanwhile", "read its events, then decide again"
    )


def key_claimed(connection: Connection, values: Values) -> Conflict:
    row = _find(connection, schema.key_claim, schema.key_claim.c.spki_sha256 == values["spki_sha256"])
    owner = row.owner if row else "another owner"
    return _conflict("store.key.claimed", f"this public key belongs to {owner}", "generate a fresh key pair")


def station_exists(connection: Connection, values: Values) -> Conflict:
    c = schema.station.c
    if _find(connection, schema.station, c.id == values["id"]):
        return _conflict("store.station.exists", f"there is a station {values['id']} already", "choose another id, or change that station")
    return _serial_number_taken(values)


def station_changed(connection: Connection, values: Values) -> Conflict:
    c = schema.station.c
    row = _find(connection, schema.station, c.id == values["id"])
    if not row:
        return _conflict("store.station.unknown", f"there is no station {values['id']}", "list them: chargepki station list")
    if row.version == values["version"]:
        return _serial_number_taken(values)
    return _conflict("store.station.changed", f"the station {values['id']} was changed meanwhile", "read it again, then repeat the change")


def token_exists(_: Connection, values: Values) -> Conflict:
    return _conflict("store.token.exists", f"there is a token {values['id']}, or one with the same secret, already", "make a fresh token")


def enrolment_token_unusable(connection: Connection, values: Values) -> Conflict:
    row = _find(connection, schema.enrolment_token, schema.enrolment_token.c.id == values["id"])
    if not row:
        return _conflict("store.token.unknown", f"there is no enrolment token {values['id']}", "check the token's id")
    if row.used_at is not None:
        return _conflict(
            "store.token.used", f"the enrolment token {values['id']} was used already", f"make a new one for station {row.station}"
        )
    return _conflict("store.token.expired", f"the enrolment token {values['id']} has expired", f"make a new one for station {row.station}")


def api_token_unrevokable(connection: Connection, values: Values) -> Conflict:
    if _find(connection, schema.api_token, schema.api_token.c.id == values["id"]):
        return _conflict("store.token.revoked", f"the token {values['id']} was revoked already", "nothing is left to do")
    return _conflict("store.token.unknown", f"there is no token {values['id']}", "list them: chargepki token list")


def crl_number_passed(connection: Connection, values: Values) -> Conflict:
    row = _find(connection, schema.crl_newest, schema.crl_newest.c.issuer == values["issuer"])
    newest = row.number if row else "one"
    return _conflict(
        "store.crl.number",
        f"{values['issuer']} has published CRL {newest}; number {values['number']} would go back",
        "take the next number after the newest CRL",
    )


def security_event_exists(_: Connection, values: Values) -> Conflict:
    return _conflict("store.security_event.exists", f"the security event {values['id']} exists already", "make a fresh id")


def audit_entry_exists(_: Connection, values: Values) -> Conflict:
    return _conflict("store.audit.exists", f"the audit entry {values['id']} exists already", "make a fresh id")


def idempotency_key_used(_: Connection, values: Values) -> Conflict:
    return _conflict(
        "store.idempotency.used",
        f"{values['caller']} has used the idempotency key {values['key']} before",
        "read the answer that was kept for it, or take a fresh key",
    )


def idempotency_key_unknown(_: Connection, values: Values) -> Conflict:
    return _conflict("store.idempotency.unknown", f"the idempotency key {values['key']} was not claimed", "claim it before the work begins")


def _conflict(code: str, message: str, hint: str) -> Conflict:
    return Conflict(Finding(code, message, hint=hint))


def _serial_number_taken(values: Values) -> Conflict:
    return _conflict(
        "store.station.serial_number.exists",
        f"{values['operator']} has a station with the serial number {values['serial_number']} already",
        "check the serial number on the station's plate",
    )


def _find(connection: Connection, table: Table, where: ColumnElement[bool]) -> AnyRow | None:
    return connection.execute(select(table).where(where)).first()


def _hex(serial: object) -> str:
    return serial.hex().lstrip("0") if isinstance(serial, bytes) else str(serial)
