"""The tables, one per record of `core/records.py`.

Times are integer seconds since the epoch (UTC), serial numbers 20 octets big-endian, hashes raw octets, sets of text and the words of
authorisation canonical JSON. Unique constraints carry the preconditions of `ports.Change`, so that they hold between processes too.
There are no foreign keys: an authority and its own certificate name each other and are written together. `seq` counts rows in the
order they were written; lists walk it.
"""

from chargepki.adapters.store.schema.access import account, api_token, external_identity, grant_record, machine, party, person, session
from chargepki.adapters.store.schema.approvals import proposal, standing, standing_use, vote
from chargepki.adapters.store.schema.certificates import (
    authority,
    certificate,
    certificate_event,
    crl,
    crl_newest,
    intent,
    intent_open,
    key_claim,
    key_record,
)
from chargepki.adapters.store.schema.columns import metadata
from chargepki.adapters.store.schema.inventory import enrolment_token, security_event, station
from chargepki.adapters.store.schema.profiles import profile_version
from chargepki.adapters.store.schema.trail import audit_entry, idempotency, log_head

__all__ = [
    "account",
    "api_token",
    "audit_entry",
    "authority",
    "certificate",
    "certificate_event",
    "crl",
    "crl_newest",
    "enrolment_token",
    "external_identity",
    "grant_record",
    "idempotency",
    "intent",
    "intent_open",
    "key_claim",
    "key_record",
    "log_head",
    "machine",
    "metadata",
    "party",
    "person",
    "profile_version",
    "proposal",
    "security_event",
    "session",
    "standing",
    "standing_use",
    "station",
    "vote",
]
