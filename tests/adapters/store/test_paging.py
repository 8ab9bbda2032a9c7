"""Every list is walked by cursor: each row once, whatever is added meanwhile, and as fast on the last page as on the first."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

import pytest
from sqlalchemy import event as engine_event

from chargepki.adapters.store import SqlStore
from chargepki.adapters.store.cursors import CURSOR_LENGTH_MAX, encode
from chargepki.core.records import (
    CertificateId,
    CertificateQuery,
    KeyRecord,
    Page,
    PartyId,
    PersonId,
    ProfileId,
    ProposalId,
    ProposalState,
    StandingRecord,
    StationId,
)
from chargepki.errors import Refused
from chargepki.ports import (
    PAGE_SIZE_MAX,
    AddApiToken,
    AddGrant,
    AddIntent,
    AddKeyRecord,
    AddMachine,
    AddParty,
    AddProposal,
    AddSecurityEvent,
    AddSession,
    AddStanding,
    AddStation,
    AppendAudit,
    Change,
)
from tests.adapters.store.facts import (
    DAY,
    NOW,
    SUB,
    add_person,
    api_token,
    audit,
    certificate,
    grant,
    intent,
    issue,
    key_record,
    machine,
    party,
    proposal,
    revoke,
    security_event,
    session,
    standing,
    station,
)

COUNT = 1_000


class Listing(Protocol):
    def __call__(self, store: SqlStore, cursor: str, limit: int) -> Awaitable[Page[Any]]: ...


def certificates(store: SqlStore, cursor: str, limit: int) -> Awaitable[Page[Any]]:
    return store.list_certificates(CertificateQuery(), now=NOW, cursor=cursor, limit=limit)


def revoked_certificates(store: SqlStore, cursor: str, limit: int) -> Awaitable[Page[Any]]:
    return store.list_certificates(CertificateQuery(state="revoked"), now=NOW, cursor=cursor, limit=limit)


def open_intents(store: SqlStore, cursor: str, limit: int) -> Awaitable[Page[Any]]:
    return store.list_open_intents(before=NOW + DAY, cursor=cursor, limit=limit)


def stations(store: SqlStore, cursor: str, limit: int) -> Awaitable[Page[Any]]:
    return store.list_stations(cursor=cursor, limit=limit)


def security_events(store: SqlStore, cursor: str, limit: int) -> Awaitable[Page[Any]]:
    return store.list_security_events(None, cursor=cursor, limit=limit)


def audit_entries(store: SqlStore, cursor: str, limit: int) -> Awaitable[Page[Any]]:
    return store.list_audit(cursor=cursor, limit=limit)


def api_tokens(store: SqlStore, cursor: str, limit: int) -> Awaitable[Page[Any]]:
    return store.list_api_tokens(cursor=cursor, limit=limit)


def parties(store: SqlStore, cursor: str, limit: int) -> Awaitable[Page[Any]]:
    return store.list_parties(cursor=cursor, limit=limit)


def people(store: SqlStore, cursor: str, limit: int) -> Awaitable[Page[Any]]:
    return store.list_people(cursor=cursor, limit=limit)


def machines(store: SqlStore, cursor: str, limit: int) -> Awaitable[Page[Any]]:
    return store.list_machines(cursor=cursor, limit=limit)


def grants(store: SqlStore, cursor: str, limit: int) -> Awaitable[Page[Any]]:
    return store.list_grants(cursor=cursor, limit=limit)


def sessions(store: SqlStore, cursor: str, limit: int) -> Awaitable[Page[Any]]:
    return store.list_sessions(cursor=cursor, limit=limit)


def proposals(store: SqlStore, cursor: str, limit: int) -> Awaitable[Page[Any]]:
    return store.list_proposals(cursor=cursor, limit=limit)


def key_records(store: SqlStore, cursor: str, limit: int) -> Awaitable[Page[Any]]:
    return store.list_key_records(cursor=cursor, limit=limit)


def standing_approvals(store: SqlStore, cursor: str, limit: int) -> Awaitable[Page[Any]]:
    return store.list_standing(is_live_at=NOW, cursor=cursor, limit=limit)


def name_of(item: Any) -> str:
    """What tells the rows of a list apart."""
    return str(item.ref if isinstance(item, KeyRecord) else item.approval.id if isinstance(item, StandingRecord) else item.id)


# How each list is filled with its number n, and whether what comes last is shown first.
LISTS: list[tuple[Listing, Callable[[int], Sequence[Change]], bool]] = [
    (certificates, lambda n: issue(certificate(n)), True),
    (revoked_certificates, lambda n: (*issue(certificate(n)), revoke(certificate(n))), True),
    (open_intents, lambda n: [AddIntent(intent(n))], False),
    (stations, lambda n: [AddStation(station(f"CS-{n:06}"))], False),
    (security_events, lambda n: [AddSecurityEvent(security_event(n))], True),
    (audit_entries, lambda n: [AppendAudit(audit(n))], True),
    (api_tokens, lambda n: [AddApiToken(api_token(f"tok_{n:06}"))], False),
    (parties, lambda n: [AddParty(party(f"party-{n:06}"))], False),
    (people, lambda n: [add_person(f"per_{n:06}")], False),
    (machines, lambda n: [AddMachine(machine(f"mch_{n:06}"))], False),
    (grants, lambda n: [AddGrant(grant(f"grt_{n:06}"))], False),
    (sessions, lambda n: [AddSession(session(f"ses_{n:06}"))], True),
    (proposals, lambda n: [AddProposal(proposal(f"prp_{n:06}"))], True),
    (key_records, lambda n: [AddKeyRecord(key_record(f"key-{n:06}"))], False),
    (standing_approvals, lambda n: [AddStanding(standing(f"sta_{n:06}"))], False),
]


@pytest.mark.parametrize(("listing", "fill", "is_newest_first"), LISTS, ids=lambda value: getattr(value, "__name__", ""))
async def test_a_walk_sees_each_row_once_while_others_are_added(
    store: SqlStore, listing: Listing, fill: Callable[[int], Sequence[Change]], is_newest_first: bool
) -> None:
    await store.commit(*(change for n in range(COUNT) for change in fill(n)))
    seen: list[str] = []
    cursor, pages = "", 0
    while pages == 0 or cursor:
        page = await listing(store, cursor, 70)
        seen += map(name_of, page.items)
        await store.commit(*fill(COUNT + pages))
        cursor, pages = page.next, pages + 1

    assert len(seen) == len(set(seen))
    assert seen == sorted(seen, reverse=is_newest_first)
    # Newest first, what was added lies behind the walker; in ascending order it lies ahead.
    assert len(seen) == (COUNT if is_newest_first else COUNT + pages - 1)


FOREIGN_CURSORS = (
    *("x", "!!!", "☃", "W1tb", "bnVsbA", "e30", "W" * CURSOR_LENGTH_MAX, "W" * (CURSOR_LENGTH_MAX + 1)),
    *(encode("another-list", 1), encode("certificates", 1, 2), encode("stations", 1), encode("open-intents", "1", "2")),
    *(encode("audit", -1), encode("audit", 2**63), encode("audit", True)),
)


@pytest.mark.parametrize("listing", [entry[0] for entry in LISTS], ids=lambda value: value.__name__)
async def test_a_cursor_that_the_list_did_not_make_is_refused(store: SqlStore, listing: Listing) -> None:
    for cursor in FOREIGN_CURSORS:
        with pytest.raises(Refused) as raised:
            await listing(store, cursor, 10)
        assert raised.value.findings[0].code == "list.cursor.malformed"


async def test_a_page_has_a_largest_and_a_smallest_size(store: SqlStore) -> None:
    await store.commit(*(AppendAudit(audit(n)) for n in range(PAGE_SIZE_MAX + 5)))
    largest = await store.list_audit(limit=10**9)
    assert len(largest.items) == PAGE_SIZE_MAX
    assert len((await store.list_audit(limit=-5)).items) == 1
    assert (await store.list_audit(cursor=largest.next, limit=5)).next == ""


async def test_the_last_page_of_exactly_the_limit_has_no_next(store: SqlStore) -> None:
    await store.commit(*(AddStation(station(f"CS-{n}")) for n in range(10)))
    assert (await store.list_stations(limit=10)).next == ""


MINE = frozenset({PartyId("demo-cpo")})
QUERIES: dict[str, Callable[[SqlStore], Awaitable[Any]]] = {
    "certificates": lambda store: certificates(store, encode("certificates", 10), 50),
    "of a station": lambda store: store.list_certificates(CertificateQuery(station=StationId("CS-1")), now=NOW),
    "of an issuer": lambda store: store.list_certificates(CertificateQuery(issuer=SUB), now=NOW, cursor=encode("certificates", 10)),
    "of a profile": lambda store: store.list_certificates(CertificateQuery(profile=ProfileId("x")), now=NOW),
    "with a key": lambda store: store.list_certificates(CertificateQuery(spki_sha256=b"k" * 32), now=NOW),
    "revoked": lambda store: revoked_certificates(store, encode("certificates", 10), 50),
    "status": lambda store: store.lookup_status(SUB, 5),
    "newest events": lambda store: store.latest_events([CertificateId("crt_1")]),
    "newest crl": lambda store: store.lookup_latest_crl(SUB),
    "open intents": lambda store: open_intents(store, encode("open-intents", 5, "int_1"), 50),
    "stations": lambda store: stations(store, encode("stations", "CS-1"), 50),
    "stations of an operator": lambda store: store.list_stations(operator="demo-cpo", cursor=encode("stations", "CS-1")),
    "stations in a state": lambda store: store.list_stations(state="active", cursor=encode("stations", "CS-1")),
    "security events": lambda store: store.list_security_events(StationId("CS-1"), cursor=encode("security-events", 10)),
    "audit": lambda store: store.list_audit(cursor=encode("audit", 10)),
    "audit of an actor": lambda store: store.list_audit(actor="tok_1", cursor=encode("audit", 10)),
    "audit of an action": lambda store: store.list_audit(action="a:b:c", cursor=encode("audit", 10)),
    "audit of an object": lambda store: store.list_audit(object="station:CS-1", cursor=encode("audit", 10)),
    "certificates of a party": lambda store: store.list_certificates(CertificateQuery(parties=MINE), now=NOW),
    "audit of a party": lambda store: store.list_audit(parties=MINE),
    "stations of a party": lambda store: store.list_stations(parties=MINE),
    "security events of a party": lambda store: store.list_security_events(None, parties=MINE, cursor=encode("security-events", 10)),
    "leaves": lambda store: store.list_leaves(first=256, limit=256),
    "tokens of a holder": lambda store: store.list_api_tokens(holder="person:per_1"),
    "people of a party": lambda store: store.list_people(parties=MINE),
    "machines of a party": lambda store: store.list_machines(parties=MINE),
    "grants of a holder": lambda store: store.list_grants(holder="person:per_1", state="active"),
    "grants of a party": lambda store: store.list_grants(parties=MINE, cursor=encode("grants", "grt_1")),
    "sessions of a person": lambda store: store.list_sessions(person=PersonId("per_1"), is_live_at=NOW),
    "open proposals": lambda store: store.list_proposals(state=ProposalState.OPEN),
    "proposals of a party": lambda store: store.list_proposals(parties=MINE),
    "votes": lambda store: store.list_votes(ProposalId("prp_1")),
    "standing approvals of a party": lambda store: store.list_standing(party=PartyId("demo-cpo"), is_live_at=NOW),
    "all refusals": lambda store: store.list_audit(outcome="refused"),
    "refusals": lambda store: store.list_audit(outcome="refused", cursor=encode("audit", 10)),
}


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("name", QUERIES)
async def test_an_index_gives_the_order_of_every_list(store: SqlStore, name: str) -> None:
    """SQLite tells its plan: no list is sorted, none is read from its beginning unless a page of it is the answer."""
    ran: list[tuple[str, Any]] = []
    engine_event.listen(
        store._backend.reader, "before_cursor_execute", lambda _c, _cur, statement, values, *_: ran.append((statement, values))
    )
    await QUERIES[name](store)
    statement, values = ran[0]
    with store._backend.reader.connect() as connection:
        plan = "\n".join(row[-1] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values))
    assert "TEMP B-TREE" not in plan
    if name not in ("certificates", "revoked", "audit", "stations"):
        assert "SCAN " not in plan.replace("SCAN newest", "")
