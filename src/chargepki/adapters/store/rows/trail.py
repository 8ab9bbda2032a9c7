"""The audit trail, and answers kept for their idempotency keys."""

from chargepki.adapters.store.rows.values import AnyRow, Values, seconds, storable, time_of
from chargepki.core.records import AuditEntry, IdempotentAnswer, Outcome


def audit_values(e: AuditEntry) -> Values:
    return {
        "id": storable(e.id),
        "at": seconds(e.at),
        "actor": storable(e.actor),
        "action": storable(e.action),
        "object": storable(e.object),
        "outcome": e.outcome.value,
        "body": e.body,
        "party": storable(e.party),
        "private": e.private,
        "subject": storable(e.subject),
    }


def audit_of(row: AnyRow) -> AuditEntry:
    return AuditEntry(
        id=row.id,
        at=time_of(row.at),
        actor=row.actor,
        action=row.action,
        object=row.object,
        outcome=Outcome(row.outcome),
        body=bytes(row.body),
        party=row.party,
        private=bytes(row.private),
        subject=row.subject,
        index=row.seq,
    )


def idempotent_values(a: IdempotentAnswer) -> Values:
    return {
        "caller": storable(a.caller),
        "key": storable(a.key),
        "request_sha256": a.request_sha256,
        "created_at": seconds(a.created_at),
        "status": a.status,
        "body": a.body,
    }


def idempotent_of(row: AnyRow) -> IdempotentAnswer:
    return IdempotentAnswer(
        key=row.key,
        caller=row.caller,
        request_sha256=bytes(row.request_sha256),
        created_at=time_of(row.created_at),
        status=row.status,
        body=bytes(row.body),
    )
