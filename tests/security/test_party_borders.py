"""Nobody of one party reaches anything of another: every operation of the OpenAPI document, asked across the border.

An answer about another party's object is, word for word, the answer about an object that does not exist. An operation that nobody
wrote a crossing for fails the first tests of this file.
"""

import json
import re
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import pytest_asyncio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from chargepki.api.app import create_routes
from chargepki.api.openapi import describe
from chargepki.core.access.policy import DEVELOPMENT, PRODUCTION
from chargepki.core.records import ProfileId, StationId
from chargepki.services.orders import CertificateOrder
from chargepki.testing.workbench import ADMIN
from tests.api.api_platform import make_csr
from tests.security.borders import CALLERS, GHOST, Things, World, open_world
from tests.security.valid_bodies import BODIES

pytestmark = pytest.mark.asyncio(loop_scope="module")

DOCUMENT: Final = describe(create_routes())
OPERATIONS: Final[dict[str, tuple[str, str, dict[str, Any]]]] = {
    operation["operationId"]: (method, path, operation)
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
}
UNCHANGING: Final = {"audit_entry", "idempotency", "log_head"}  # an attempt is on record; nothing else


@dataclass(frozen=True)
class Ask:
    """What is asked of an operation: the path's id, fields over those of a valid body, a query."""

    id: str = ""
    body: dict[str, Any] = field(default_factory=dict)
    query: dict[str, str] = field(default_factory=dict)


Crossing = Callable[[Things], Ask]


def by_id(name: str) -> tuple[Crossing, ...]:
    return (lambda things: Ask(getattr(things, name)),)


def by_query(**names: str) -> tuple[Crossing, ...]:
    return tuple(_query(parameter, name) for parameter, name in names.items())


def _query(parameter: str, name: str) -> Crossing:
    return lambda things: Ask(query={parameter: getattr(things, name)})


