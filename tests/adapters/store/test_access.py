"""Tokens, the audit trail and idempotency keys, on every store."""

import asyncio
from dataclasses import replace

import pytest

from chargepki.adapters.store import SqlStore
from chargepki.adapters.store.schema.access import NARROWED_MAX
from chargepki.core.records import AuditEntry, AuditId, Outcome, TokenId
from chargepki.errors import Conflict, NotFound
from chargepki.ports import (
    AddApiToken,
    AddEnrolmentToken,
    AppendAudit,
    ClaimIdempotencyKey,
    DropIdempotencyKey,
    EndTokens,
    KeepIdempotentAnswer,
    RevokeApiToken,
    UseEnrolmentToken,
)
from tests.adapters.store.facts import DAY, NOW, SECOND, answer, api_token, at_leaf, audit, digest, enrolment_token
from tests.adapters.store.refusals import conflict


async def test_an_enrolment_token_is_used_once(store: SqlStore) -> None:
    token = enrolment_token()
    await store.commit(AddEnrolmentToken(token))
    assert await store.lookup_enrolment_token(token.token_sha256) == token
    await store.commit(UseEnrolmentToken(token.id, NOW))
    with conflict("store.token.used"):
        await store.commit(UseEnrolmentToken(token.id, NOW))
    assert await store.lookup_enrolment_token(token.token_sha256) == replace(token, used_at=NOW)


async def test_an_enrolment_token_must_exist_and_live(store: SqlStore) -> None:
    await store.commit(AddEnrolmentToken(enrolment_token(expires_at=NOW)))
    with conflict("store.token.expired"):
        await store.commit(UseEnrolmentToken(TokenId("enr_1"), NOW))
    await store.commit(UseEnrolmentToken(TokenId("enr_1"), NOW - SECOND))
    with conflict("store.token.unknown"):
        await store.commit(UseEnrolmentToken(TokenId("enr_2"), NOW))
    with conflict("store.token.exists"):
        await store.commit(AddEnrolmentToken(replace(enrolment_token(), id=TokenId("enr_3"))))
    assert await store.lookup_enrolment_token(digest("another")) is None


async def test_of_two_who_race_for_a_token_one_wins(store: SqlStore) -> None:
    await store.commit(*(AddEnrolmentToken(enrolment_token(f"enr_{n}")) for n in range(20)))
    for n in range(20):
        use = UseEnrolmentToken(TokenId(f"enr_{n}"), NOW)
        outcomes = await asyncio.gather(*(store.commit(use) for _ in range(5)), return_exceptions=True)
        assert [type(outcome) for outcome in outcomes if outcome] == [Conflict] * 4


async def test_api_tokens_are_found_by_their_hash_until_and_after_they_are_revoked(store: SqlStore) -> None:
    first, second = api_token("tok_1"), replace(api_token("tok_2"), grants=(), created_at=NOW + DAY)
    await store.commit(AddApiToken(second), AddApiToken(first))
    assert await store.lookup_api_token(first.token_sha256) == first
    assert await store.get_api_token(first.id) == first
    assert await store.lookup_api_token(digest("another")) is None
    with pytest.raises(NotFound, match="there is no token tok_9"):
        await store.get_api_token(TokenId("tok_9"))
    await store.commit(RevokeApiToken(first.id, NOW))
    assert (await store.list_api_tokens()).items == (replace(first, revoked_at=NOW), second)
    with conflict("store.token.revoked"):
        await store.commit(RevokeApiToken(first.id, NOW))
    with conflict("store.token.unknown"):
        await store.commit(RevokeApiToken(TokenId("tok_9"), NOW))
    with conflict("store.token.exists"):
        await store.commit(AddApiToken(replace(api_token("tok_1"), id=TokenId("tok_3"))))


async def chain(store: SqlStore, length: int) -> None:
    """tok_0, and each further one narrowed from the one before."""
    for n in range(length):
        await store.commit(AddApiToken(api_token(f"tok_{n}", parent=f"tok_{n - 1}" if n else None)))


async def revoked(store: SqlStore) -> set[str]:
    return {token.id for token in (await store.list_api_tokens(limit=500)).items if token.revoked_at is not None}


async def test_a_token_takes_all_that_were_narrowed_from_it_along(store: SqlStore) -> None:
    await chain(store, 4)
    await store.commit(AddApiToken(api_token("tok_2b", holder="machine:mch_1", parent="tok_1")), AddApiToken(api_token("tok_other")))
    await store.commit(RevokeApiToken(TokenId("tok_1"), NOW))
    assert await revoked(store) == {"tok_1", "tok_2", "tok_2b", "tok_3"}
    with conflict("store.token.revoked"):
        await store.commit(RevokeApiToken(TokenId("tok_3"), NOW))
    await store.commit(RevokeApiToken(TokenId("tok_0"), NOW + DAY))
    assert (await store.get_api_token(TokenId("tok_3"))).revoked_at == NOW


