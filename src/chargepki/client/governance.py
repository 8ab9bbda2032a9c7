"""Parties, people, machines, and the register of who may do what."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote

from chargepki.client.paging import iterate
from chargepki.client.transport import Transport
from chargepki.client.wire import decode, encode


@dataclass(frozen=True, slots=True)
class Party:
    id: str
    name: str
    roles: tuple[str, ...]
    spaces: tuple[str, ...]
    state: str
    created_at: datetime
    version: int


@dataclass(frozen=True, slots=True)
class Person:
    id: str
    username: str
    display_name: str
    email: str
    party: str
    state: str
    created_at: datetime
    version: int


@dataclass(frozen=True, slots=True)
class Invitation:
    person: Person
    secret: str


@dataclass(frozen=True, slots=True)
class GrantScope:
    """What a grant reaches; None is not bounded. `names` are KIND:VALUE."""

    parties: tuple[str, ...] | None = None
    authorities: tuple[str, ...] | None = None
    profiles: tuple[str, ...] | None = None
    names: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Machine:
    id: str
    name: str
    party: str
    state: str
    role: str | None
    scope: GrantScope | None
    grant: str | None
    until: datetime | None
    client_profile: str
    created_at: datetime
    version: int


@dataclass(frozen=True, slots=True)
class Grant:
    id: str
    holder: str
    holder_name: str
    party: str
    role: str
    scope: GrantScope
    state: str
    until: datetime
    created_by: str
    created_at: datetime
    accepted_at: datetime | None
    ended_at: datetime | None
    ended_by: str
    proposal: str | None
    version: int


@dataclass(frozen=True, slots=True)
class ReviewLine:
    grant: Grant
    last_seen: datetime | None
    ends_soon: bool
    is_unused: bool


@dataclass(frozen=True, slots=True)
class AccessReview:
    """`digest` names exactly these rights."""

    at: datetime
    party: str | None
    digest: str
    lines: tuple[ReviewLine, ...]


@dataclass(frozen=True, slots=True)
class SignedReview:
    entry: str
    digest: str


class Parties:
    """Where others have to agree to a name space, the call raises `NeedsVotes`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def create(self, *, id: str, name: str, roles: Sequence[str], spaces: Sequence[str] = ()) -> Party:
        body = {"id": id, "name": name, "roles": [*roles], "spaces": [*spaces]}
        return decode(Party, await self._transport.post("/parties", body))

    def list(self) -> AsyncIterator[Party]:
        return iterate(self._transport, Party, "/parties")

    async def get(self, id: str) -> Party:
        return decode(Party, await self._transport.get(_path("parties", id)))

    async def update(
        self,
        id: str,
        *,
        roles: Sequence[str] = (),
        state: str | None = None,
        add_spaces: Sequence[str] = (),
        remove_spaces: Sequence[str] = (),
    ) -> Party:
        """What is empty stays as it is."""
        given = {"roles": [*roles], "state": state, "add_spaces": [*add_spaces], "remove_spaces": [*remove_spaces]}
        body = {name: value for name, value in given.items() if value}
        return decode(Party, (await self._transport.call("PATCH", _path("parties", id), body=body)).json())


class People:
    """A person is named by id or by user name."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def invite(
        self, *, username: str, display_name: str = "", email: str = "", party: str = "", valid_hours: int | None = None
    ) -> Invitation:
        body: dict[str, Any] = {"username": username, "display_name": display_name, "email": email, "party": party}
        return decode(Invitation, await self._transport.post("/people", body | _hours(valid_hours)))

    async def invite_again(self, id: str, *, valid_hours: int | None = None) -> Invitation:
        return decode(Invitation, await self._transport.post(f"{_path('people', id)}/invitation", _hours(valid_hours)))

    def list(self) -> AsyncIterator[Person]:
        return iterate(self._transport, Person, "/people")

    async def get(self, id: str) -> Person:
        return decode(Person, await self._transport.get(_path("people", id)))

    async def offboard(self, id: str) -> Person:
        return decode(Person, await self._transport.post(f"{_path('people', id)}/offboarding"))

    async def erase(self, id: str) -> Person:
        return decode(Person, await self._transport.post(f"{_path('people', id)}/erasure"))


class Machines:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def create(self, *, name: str, role: str, party: str = "", scope: GrantScope | None = None, days: int | None = None) -> Machine:
        body: dict[str, Any] = {"name": name, "role": role, "party": party, "scope": _scope(scope)}
        return decode(Machine, await self._transport.post("/machines", body if days is None else body | {"days": days}))

    def list(self) -> AsyncIterator[Machine]:
        return iterate(self._transport, Machine, "/machines")

    async def get(self, id: str) -> Machine:
        return decode(Machine, await self._transport.get(_path("machines", id)))

    async def set_state(self, id: str, state: str) -> Machine:
        return decode(Machine, (await self._transport.call("PATCH", _path("machines", id), body={"state": state})).json())


class Grants:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def propose(self, *, holder: str, role: str, scope: GrantScope | None = None, until: datetime | None = None) -> Grant:
        """`holder` is person:USERNAME or an id. Raises `NeedsVotes` where others have to agree."""
        body: dict[str, Any] = {"holder": holder, "role": role, "scope": _scope(scope)}
        if until is not None:
            body["until"] = encode(until)
        return decode(Grant, await self._transport.post("/grants", body))

    def list(self, *, holder: str = "", role: str = "", state: str = "") -> AsyncIterator[Grant]:
        """Oldest first; `holder` "me" are the caller's own."""
        return iterate(self._transport, Grant, "/grants", holder=holder, role=role, state=state)

    async def get(self, id: str) -> Grant:
        return decode(Grant, await self._transport.get(_path("grants", id)))

    async def accept(self, id: str) -> Grant:
        return decode(Grant, await self._transport.post(f"{_path('grants', id)}/acceptance"))

    async def end(self, id: str) -> Grant:
        return decode(Grant, await self._transport.post(f"{_path('grants', id)}/end"))

    async def review(self, *, party: str = "") -> AccessReview:
        return decode(AccessReview, await self._transport.get("/access-reviews", party=party))

    async def sign_review(self, digest: str, *, party: str = "") -> SignedReview:
        body = {"digest": digest} | ({"party": party} if party else {})
        return decode(SignedReview, await self._transport.post("/access-reviews", body))


def _path(noun: str, id: str) -> str:
    return f"/{noun}/{quote(id, safe='')}"


def _scope(scope: GrantScope | None) -> dict[str, Any]:
    return {} if scope is None else {name: value for name, value in encode(scope).items() if value is not None}


def _hours(valid_hours: int | None) -> dict[str, Any]:
    return {} if valid_hours is None else {"valid_hours": valid_hours}