CERTIFICATES: Final = (*by_id("certificate"), *by_id("host_certificate"), *by_id("machine_certificate"))
_PERSON: Final = (*by_id("person"), *by_id("username"))
_SCOPED: Final[tuple[Crossing, ...]] = (
    lambda t: Ask(body={"party": t.party}),
    lambda t: Ask(body={"party": t.party, "name": t.machine_name, "scope": {"parties": [t.party]}}),
    lambda t: Ask(body={"party": t.party, "scope": {"names": [f"dns:{t.domain}", f"station-serial:{t.serial_prefix}"]}}),
)
_SELECTED: Final[tuple[Crossing, ...]] = (
    lambda t: Ask(body={"certificates": [t.certificate]}),
    lambda t: Ask(body={"serials": [t.certificate_serial], "issuer": "operator-sub"}),
    lambda t: Ask(body={"station": t.station}),
)
# Operations that name something of a party, and how the other party's is named.
CROSSINGS: Final[dict[str, tuple[Crossing, ...]]] = {
    "list_certificates": (*by_query(station="station", text="serial"), *by_query(text="certificate_serial")),
    "order_certificate": (
        lambda t: Ask(body={"profile": "ocpp/station", "station": t.station, "host": ""}),
        lambda t: Ask(body={"profile": "ocpp/csms-server", "host": t.host}),
        lambda t: Ask(body={"profile": "backend/tls-server", "host": t.host, "organization": t.name}),
        lambda t: Ask(body={"profile": "backend/tls-server", "host": "csms.nobody.example", "organization": t.name}),
        lambda t: Ask(body={"profile": "backend/tls-server", "host": "csms.nobody.example", "alt_hosts": [t.host]}),
        lambda t: Ask(body={"profile": "backend/tls-server", "host": t.host, "alt_hosts": ["192.0.2.1"]}),
        lambda t: Ask(body={"profile": "backend/mtls-client", "machine": t.machine, "host": ""}),
        lambda t: Ask(body={"profile": "backend/mtls-client", "organization": t.name, "common_name": t.host, "host": ""}),
        lambda t: Ask(body={"profile": "backend/mtls-client", "organization": t.party, "common_name": "x", "host": ""}),
        lambda t: Ask(body={"profile": "ocpp/manufacturer-initial", "organization": t.name, "common_name": t.serial, "host": ""}),
    ),
    **dict.fromkeys(("get_certificate", "get_chain", "export_pkcs12", "revoke_certificate", "release_certificate"), CERTIFICATES),
    **dict.fromkeys(("list_certificate_events", "get_impact", "hold_certificate", "confirm_hold"), CERTIFICATES),
    **dict.fromkeys(("preview_bulk_revocation", "create_bulk_revocation"), _SELECTED),
    "list_stations": by_query(text="station", operator="name"),
    "add_station": (
        lambda t: Ask(body={"id": "CS-NEW", "operator": t.party}),
        lambda t: Ask(body={"id": "CS-NEW", "operator": t.name, "serial_number": t.serial}),
    ),
    **dict.fromkeys(("get_station", "update_station", "set_password", "create_enrolment_token"), by_id("station")),
    **dict.fromkeys(("list_security_events", "trigger_certificate"), by_id("station")),
    **dict.fromkeys(("get_party", "update_party"), by_id("party")),
    "create_party": (lambda t: Ask(body={"id": t.party, "name": t.name, "spaces": [f"dns:{t.domain}"]}),),
    "invite_person": (lambda t: Ask(body={"party": t.party}), lambda t: Ask(body={"party": t.party, "username": t.username})),
    **dict.fromkeys(("get_person", "invite_again", "offboard_person", "erase_person", "link_identity"), _PERSON),
    "create_machine": _SCOPED,
    **dict.fromkeys(("get_machine", "update_machine"), by_id("machine")),
    "list_grants": (
        lambda t: Ask(query={"holder": f"person:{t.username}"}),
        lambda t: Ask(query={"holder": f"person:{t.person}"}),
        lambda t: Ask(query={"holder": f"machine:{t.machine}"}),
    ),
    "propose_grant": (
        lambda t: Ask(body={"holder": f"person:{t.username}"}),
        lambda t: Ask(body={"holder": f"machine:{t.machine}", "role": "csms", "scope": {"parties": [t.party]}}),
        lambda t: Ask(body={"holder": f"person:{t.person}", "scope": {"names": [f"dns:{t.domain}"]}}),
    ),
    **dict.fromkeys(("get_grant", "accept_grant", "end_grant"), by_id("grant")),
    "review_access": by_query(party="party"),
    "sign_access_review": (lambda t: Ask(body={"party": t.party}),),
    "revoke_token": by_id("token"),
    **dict.fromkeys(("get_approval", "edit_approval", "withdraw_approval"), by_id("proposal")),
    "vote": (lambda t: Ask(t.proposal, {"digest": t.digest}), lambda t: Ask(t.proposal, {"digest": t.digest, "is_for": False})),
    "list_standing_approvals": by_query(party="party"),
    "create_standing_approval": (lambda t: Ask(body={"party": t.party, "names": [f"station-serial:{t.serial_prefix}"]}),),
    **dict.fromkeys(("get_standing_approval", "end_standing_approval"), by_id("standing")),
    "list_batches": by_query(party="party"),
    "create_batch": (lambda t: Ask(body={"party": t.party, "prefixes": [t.serial_prefix]}),),
    **dict.fromkeys(("get_batch", "end_batch", "create_batch_token"), by_id("batch")),
    "list_user_sessions": by_query(person="person"),
    "end_user_sessions": by_query(person="person"),
    "end_user_session": by_id("session"),
    "list_audit_entries": (
        lambda t: Ask(query={"actor": f"person:{t.person}"}),
        lambda t: Ask(query={"object": f"station:{t.station}"}),
        lambda t: Ask(query={"object": f"{t.station[:4]}*"}),
    ),
    "get_audit_entry": by_id("entry"),
    "prove_entry": (*by_id("entry"), *by_id("certificate")),
}
# Where a name that nobody has is a fault of the order, another party's is the same fault.
ALIKE: Final = {"add_station": (422,)}
# What shows many things at once, and may be shown by anybody of a party: only the party's own.
LISTS: Final = {
    *("list_certificates", "list_stations", "list_sessions", "list_parties", "list_people", "list_machines", "list_grants"),
    *("review_access", "list_tokens", "list_approvals", "list_standing_approvals", "list_batches", "list_user_sessions"),
    *("list_audit_entries", "list_intents", "list_keys", "show_log", "get_checkpoint", "get_log_file", "get_identity"),
}
# What has no owner among the parties. Each with its reason.
UNOWNED: Final[dict[str, str]] = {
    **dict.fromkeys(
        ("list_authorities", "get_authority", "get_authority_certificate", "get_crl", "list_profiles", "get_profile"),
        "everybody who trusts the platform needs it",
    ),
    **dict.fromkeys(("check_csr", "inspect_object"), "nothing is looked up, nothing is kept"),
    **dict.fromkeys(
        ("create_authority", "publish_crl", "generate_key", "get_key", "activate_key", "retire_key", "destroy_key"),
        "the platform's own: no party role reaches it (test_api_scopes.py)",
    ),
    **dict.fromkeys(("propose_profile_version", "list_profile_versions"), "profiles are the platform's own, and public"),
    "create_token": "a token is its maker's own, within what its maker may (test_what_a_token_is_narrowed_to)",
    **dict.fromkeys(
        ("list_sign_ins", "sign_in_with_password", "redeem_invitation", "start_device_sign_in", "finish_device_sign_in"),
        "signing in: nobody is of a party yet (test_sign_in.py)",
    ),
    **dict.fromkeys(("depart_to_provider", "depart_with_invitation", "arrive_from_provider"), "signing in (test_sign_in.py)"),
    **dict.fromkeys(("step_up", "change_password", "offer_totp", "enrol_totp"), "the caller's own account, by their session"),
}
# Fields of bodies and queries that name something somebody may own: each is set by a crossing of every operation that has it.
NAMES: Final = frozenset(
    [
        "station",
        "machine",
        "host",
        "alt_hosts",
        "organization",
        "common_name",
        "operator",
        "party",
        "holder",
        "certificates",
        "serials",
        "parties",
        "names",
        "person",
        "username",
        "prefixes",
        "spaces",
        "?station",
        "?text",
        "?operator",
        "?party",
        "?holder",
        "?person",
        "?actor",
        "?object",
    ]
)
# The others: kinds, bounds, words, secrets, and what is the platform's own.
PLAIN: Final = frozenset(
    [
        "profile",
        "csr",
        "key_spec",
        "issuer",
        "validity_days",
        "passphrase",
        "reason",
        "note",
        "parent",
        "signature",
        "path_length",
        "base",
        "narrowing",
        "validity_days_max",
        "keys",
        "organizations",
        "host_suffixes",
        "tolerant",
        "data",
        "csr_tolerant",
        "include_root",
        "state",
        "security_profile",
        "valid_hours",
        "name",
        "roles",
        "add_spaces",
        "remove_spaces",
        "display_name",
        "email",
        "role",
        "scope",
        "authorities",
        "profiles",
        "days",
        "until",
        "digest",
        "scopes",
        "valid_days",
        "is_for",
        "order",
        "per_hour_max",
        "count",
        "list_sha256",
        "password",
        "code",
        "invitation",
        "provider",
        "handle",
        "new_password",
        "subject",
        "label",
        "serial_number",
        "id",
        "?issuer",
        "?profile",
        "?state",
        "?expires_before",
        "?cursor",
        "?limit",
        "?format",
        "?include_root",
        "?role",
        "?mine",
        "?live",
        "?code",
        "?iss",
        "?error",
        "?action",
        "?outcome",
        "?cosigned",
    ]
)
# A signed-in person's own session decides: no field of these is looked up for a party's caller.
OPEN: Final = {"sign_in_with_password", "create_token", "create_authority"}