async def test_a_token_is_narrowed_from_one_that_lives_and_not_without_end(store: SqlStore) -> None:
    await chain(store, NARROWED_MAX + 1)
    with conflict("store.token.depth"):
        await store.commit(AddApiToken(api_token("tok_deep", parent=f"tok_{NARROWED_MAX}")))
    with conflict("store.token.unknown"):
        await store.commit(AddApiToken(api_token("tok_orphan", parent="tok_gone")))
    with conflict("store.token.exists"):
        await store.commit(AddApiToken(api_token("tok_1", parent="tok_0")))
    await store.commit(RevokeApiToken(TokenId("tok_0"), NOW))
    assert len(await revoked(store)) == NARROWED_MAX + 1
    with conflict("store.token.revoked"):
        await store.commit(AddApiToken(api_token("tok_late", parent="tok_0")))


async def test_all_tokens_of_a_holder_end_and_those_narrowed_from_them(store: SqlStore) -> None:
    leaving, staying, site = api_token("tok_1"), api_token("tok_2", holder="person:per_2"), api_token("tok_3", "machine:mch_1", "tok_1")
    await store.commit(AddApiToken(leaving), AddApiToken(staying))
    await store.commit(AddApiToken(site))
    assert (await store.list_api_tokens(holder="person:per_1")).items == (leaving,)
    await store.commit(EndTokens("person:per_1", NOW), AddApiToken(api_token("tok_4")))
    assert await revoked(store) == {"tok_1", "tok_3"}  # what the same commit adds stays
    await store.commit(EndTokens("person:per_nobody", NOW))


async def test_a_token_narrowed_while_its_parent_is_revoked_does_not_outlive_it(store: SqlStore) -> None:
    for n in range(20):
        await store.commit(AddApiToken(api_token(f"tok_p{n}")))
        narrow = (store.commit(AddApiToken(api_token(f"tok_c{n}{m}", parent=f"tok_p{n}"))) for m in range(3))
        await asyncio.gather(*narrow, store.commit(RevokeApiToken(TokenId(f"tok_p{n}"), NOW)), return_exceptions=True)
    assert {token.id for token in (await store.list_api_tokens(limit=500)).items} == await revoked(store)


async def test_the_trail_is_read_newest_first_and_narrowed(store: SqlStore) -> None:
    a = audit(1, "station:CS-1")
    b = audit(2, "station:CS-12", actor="tok_2")
    c = replace(audit(3, "certificate:crt_1", Outcome.REFUSED), action="certificate:request:create")
    for entry in (a, b, c):
        await store.commit(AppendAudit(entry))
    a, b, c = at_leaf(a, 0), at_leaf(b, 1), at_leaf(c, 2)

    async def found(actor: str = "", action: str = "", object: str = "", outcome: str = "") -> tuple[AuditEntry, ...]:
        return (await store.list_audit(actor=actor, action=action, object=object, outcome=outcome)).items

    assert await found() == (c, b, a)
    assert await found(actor="tok_2") == (b,)
    assert await found(action="certificate:request:create") == (c,)
    assert await found(object="station:CS-1") == (a,)
    assert await found(object="station:CS-1*") == (b, a)
    assert await found(object="*") == (c, b, a)
    assert await found(outcome="refused") == (c,)
    assert await found(outcome="done", object="certificate:*") == ()
    assert await store.get_audit(a.id) == a
    with pytest.raises(NotFound):
        await store.get_audit(AuditId("aud_none"))
    with conflict("store.audit.exists"):
        await store.commit(AppendAudit(a))


async def test_an_idempotency_key_is_claimed_answered_and_freed(store: SqlStore) -> None:
    await store.commit(ClaimIdempotencyKey(answer()))
    assert await store.lookup_idempotent("tok_1", "k-1") == answer()
    with conflict("store.idempotency.used"):
        await store.commit(ClaimIdempotencyKey(answer()))
    await store.commit(ClaimIdempotencyKey(replace(answer(), caller="tok_2")))

    await store.commit(KeepIdempotentAnswer(answer(status=201, body=b"{}")))
    assert await store.lookup_idempotent("tok_1", "k-1") == answer(status=201, body=b"{}")

    await store.commit(DropIdempotencyKey("tok_1", "k-1"))
    assert await store.lookup_idempotent("tok_1", "k-1") is None
    with conflict("store.idempotency.unknown"):
        await store.commit(KeepIdempotentAnswer(answer(status=201)))
    await store.commit(ClaimIdempotencyKey(answer()))
