"""Authorities, keys, intents, certificates and CRLs."""

from sqlalchemy import Connection

from chargepki.adapters.store import schema
from chargepki.adapters.store.conflicts.wording import conflict, find
from chargepki.adapters.store.rows.values import Values
from chargepki.errors import Conflict


def authority_exists(_: Connection, values: Values) -> Conflict:
    return conflict("store.authority.exists", f"there is an authority {values['id']} already", "choose another id")


def authority_unknown(_: Connection, values: Values) -> Conflict:
    return conflict("store.authority.unknown", f"there is no authority {values['id']}", "list them: chargepki ca list")


def serial_used(connection: Connection, values: Values) -> Conflict:
    if find(connection, schema.intent, schema.intent.c.id == values["id"]):
        return conflict("store.intent.exists", f"the intent {values['id']} exists already", "make a fresh id")
    return conflict(
        "store.serial.used", f"{values['issuer']} has used the serial number {_hex(values['serial'])} before", "draw a fresh serial number"
    )


def intent_not_open(_: Connection, values: Values) -> Conflict:
    return conflict(
        "store.intent.not_open",
        f"the intent {values['intent']} does not wait for a certificate: it was never written, was closed, or has its certificate",
        "commit the intent before the certificate is signed; after it was closed, begin a new one",
    )


def certificate_exists(connection: Connection, values: Values) -> Conflict:
    c = schema.certificate.c
    if find(connection, schema.certificate, c.intent == values["intent"]):
        return conflict("store.intent.used", f"the intent {values['intent']} has its certificate already", "read the one that stands")
    return conflict(
        "store.certificate.exists",
        f"the certificate {values['id']}, or one with the serial number {_hex(values['serial'])} of {values['issuer']}, exists already",
        "read the one that stands",
    )


def certificate_changed(connection: Connection, values: Values) -> Conflict:
    c = schema.certificate.c
    is_known = find(
        connection,
        schema.certificate,
        (c.id == values["certificate"]) & (c.issuer == values["issuer"]) & (c.serial == values["serial"]),
    )
    if not is_known:
        return conflict(
            "store.certificate.unknown",
            f"there is no certificate {values['certificate']} with the serial number {_hex(values['serial'])} of {values['issuer']}",
            "check the certificate's id",
        )
    return conflict(
        "store.certificate.changed", f"the status of {values['certificate']} changed meanwhile", "read its events, then decide again"
    )


def key_claimed(connection: Connection, values: Values) -> Conflict:
    row = find(connection, schema.key_claim, schema.key_claim.c.spki_sha256 == values["spki_sha256"])
    owner = row.owner if row else "another owner"
    return conflict("store.key.claimed", f"this public key belongs to {owner}", "generate a fresh key pair")


def key_exists(_: Connection, values: Values) -> Conflict:
    return conflict("store.key.exists", f"the key {values['ref']} is in the register already", "read the one that stands")


def key_state_changed(connection: Connection, values: Values) -> Conflict:
    row = find(connection, schema.key_record, schema.key_record.c.ref == values["ref"])
    if row is None:
        return conflict("store.key.unknown", f"there is no key {values['ref']} in the register", "list them: chargepki keys list")
    return conflict("store.key.changed", f"the key {values['ref']} is {row.state}, not {values['after']}", "read it again, then decide")


def crl_number_passed(connection: Connection, values: Values) -> Conflict:
    row = find(connection, schema.crl_newest, schema.crl_newest.c.issuer == values["issuer"])
    newest = row.number if row else "one"
    return conflict(
        "store.crl.number",
        f"{values['issuer']} has published CRL {newest}; number {values['number']} would go back",
        "take the next number after the newest CRL",
    )


def _hex(serial: object) -> str:
    return serial.hex().lstrip("0") if isinstance(serial, bytes) else str(serial)