def fields_of(operation: dict[str, Any]) -> Iterator[str]:
    yield from (f"?{parameter['name']}" for parameter in operation.get("parameters", []) if parameter["in"] == "query")
    if "requestBody" in operation:
        yield from _properties(operation["requestBody"]["content"]["application/json"]["schema"])


def _properties(schema: dict[str, Any]) -> Iterator[str]:
    if "$ref" in schema:
        schema = DOCUMENT["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    for name, value in schema.get("properties", {}).items():
        yield name
        yield from _properties(value)
    for choice in schema.get("anyOf", []):
        yield from _properties(choice)


def _set_by(ask: Ask) -> set[str]:
    nested = {key for value in ask.body.values() if isinstance(value, dict) for key in value}
    return {*ask.body, *nested, *(f"?{name}" for name in ask.query)}


# ---------------------------------------------------------------------------------------------------------------- is all of it asked?


async def test_every_operation_is_asked_across_the_border_or_has_a_reason_not_to_be() -> None:
    known = set(CROSSINGS) | LISTS | set(UNOWNED)
    assert set(OPERATIONS) <= known, f"say in CROSSINGS, LISTS or UNOWNED what these are: {set(OPERATIONS) - known}"
    assert known <= set(OPERATIONS), f"these are no operations any more: {known - set(OPERATIONS)}"


async def test_every_operation_on_one_object_is_asked_for_the_other_party_s() -> None:
    on_one = {id for id, (_, path, _) in OPERATIONS.items() if "{" in path} - set(UNOWNED) - {"get_log_file"}
    assert on_one <= set(CROSSINGS), on_one - set(CROSSINGS)


async def test_every_list_is_searched() -> None:
    lists = {id for id, (method, path, _) in OPERATIONS.items() if method == "get" and "{" not in path} - set(UNOWNED)
    assert lists <= LISTS, lists - LISTS


async def test_every_field_that_could_name_the_other_party_s_things_does() -> None:
    for id, (_, _, operation) in OPERATIONS.items():
        names = set(fields_of(operation))
        assert names <= NAMES | PLAIN, f"{id}: say in NAMES or PLAIN what {names - NAMES - PLAIN} is"
        if id not in UNOWNED and id not in OPEN:
            asked = {name for crossing in CROSSINGS.get(id, ()) for name in _set_by(crossing(GHOST))}
            assert names & NAMES <= asked, f"{id}: no crossing sets {names & NAMES - asked}"


# ------------------------------------------------------------------------------------------------------------------- the border


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=[DEVELOPMENT, PRODUCTION], ids=lambda policy: policy.id)
async def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with open_world(tmp_path_factory.mktemp("borders"), request.param) as opened:
        yield opened


