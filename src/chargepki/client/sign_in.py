"""Signing in, one's own account, and people's sessions."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import httpx

from chargepki.client.paging import iterate
from chargepki.client.transport import Transport
from chargepki.client.wire import decode
from chargepki.errors import Finding, NeedsStepUp, NotAuthenticated

POLLS_MAX: Final = 1_000  # a device flow lives ten minutes and is asked for every second or slower


@dataclass(frozen=True, slots=True)
class SessionSecret:
    """A session and the secret that speaks for it: `Client(url, secret, ...)`."""

    session: str
    person: str
    username: str
    secret: str
    expires_at: datetime
    stepped_up_until: datetime | None


@dataclass(frozen=True, slots=True)
class SteppedUp:
    session: str
    stepped_up_until: datetime | None


@dataclass(frozen=True, slots=True)
class Provider:
    name: str
    title: str


@dataclass(frozen=True, slots=True)
class Ways:
    local: bool
    oidc: tuple[Provider, ...]


@dataclass(frozen=True, slots=True)
class DeviceStart:
    """What the person types, and where."""

    user_code: str
    verification_uri: str
    verification_uri_complete: str
    expires_seconds: int
    interval_seconds: int
    handle: str


@dataclass(frozen=True, slots=True)
class _DeviceAnswer:
    session: SessionSecret | None


@dataclass(frozen=True, slots=True)
class TotpOffer:
    secret: str
    uri: str
    handle: str


@dataclass(frozen=True, slots=True)
class LinkedIdentity:
    person: str
    issuer: str
    subject: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class UserSession:
    id: str
    person: str
    method: str
    created_at: datetime
    expires_at: datetime
    last_seen_at: datetime
    stepped_up_at: datetime | None
    client: str


class SteppingUpTransport(Transport):
    """Repeats a call that needs a fresh second factor, once, with the code that `ask` gets from the person ("": nobody is there)."""

    ask: Callable[[], str] | None = None

    async def call(
        self, method: str, path: str, *, query: Mapping[str, str | int | bool | None] | None = None, body: Mapping[str, Any] | None = None
    ) -> httpx.Response:
        try:
            return await super().call(method, path, query=query, body=body)
        except NeedsStepUp:
            code = self.ask() if self.ask is not None and not path.startswith(("/account/", "/sign-in/")) else ""
            if not code:
                raise
            await super().call("POST", "/account/step-up", body={"code": code})
            return await super().call(method, path, query=query, body=body)


class SignIn:
    """For these nobody has to be known yet; the client's token is not looked at."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def ways(self) -> Ways:
        return decode(Ways, await self._transport.get("/sign-in"))

    async def with_password(self, username: str, password: str, code: str = "") -> SessionSecret:
        body = {"username": username, "password": password, "code": code}
        return decode(SessionSecret, await self._transport.post("/sign-in/password", body))

    async def with_invitation(self, invitation: str, password: str, code: str = "") -> SessionSecret:
        """`NeedsStepUp` for somebody who has a second factor already: then with its `code`."""
        body = {"invitation": invitation, "password": password, "code": code}
        return decode(SessionSecret, await self._transport.post("/sign-in/invitation", body))

    async def with_device(self, provider: str, show: Callable[[DeviceStart], None], *, invitation: str = "") -> SessionSecret:
        """`show` tells the person what to do; returns when they have done it (RFC 8628 3.3)."""
        raw = await self._transport.post("/sign-in/device", {"provider": provider, "invitation": invitation})
        start = decode(DeviceStart, raw)
        show(start)
        pause = max(1, start.interval_seconds)
        for _ in range(min(POLLS_MAX, start.expires_seconds // pause + 1)):
            await asyncio.sleep(pause)
            answer = decode(_DeviceAnswer, await self._transport.post("/sign-in/device/session", {"handle": start.handle}))
            if answer.session is not None:
                return answer.session
        raise NotAuthenticated(Finding("sign_in.device.expired", "nobody signed in within the time the provider gives", hint="start again"))


class Account:
    """One's own password and second factor; the client's token is a session's secret."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def step_up(self, code: str) -> SteppedUp:
        return decode(SteppedUp, await self._transport.post("/account/step-up", {"code": code}))

    async def set_password(self, password: str, new_password: str, code: str = "") -> None:
        body = {"password": password, "new_password": new_password, "code": code}
        await self._transport.call("PUT", "/account/password", body=body)

    async def offer_totp(self) -> TotpOffer:
        return decode(TotpOffer, await self._transport.post("/account/totp"))

    async def enrol_totp(self, password: str, handle: str, code: str) -> None:
        await self._transport.call("PUT", "/account/totp", body={"password": password, "handle": handle, "code": code})

    async def link(self, person: str, *, issuer: str, subject: str) -> LinkedIdentity:
        """Another person's: they sign in through that provider from now on."""
        return decode(LinkedIdentity, await self._transport.post(f"/people/{person}/identities", {"issuer": issuer, "subject": subject}))


class UserSessions:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self, person: str = "") -> AsyncIterator[UserSession]:
        """The live ones of a person, one's own unless said; newest first."""
        return iterate(self._transport, UserSession, "/user-sessions", person=person)

    async def end(self, id: str) -> None:
        await self._transport.call("DELETE", f"/user-sessions/{id}")

    async def end_all(self, person: str) -> None:
        await self._transport.call("DELETE", "/user-sessions", query={"person": person})
