"""Every list shows a caller the rows of the parties it may see, and no others."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from chargepki.adapters.store import SqlStore
from chargepki.core.records import CertificateQuery, Page, PartyId, StationId
from chargepki.ports import (
    AddApiToken,
    AddGrant,
    AddIntent,
    AddMachine,
    AddParty,
    AddProposal,
    AddSecurityEvent,
    AddStation,
    AppendAudit,
    Change,
)
from tests.adapters.store.facts import (
    DAY,
    NOW,
    add_person,
    api_token,
    audit,
    certificate,
    grant,
    intent,
    issue,
    machine,
    party,
    proposal,
    security_event,
    station,
)

Parties = frozenset[PartyId] | None
PARTIES = ("", "demo-cpo", "demo-oem", "demo-cpo")  # whose the rows number 0, 1, 2, 3 are


def at(n: int) -> PartyId:
    return PartyId(PARTIES[n])


def holder(n: int) -> tuple[Sequence[Change], str]:
    """Persons and machines in turn."""
    if n % 2:
        return [add_person(f"per_{n}", party=at(n))], f"person:per_{n}"
    return [AddMachine(machine(f"mch_{n}", party=at(n)))], f"machine:mch_{n}"


Listing = Callable[[SqlStore, Parties], Awaitable[Page[Any]]]
# How row number n is made, and how the list is asked for.
LISTS: dict[str, tuple[Callable[[int], Sequence[Change]], Listing]] = {
    "certificates": (
        lambda n: issue(replace(certificate(n), party=at(n))),
        lambda store, parties: store.list_certificates(CertificateQuery(parties=parties), now=NOW),
    ),
    "valid certificates": (
        lambda n: issue(replace(certificate(n), party=at(n))),
        lambda store, parties: store.list_certificates(CertificateQuery(parties=parties, state="valid"), now=NOW),
    ),
    "open intents": (
        lambda n: [AddIntent(replace(intent(n), party=at(n)))],
        lambda store, parties: store.list_open_intents(before=NOW + DAY, parties=parties),
    ),
    "stations": (
        lambda n: [AddStation(replace(station(f"CS-{n}"), party=at(n)))],
        lambda store, parties: store.list_stations(parties=parties),
    ),
    "security events": (
        lambda n: [AddStation(replace(station(f"CS-{n}"), party=at(n))), AddSecurityEvent(security_event(n, f"CS-{n}"))],
        lambda store, parties: store.list_security_events(None, parties=parties),
    ),
    "api tokens": (
        lambda n: [AddApiToken(api_token(f"tok_{n}", party=at(n)))],
        lambda store, parties: store.list_api_tokens(parties=parties),
    ),
    "audit entries": (
        lambda n: [AppendAudit(replace(audit(n), party=at(n)))],
        lambda store, parties: store.list_audit(parties=parties),
    ),
    "people": (lambda n: [add_person(f"per_{n}", party=at(n))], lambda store, parties: store.list_people(parties=parties)),
    "machines": (
        lambda n: [AddMachine(machine(f"mch_{n}", party=at(n)))],
        lambda store, parties: store.list_machines(parties=parties),
    ),
    "grants": (
        lambda n: [*holder(n)[0], AddGrant(grant(f"grt_{n}", holder(n)[1]))],
        lambda store, parties: store.list_grants(parties=parties),
    ),
    "proposals": (
        lambda n: [AddProposal(proposal(f"prp_{n}", party=at(n)))],
        lambda store, parties: store.list_proposals(parties=parties),
    ),
}


@pytest.mark.parametrize("name", LISTS)
async def test_a_list_shows_what_belongs_to_the_callers_parties(store: SqlStore, name: str) -> None:
    make, listing = LISTS[name]
    for n in range(len(PARTIES)):
        await store.commit(*make(n))

    async def seen(*parties: str) -> set[int]:
        found = (await listing(store, frozenset(map(PartyId, parties)))).items
        return {int(item.id[-1]) for item in found}

    assert len((await listing(store, None)).items) == 4
    assert await seen("demo-cpo") == {1, 3}
    assert await seen("demo-oem", "demo-cpo") == {1, 2, 3}
    assert await seen("") == {0}
    assert await seen("", "demo-oem") == {0, 2}
    assert await seen("demo") == set()
    assert await seen("nobody", "demo-cpo' OR '1'='1") == set()
    assert await seen() == set()


async def test_a_party_sees_itself_and_its_neighbours_only_when_it_may(store: SqlStore) -> None:
    await store.commit(AddParty(party("demo-cpo")), AddParty(party("demo-oem")))
    assert (await store.list_parties(parties=frozenset({PartyId("demo-oem")}))).items == (party("demo-oem"),)
    assert (await store.list_parties(parties=frozenset())).items == ()


async def test_a_security_event_of_an_unknown_station_is_nobodys(store: SqlStore) -> None:
    await store.commit(AddSecurityEvent(security_event(1, "CS-unknown")))
    assert (await store.list_security_events(StationId("CS-unknown"), parties=frozenset({PartyId("")}))).items == ()
    assert (await store.list_security_events(StationId("CS-unknown"))).items == (security_event(1, "CS-unknown"),)