def contents(database: Path) -> dict[str, list[Any]]:
    """Every row of every table but those that record the attempt itself."""
    with sqlite3.connect(database) as connection:
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: connection.execute(f"SELECT * FROM {name}").fetchall() for name in names if name not in UNCHANGING}


async def send(http: httpx.AsyncClient, operation: str, ask: Ask) -> httpx.Response:
    method, path, described = OPERATIONS[operation]
    body = {**BODIES[operation], **ask.body} if "requestBody" in described else None
    path = re.sub(r"\{\w+\}", ask.id.replace("\\", r"\\"), path)
    return await http.request(method, path, params=ask.query or None, json=body)


def found_in(answer: httpx.Response, things: Things, ask: Ask) -> set[str]:
    """Whatever of the party's stands in the answer and did not stand in the question."""
    said = json.dumps([ask.id, ask.body, ask.query])
    told = answer.text + json.dumps(dict(answer.headers))
    return {name for name, text in things.texts().items() if text in told and text not in said}


def spelt(answer: httpx.Response, things: Things) -> tuple[int, str]:
    """The answer, with what was asked for replaced by the kind of thing it is."""
    text = re.sub(r'"request_id":"[^"]*"', "", answer.text)
    for name, value in {"host": things.host, **things.texts()}.items():
        text = text.replace(value, f"<{name}>")
    return answer.status_code, text


@pytest.mark.parametrize("role", CALLERS)
async def test_the_other_party_s_things_do_not_exist(world: World, role: str) -> None:
    """404 or 403, the same as for what is not there; not a word of theirs; nothing changed."""
    before, wrong = contents(world.database), []
    async with world.speaking_as(world.secrets[role]) as http:
        for operation, crossings in CROSSINGS.items():
            is_list = operation in LISTS
            for number, crossing in enumerate(crossings):
                ask = crossing(world.theirs)
                theirs, nothing = await send(http, operation, ask), await send(http, operation, crossing(GHOST))
                shown = spelt(theirs, world.theirs), spelt(nothing, GHOST)
                if theirs.status_code not in (403, 404, *([200] if is_list else []), *ALIKE.get(operation, ())):
                    wrong.append((operation, number, "answered", *shown))
                elif leaked := found_in(theirs, world.theirs, ask):
                    wrong.append((operation, number, f"told {leaked}", theirs.text))
                elif shown[0] != shown[1]:
                    wrong.append((operation, number, "told that it exists", *shown))
    assert not wrong, "\n".join(map(str, wrong))
    assert contents(world.database) == before


@pytest.mark.parametrize("role", CALLERS)
async def test_no_list_shows_anything_of_the_other_party(world: World, role: str) -> None:
    shown = 0
    async with world.speaking_as(world.secrets[role]) as http:
        for operation in sorted(LISTS):
            answer = await send(http, operation, Ask("tile/entries/000.p/1" if operation == "get_log_file" else ""))
            assert answer.status_code in (200, 403, 404), (operation, answer.text)
            assert not found_in(answer, world.theirs, Ask()), (operation, answer.text)
            shown += any(text in answer.text for text in world.ours.texts().values())
    assert shown or role == "enrolee", "nothing of their own was shown either: the lists were not tried"


