"""In which order the writes of one transaction run."""

from typing import Final

from chargepki.adapters.store.writes import access, approvals, certificates, inventory, profiles, trail
from chargepki.adapters.store.writes.write import Write

# Within one transaction all rows of a kind are written together, kind after kind: what is made, then what changes, then what goes.
# The order is the same in every process, so that two of them rarely wait for each other. The log's head comes last: it is the one row
# that everybody wants, and it is held until the commit.
ORDER: Final[tuple[Write, ...]] = (
    trail.CLAIM_IDEMPOTENCY_KEY,
    access.ADD_PARTY,
    access.UPDATE_PARTY,
    access.ADD_PERSON,
    access.UPDATE_PERSON,
    access.ADD_ACCOUNT,
    access.UPDATE_ACCOUNT,
    access.ADD_IDENTITY,
    access.ADD_MACHINE,
    access.UPDATE_MACHINE,
    access.ADD_GRANT,
    access.UPDATE_GRANT,
    access.END_SESSION,  # before the new ones: a new password ends all sessions and begins one
    access.END_SESSIONS,
    access.ADD_SESSION,
    access.TOUCH_SESSION,
    access.REVOKE_API_TOKEN,
    access.REVOKE_NARROWED,
    access.END_TOKENS,
    access.END_NARROWED,
    access.ADD_API_TOKEN,
    access.NARROW_API_TOKEN,
    approvals.ADD_PROPOSAL,
    approvals.TAKE_VOTE,
    approvals.ADD_VOTE,
    approvals.UPDATE_PROPOSAL,
    approvals.ADD_STANDING,
    approvals.USE_STANDING,
    approvals.END_STANDING,
    certificates.ADD_KEY_RECORD,
    certificates.SET_KEY_STATE,
    profiles.ADD_PROFILE_VERSION,
    certificates.ADD_AUTHORITY,
    certificates.SET_AUTHORITY_STATE,
    inventory.ADD_STATION,
    inventory.UPDATE_STATION,
    inventory.TOUCH_STATION,
    inventory.ADD_ENROLMENT_TOKEN,
    inventory.USE_ENROLMENT_TOKEN,
    certificates.CLAIM_KEY,
    certificates.ADD_INTENT,
    certificates.OPEN_INTENT,
    certificates.ADD_CERTIFICATE,
    certificates.CLOSE_OPEN_INTENTS,
    certificates.CLOSE_INTENT,
    certificates.FIRST_EVENT,
    certificates.NEXT_EVENT,
    certificates.RAISE_CRL_NUMBER,
    certificates.ADD_CRL,
    inventory.ADD_SECURITY_EVENT,
    trail.KEEP_IDEMPOTENT_ANSWER,
    trail.DROP_IDEMPOTENCY_KEY,
    trail.ERASE_PRIVATE,
    trail.APPEND_AUDIT,
)
