"""A database of an older version opens, keeps what it holds, and takes the new."""

import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from chargepki.adapters.store import open_store
from chargepki.adapters.store.migrate import _MIGRATIONS
from chargepki.core.records import AuditEntry, AuditId, CertificateQuery, Outcome, StationId, TokenId
from chargepki.ports import AddApiToken, AddCertificateEvent, AppendAudit, UpdateStation
from tests.adapters.store.facts import DAY, NOW, SECOND, api_token, at_leaf, audit, authority, certificate, digest, event, intent, station

AT = int(NOW.timestamp())
BODIES = [b'{"v":1,"first":true}', b"\x00\xff", b'{"v":1,"after":"a gap"}']


@pytest.fixture(params=["sqlite", "postgres"])
def old_url(request: pytest.FixtureRequest, tmp_path: Any) -> str:
    """A database made by migration 0001, with rows as the code of that time wrote them."""
    is_sqlite = request.param == "sqlite"
    url: str = f"sqlite:///{tmp_path}/chargepki.db" if is_sqlite else request.getfixturevalue("postgres_url")
    engine = sa.create_engine(url if is_sqlite else sa.make_url(url).set(drivername="postgresql+psycopg"))
    with engine.begin() as connection:
        config = Config()
        config.set_main_option("script_location", str(_MIGRATIONS))
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        for table, rows in OLD_ROWS.items():
            for row in rows:
                connection.execute(sa.table(table, *map(sa.column, row)).insert().values(row))
    engine.dispose()
    return url


def old_token(name: str, *, expires_at: int | None, revoked_at: int | None) -> Mapping[str, Any]:
    return {
        "id": name,
        "token_sha256": digest(name),
        "name": "the laptop",
        "role": "operator",
        "scopes": "certificate:*:* inventory:station:read",
        "created_by": "system",
        "created_at": AT,
        "expires_at": expires_at,
        "revoked_at": revoked_at,
    }


def old_entry(seq: int, body: bytes) -> Mapping[str, Any]:
    row = {"seq": seq, "id": f"aud_{seq:06}", "at": AT, "actor": "tok_1", "action": "inventory:station:write"}
    return {**row, "object": "station:CS-17", "outcome": "done", "body": body}


ISSUED, BEGUN, OWN, STATION = certificate(1), intent(2), authority(), station()
OLD_ROWS: Mapping[str, list[Mapping[str, Any]]] = {
    "api_token": [old_token("tok_1", expires_at=None, revoked_at=None), old_token("tok_2", expires_at=AT + 60, revoked_at=AT)],
    "audit_entry": [old_entry(seq, body) for seq, body in zip((1, 2, 7), BODIES, strict=True)],
    "authority": [
        {
            "id": OWN.id,
            "parent": OWN.parent,
            "profile": OWN.profile,
            "key": OWN.key,
            "key_spec": OWN.key_spec,
            "signature": OWN.signature,
            "certificate": OWN.certificate,
            "state": OWN.state,
            "created_at": AT,
        }
    ],
    "intent": [
        {
            "id": each.id,
            "issuer": each.issuer,
            "serial": each.serial.to_bytes(20, "big"),
            "tbs_sha256": each.tbs_sha256,
            "profile": each.profile,
            "decision": each.decision,
            "requested_by": each.requested_by,
            "created_at": AT,
            "station": each.station,
        }
        for each in (intent(1), BEGUN)
    ],
    "intent_open": [{"intent": BEGUN.id, "created_at": AT}],
    "certificate": [
        {
            "id": ISSUED.id,
            "issuer": ISSUED.issuer,
            "serial": ISSUED.serial.to_bytes(20, "big"),
            "profile": ISSUED.profile,
            "subject": ISSUED.subject,
            "der": ISSUED.der,
            "spki_sha256": ISSUED.spki_sha256,
            "not_before": int(ISSUED.not_before.timestamp()),
            "not_after": int(ISSUED.not_after.timestamp()),
            "intent": ISSUED.intent,
            "requested_by": ISSUED.requested_by,
            "issued_at": AT,
            "station": ISSUED.station,
            "key": ISSUED.key,
        }
    ],
    "station": [
        {
            "id": STATION.id,
            "serial_number": STATION.serial_number,
            "operator": STATION.operator,
            "state": STATION.state,
            "security_profile": STATION.security_profile,
            "created_at": AT,
            "ocpp_version": "",
            "vendor": "",
            "model": "",
            "firmware": "",
            "csr_tolerant": True,
            "include_root": False,
            "password_hash": STATION.password_hash,
            "version": 1,
        }
    ],
}


async def test_what_was_there_is_the_platforms_and_can_be_worked_with(old_url: str) -> None:
    store = open_store(old_url)
    assert (await store.list_authorities()) == (OWN,)
    assert (await store.list_certificates(CertificateQuery(), now=NOW)).items == (ISSUED,)
    assert (await store.list_open_intents(before=NOW + DAY)).items == (BEGUN,)
    assert await store.get_station(StationId("CS-17")) == STATION
    assert await store.lookup_certificate_by_serial(ISSUED.issuer, ISSUED.serial) == ISSUED
    await store.commit(UpdateStation(STATION), AddCertificateEvent(event(ISSUED), None))
    await store.close()


async def test_old_audit_entries_become_the_first_leaves(old_url: str) -> None:
    store = open_store(old_url)
    assert await store.count_leaves() == 3
    assert await store.list_leaves(first=0, limit=9) == tuple(BODIES)
    third = AuditEntry(AuditId("aud_000007"), NOW, "tok_1", "inventory:station:write", "station:CS-17", Outcome.DONE, BODIES[2], index=2)
    assert await store.get_audit(third.id) == third
    await store.commit(AppendAudit(audit(100)))
    assert (await store.list_audit()).items[0] == at_leaf(audit(100), 3)
    await store.close()


async def test_old_tokens_are_revoked_because_they_hold_no_role_of_today(old_url: str) -> None:
    store = open_store(old_url)
    first, second = (await store.list_api_tokens()).items
    assert (first.grants, first.holder, first.created_by) == ((), "", "system")
    assert first.revoked_at is not None
    assert abs(first.revoked_at - datetime.fromtimestamp(time.time(), UTC)) < 60 * SECOND
    assert first.expires_at == first.revoked_at
    assert (second.revoked_at, second.expires_at) == (NOW, NOW + 60 * SECOND)
    fresh = replace(api_token("tok_3"), id=TokenId("tok_3"))
    await store.commit(AddApiToken(fresh))
    assert await store.lookup_api_token(fresh.token_sha256) == fresh
    await store.close()


async def test_opening_again_changes_nothing(old_url: str) -> None:
    for _ in range(2):
        store = open_store(old_url)
        assert await store.count_leaves() == 3
        await store.close()