async def test_everybody_sees_what_is_their_own(world: World) -> None:
    """The border is no wall around everything: the same questions about the caller's own things are answered."""
    seen = set()
    for role in CALLERS:
        async with world.speaking_as(world.secrets[role]) as http:
            for operation, crossings in CROSSINGS.items():
                if OPERATIONS[operation][0] == "get":
                    for crossing in crossings:
                        if (await send(http, operation, crossing(world.ours))).status_code == 200:
                            seen.add(operation)
    assert {id for id in CROSSINGS if OPERATIONS[id][0] == "get"} == seen


# ---------------------------------------------------------------------------------------------------------------- through names

NEAR_HOSTS: Final = (
    *("evil-borea.example", "evilborea.example", "borea.example.evil.test", "csms.borea.example.evil.test", "borea.exampl"),
    *("borea-example.test", "xn--brea-5qa.example", "csms.alpine.example"),
)
NEAR_SERIALS: Final = ("BORX-1", "BO-1", "bor-1", "BOREA-1", "XBOR-1", "-BOR-1", "0BOR-1", "ALP-0002", "\u0412OR-1")


@pytest.mark.parametrize("host", NEAR_HOSTS)
async def test_a_host_that_only_looks_like_the_party_s_is_refused(world: World, host: str) -> None:
    before = contents(world.database)
    for body in ({"host": host}, {"host": world.ours.host, "alt_hosts": [host]}, {"host": host, "organization": world.ours.name}):
        async with world.speaking_as(world.secrets["requester"]) as http:
            answer = await send(http, "order_certificate", Ask(body={"profile": "backend/tls-server", **body}))
        assert answer.status_code == 403, (body, answer.text)
        assert not found_in(answer, world.theirs, Ask(body=body))
    assert contents(world.database) == before


@pytest.mark.parametrize("serial", NEAR_SERIALS)
async def test_a_serial_number_that_only_looks_like_the_party_s_is_refused(world: World, serial: str) -> None:
    before = contents(world.database)
    async with world.speaking_as(world.secrets["requester"]) as http:
        ask = Ask(body={"id": "CS-NEAR", "operator": world.ours.party, "serial_number": serial})
        answer = await send(http, "add_station", ask)
        assert answer.status_code == 403 or (not serial.isascii() and answer.status_code == 422), answer.text
        batch = Ask(body={"party": world.ours.party, "prefixes": [serial]})
        assert (await send(http, "create_batch", batch)).status_code in (403, 422)
    assert contents(world.database) == before


async def test_a_name_that_the_other_party_has_taken_is_refused_without_saying_whose_it_is(world: World) -> None:
    """Identities are the platform's, not a party's: that one is taken cannot be hidden. Whose it is, can."""
    async with world.speaking_as(world.secrets["requester"]) as http:
        ask = Ask(body={"id": world.theirs.station, "operator": world.ours.party, "serial_number": "BOR-0066"})
        station = await send(http, "add_station", ask)
    async with world.speaking_as(world.secrets["party-admin"]) as http:
        asked = Ask(body={"party": world.ours.party, "username": world.theirs.username})
        person = await send(http, "invite_person", asked)
    assert (station.status_code, person.status_code) == (409, 409)
    assert not found_in(station, world.theirs, ask) | found_in(person, world.theirs, asked)


@pytest.mark.clause("OCPP A02.FR.04")
async def test_a_csr_that_names_the_other_party_gets_the_caller_s_own_names(world: World) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    names = [
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, world.theirs.name),
        x509.NameAttribute(NameOID.COMMON_NAME, world.theirs.serial),
    ]
    alt_names = x509.SubjectAlternativeName([x509.DNSName(world.theirs.host)])
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(names)).add_extension(alt_names, critical=False)
    csr = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()
    wanted = {"profile": "ocpp/station", "station": world.ours.station, "host": "", "csr": csr}
    async with world.speaking_as(world.secrets["requester"]) as http:
        answer = await send(http, "order_certificate", Ask(body=wanted))
    if world.services.audit.policy is PRODUCTION:
        assert answer.status_code == 202, answer.text
        assert world.theirs.serial not in answer.text
        return
    assert answer.status_code == 201, answer.text
    leaf = x509.load_pem_x509_certificate(answer.json()["chain"].encode())
    assert leaf.subject.rfc4514_string() == f"CN={world.ours.serial},O={world.ours.name}"
    assert world.theirs.host.encode() not in leaf.public_bytes(serialization.Encoding.DER)


