"""Which writes make up each change, with their values."""

from typing import assert_never

from chargepki import ports
from chargepki.adapters.store.rows import access as access_rows
from chargepki.adapters.store.rows import approvals as approval_rows
from chargepki.adapters.store.rows import certificates as certificate_rows
from chargepki.adapters.store.rows import inventory as inventory_rows
from chargepki.adapters.store.rows import profiles as profile_rows
from chargepki.adapters.store.rows import trail as trail_rows
from chargepki.adapters.store.rows.approvals import HOUR_SECONDS
from chargepki.adapters.store.rows.values import seconds, seconds_or_none, storable
from chargepki.adapters.store.writes import access, approvals, certificates, inventory, profiles, trail
from chargepki.adapters.store.writes.write import Operation


def operations_of(change: ports.Change) -> tuple[Operation, ...]:  # noqa: C901 - one case per change, nothing else
    """The statements of one change, with their values."""
    match change:
        case ports.AddCertificate(certificate):
            values = certificate_rows.certificate_values(certificate)
            return (certificates.ADD_CERTIFICATE, values), (certificates.CLOSE_OPEN_INTENTS, values)
        case ports.AddIntent(intent):
            values = certificate_rows.intent_values(intent)
            return (certificates.ADD_INTENT, values), (certificates.OPEN_INTENT, {**values, "intent": values["id"]})
        case ports.AppendAudit(entry):
            return ((trail.APPEND_AUDIT, trail_rows.audit_values(entry)),)
        case ports.ClaimKey(spki_sha256, owner, at):
            return ((certificates.CLAIM_KEY, {"spki_sha256": spki_sha256, "owner": storable(owner), "at": seconds(at)}),)
        case ports.CloseIntent(id, outcome, at):
            values = {"intent": storable(id), "outcome": storable(outcome), "closed_at": seconds(at)}
            return (certificates.CLOSE_OPEN_INTENTS, values), (certificates.CLOSE_INTENT, values)
        case ports.AddAuthority(authority):
            return ((certificates.ADD_AUTHORITY, certificate_rows.authority_values(authority)),)
        case ports.SetAuthorityState(id, state):
            return ((certificates.SET_AUTHORITY_STATE, {"id": storable(id), "state": state.value}),)
        case ports.AddKeyRecord(key):
            return ((certificates.ADD_KEY_RECORD, certificate_rows.key_values(key)),)
        case ports.SetKeyState(ref, key_state, was, at):
            values = {"ref": storable(ref), "state": key_state.value, "after": was.value, "changed_at": seconds(at)}
            return ((certificates.SET_KEY_STATE, values),)
        case ports.AddProfileVersion(version):
            return ((profiles.ADD_PROFILE_VERSION, profile_rows.version_values(version)),)
        case ports.AddCertificateEvent(event, after):
            values = certificate_rows.event_values(event)
            if after is None:
                return ((certificates.FIRST_EVENT, values),)
            return ((certificates.NEXT_EVENT, {**values, "after": storable(after)}),)
        case ports.AddCrl(crl):
            values = certificate_rows.crl_values(crl)
            return (certificates.RAISE_CRL_NUMBER, values), (certificates.ADD_CRL, values)
        case ports.AddStation(station):
            return ((inventory.ADD_STATION, inventory_rows.station_values(station)),)
        case ports.UpdateStation(station):
            return ((inventory.UPDATE_STATION, inventory_rows.station_values(station)),)
        case ports.TouchStation(id, at):
            return ((inventory.TOUCH_STATION, {"id": storable(id), "last_seen": seconds(at)}),)
        case ports.AddEnrolmentToken(enrolment):
            return ((inventory.ADD_ENROLMENT_TOKEN, inventory_rows.enrolment_token_values(enrolment)),)
        case ports.UseEnrolmentToken(id, at):
            return ((inventory.USE_ENROLMENT_TOKEN, {"id": storable(id), "used_at": seconds(at)}),)
        case ports.AddSecurityEvent(security_event):
            return ((inventory.ADD_SECURITY_EVENT, inventory_rows.security_event_values(security_event)),)
        case ports.AddParty(party):
            return ((access.ADD_PARTY, access_rows.party_values(party)),)
        case ports.UpdateParty(party):
            return ((access.UPDATE_PARTY, access_rows.party_values(party)),)
        case ports.AddPerson(person, account):
            return (access.ADD_PERSON, access_rows.person_values(person)), (access.ADD_ACCOUNT, access_rows.account_values(account))
        case ports.UpdatePerson(person):
            return ((access.UPDATE_PERSON, access_rows.person_values(person)),)
        case ports.UpdateAccount(account):
            return ((access.UPDATE_ACCOUNT, access_rows.account_values(account)),)
        case ports.AddExternalIdentity(identity):
            return ((access.ADD_IDENTITY, access_rows.identity_values(identity)),)
        case ports.AddMachine(machine):
            return ((access.ADD_MACHINE, access_rows.machine_values(machine)),)
        case ports.UpdateMachine(machine):
            return ((access.UPDATE_MACHINE, access_rows.machine_values(machine)),)
        case ports.AddGrant(grant):
            return ((access.ADD_GRANT, access_rows.grant_values(grant)),)
        case ports.UpdateGrant(grant):
            return ((access.UPDATE_GRANT, access_rows.grant_values(grant)),)
        case ports.AddSession(session):
            return ((access.ADD_SESSION, access_rows.session_values(session)),)
        case ports.TouchSession(id, at, stepped_up_at):
            values = {"id": storable(id), "last_seen_at": seconds(at), "stepped_up_at": seconds_or_none(stepped_up_at)}
            return ((access.TOUCH_SESSION, values),)
        case ports.EndSession(id, at):
            return ((access.END_SESSION, {"id": storable(id), "ended_at": seconds(at)}),)
        case ports.EndSessions(who, at):
            return ((access.END_SESSIONS, {"person": storable(who), "ended_at": seconds(at)}),)
        case ports.AddApiToken(token):
            write = access.ADD_API_TOKEN if token.parent is None else access.NARROW_API_TOKEN
            return ((write, access_rows.api_token_values(token)),)
        case ports.RevokeApiToken(id, at):
            values = {"id": storable(id), "revoked_at": seconds(at)}
            return (access.REVOKE_API_TOKEN, values), (access.REVOKE_NARROWED, values)
        case ports.EndTokens(holder, at):
            values = {"holder": storable(holder), "revoked_at": seconds(at)}
            return (access.END_TOKENS, values), (access.END_NARROWED, values)
        case ports.AddProposal(proposal):
            return ((approvals.ADD_PROPOSAL, approval_rows.proposal_values(proposal)),)
        case ports.UpdateProposal(proposal):
            return ((approvals.UPDATE_PROPOSAL, approval_rows.proposal_values(proposal)),)
        case ports.AddVote(vote):
            values = approval_rows.vote_values(vote)
            return (approvals.TAKE_VOTE, values), (approvals.ADD_VOTE, values)
        case ports.AddStanding(standing):
            return ((approvals.ADD_STANDING, approval_rows.standing_values(standing)),)
        case ports.EndStanding(id, at):
            return ((approvals.END_STANDING, {"id": storable(id), "ended_at": seconds(at)}),)
        case ports.UseStanding(id, at, per_hour_max):
            second = seconds(at)
            values = {"standing": storable(id), "hour": second // HOUR_SECONDS, "at": second, "per_hour_max": per_hour_max}
            return ((approvals.USE_STANDING, values),)
        case ports.EraseSubject(subject):
            values = {"subject": storable(subject), "private": b""}
            return ((trail.ERASE_PRIVATE, values),)
        case ports.ClaimIdempotencyKey(answer):
            return ((trail.CLAIM_IDEMPOTENCY_KEY, trail_rows.idempotent_values(answer)),)
        case ports.KeepIdempotentAnswer(answer):
            return ((trail.KEEP_IDEMPOTENT_ANSWER, trail_rows.idempotent_values(answer)),)
        case ports.DropIdempotencyKey(caller, key):
            return ((trail.DROP_IDEMPOTENCY_KEY, {"caller": storable(caller), "key": storable(key)}),)
        case _:
            assert_never(change)