# ------------------------------------------------------------------------------------------------------- within one party: names


@dataclass(frozen=True)
class Narrow:
    """A token for one station, and what belongs to its neighbour."""

    secret: str
    neighbour: Things


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def narrow(world: World) -> Narrow:
    bench, ours = world.bench, world.ours
    await bench.services.inventory.add_station(ADMIN, id="CS-NEIGHBOUR", serial_number="BOR-0002", operator=ours.party)
    order = CertificateOrder(ProfileId("ocpp/station"), csr=make_csr("BOR-0002").encode(), station=StationId("CS-NEIGHBOUR"))
    theirs = (await bench.services.issuance.request(ADMIN, order)).certificate
    async with world.speaking_as(world.secrets["requester"]) as http:
        names = [f"station:{ours.station}"]
        made = await send(http, "create_token", Ask(body={"scopes": ["*:*:*"], "names": names}))
    neighbour = replace(ours, station="CS-NEIGHBOUR", serial="BOR-0002", certificate=theirs.id, certificate_serial=f"{theirs.serial:x}")
    return Narrow(made.json()["secret"], neighbour)


async def test_a_token_for_one_station_reaches_that_station_alone(world: World, narrow: Narrow) -> None:
    """Neither its neighbour, nor the party's other things, nor any list of them."""
    before, wrong = contents(world.database), []
    async with world.speaking_as(narrow.secret) as http:
        for operation, crossings in CROSSINGS.items():
            for crossing in crossings:
                answer = await send(http, operation, crossing(narrow.neighbour))
                if answer.status_code < 400:
                    wrong.append((operation, answer.status_code, answer.text[:200]))
        for operation in LISTS - {"get_identity", "get_checkpoint", "show_log", "get_log_file", "list_tokens"}:
            answer = await send(http, operation, Ask())
            if answer.status_code != 403:
                wrong.append((operation, answer.status_code, answer.text[:200]))
    assert not wrong, "\n".join(map(str, wrong))
    assert contents(world.database) == before


async def test_a_token_for_one_station_serves_that_station(world: World, narrow: Narrow) -> None:
    ours, is_production = world.ours, world.services.audit.policy is PRODUCTION
    async with world.speaking_as(narrow.secret) as http:
        for operation, id in (
            ("get_station", ours.station),
            ("list_security_events", ours.station),
            ("get_certificate", ours.certificate),
            ("list_certificate_events", ours.certificate),
        ):
            answer = await send(http, operation, Ask(id))
            assert answer.status_code == 200, (operation, answer.text)
        order = Ask(body={"profile": "ocpp/station", "station": ours.station, "host": "", "csr": make_csr(ours.serial)})
        ordered = await send(http, "order_certificate", order)
        changed = await send(http, "update_station", Ask(ours.station, {"csr_tolerant": True}))
    if is_production:  # a bearer token proves no second factor, and nobody writes without one
        assert (ordered.status_code, changed.status_code) == (401, 401), ordered.text
    else:
        assert (ordered.status_code, changed.status_code) == (201, 200), ordered.text


async def test_what_a_token_is_narrowed_to(world: World) -> None:
    """Asked for the other party, or for its names, a token reaches nothing at all."""
    things = world.theirs
    asked = (
        {"parties": [things.party]},
        {"names": [f"dns:{things.domain}"]},
        {"names": [f"station:{things.station}"]},
        {"parties": [things.party, world.ours.party]},
    )
    for narrowing in asked:
        async with world.speaking_as(world.secrets["requester"]) as http:
            ask = Ask(body={"scopes": ["*:*:*"], **narrowing})
            made = await send(http, "create_token", ask)
        assert not found_in(made, things, ask), made.text
        if made.status_code != 201:
            assert made.status_code in (401, 403)
            continue
        async with world.speaking_as(made.json()["secret"]) as http:
            for operation in sorted(LISTS - {"get_identity", "list_tokens"}):  # these repeat what was asked for
                assert not found_in(await send(http, operation, Ask()), things, Ask()), operation
            for crossing in CROSSINGS["get_certificate"] + CROSSINGS["revoke_certificate"]:
                for operation in ("get_certificate", "revoke_certificate"):
                    assert (await send(http, operation, crossing(things))).status_code in (401, 403, 404)
