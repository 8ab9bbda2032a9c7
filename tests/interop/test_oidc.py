"""People of an OpenID provider that nobody here wrote (certified, started by the test) sign in: in a browser, and on a terminal."""

import asyncio
import json
import re
import secrets
import socket
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from chargepki.adapters.oidc.provider import Provider, ProviderSettings
from chargepki.api.app import create_api
from chargepki.app import Services, Settings, api_services, compose
from chargepki.client.client import Client
from chargepki.client.sign_in import DeviceStart
from chargepki.core.access.model import Assurance
from chargepki.core.records import PersonId
from chargepki.errors import Conflict, NotAuthenticated
from chargepki.services.authorities import StatusUrls
from chargepki.services.server_certificates import ServerNames
from chargepki.services.sessions import STEPPED_UP
from chargepki.testing.workbench import ADMIN, Workbench, open_workbench
from tests.interop.test_foreign_stations import NODE_FOLDER, needs

URL = "https://pki.test"
CALLBACK = f"{URL}/api/v1/sign-in/oidc/idp/callback"
SESSION = "__Host-chargepki-session"

pytestmark = needs("oidc-provider")


@dataclass
class Stage:
    """The platform, the provider, and somebody's browser, which knows both."""

    bench: Workbench
    services: Services
    api: httpx.ASGITransport
    issuer: str
    browser: httpx.AsyncClient

    async def answers(self, subject: str, *methods: str) -> None:
        """Who sits at the provider's page from now on, and what they show."""
        await self.browser.post(f"{self.issuer}/test/person", content=json.dumps({"sub": subject, "amr": list(methods)}))

    async def follow(self, url: str) -> httpx.Response:
        """As a browser does: redirect after redirect, until a page comes."""
        for _ in range(12):
            response = await self.browser.get(url)
            if response.status_code not in (302, 303):
                return response
            url = str(response.url.join(response.headers["location"]))
        raise AssertionError("the redirects do not end")

    def forget_the_provider(self) -> None:
        """The person leaves the provider; this platform's cookies stay."""
        for cookie in [*self.browser.cookies.jar]:
            if cookie.domain != "pki.test":
                self.browser.cookies.jar.clear(cookie.domain, cookie.path, cookie.name)

    async def sign_in(self, path: str = "/api/v1/sign-in/oidc/idp") -> httpx.Response:
        return await self.follow(URL + path)

    async def invite(self, name: str) -> tuple[PersonId, str]:
        person, invitation = await self.services.people.invite_person(ADMIN, username=name)
        return person.id, invitation

    async def assurance(self) -> Assurance:
        return (await self.services.sessions.authenticate(self.browser.cookies[SESSION])).assurance


@asynccontextmanager
async def running_provider(secret: str) -> AsyncIterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = await asyncio.create_subprocess_exec(
        "node", "oidc.mjs", str(port), secret, CALLBACK, cwd=NODE_FOLDER, stdout=PIPE, stderr=DEVNULL
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(20):
            assert (await process.stdout.readline()).startswith(b"@@ready")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        await process.wait()


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    secret = secrets.token_urlsafe(32)
    async with running_provider(secret) as issuer, open_workbench(tmp_path, has_authorities=False) as bench:
        bench.clock.set(datetime.now(tz=UTC))
        settings = ProviderSettings(
            issuer, "chargepki", "The organisation", client_secret=secret, mfa_amr=frozenset({"otp"}), may_be_plain=True
        )
        names = ServerNames(("localhost",), ("127.0.0.1",))
        openid = {"idp": Provider(settings, bench.clock)}
        services = compose(
            bench.ports,
            Settings("demo-cpo", lambda: StatusUrls("http://127.0.0.1"), names, openid=openid, sign_in_url=lambda _: CALLBACK),
        )
        await services.log.start()
        api = httpx.ASGITransport(create_api(api_services(bench.ports, services)), client=("192.0.2.7", 4711))
        async with httpx.AsyncClient(mounts={URL: api}, trust_env=False) as browser:
            yield Stage(bench, services, api, issuer, browser)


@pytest.mark.clause("OpenID Connect Core 3.1", "RFC 7636 4.6")
async def test_somebody_unknown_is_refused_with_what_to_do_and_comes_in_once_linked(stage: Stage) -> None:
    person, _ = await stage.invite("anna")
    await stage.answers("anna-at-idp", "pwd", "otp")
    refused = await stage.sign_in()
    assert refused.status_code == 401
    [finding] = refused.json()["findings"]
    assert finding["code"] == "sign_in.identity.unknown"
    assert "anna-at-idp" in finding["hint"]
    assert SESSION not in stage.browser.cookies

    await stage.services.openid.link_identity(ADMIN, PersonId("anna"), issuer=stage.issuer, subject="anna-at-idp")
    with pytest.raises(Conflict):
        await stage.services.openid.link_identity(ADMIN, person, issuer=stage.issuer, subject="anna-at-idp")
    for entry in (await stage.services.audit.list(ADMIN, limit=100)).items:
        assert b"anna" not in entry.body, "the log names nobody"
    page = await stage.sign_in()
    assert page.status_code == 200, page.text
    cookie = next(line for line in page.headers.get_list("set-cookie") if line.startswith(SESSION))
    assert {"Secure", "HttpOnly", "SameSite=strict", "Path=/"} <= set(cookie.split("; "))
    assert "Domain" not in cookie
    known = (await stage.browser.get(f"{URL}/api/v1/whoami")).json()
    assert known["actor"] == f"person:{person}"
    assert await stage.assurance() is Assurance.MFA


async def test_a_password_at_the_provider_is_one_factor_and_a_step_up_asks_again(stage: Stage) -> None:
    person, _ = await stage.invite("anna")
    await stage.services.openid.link_identity(ADMIN, person, issuer=stage.issuer, subject="a")
    await stage.answers("a", "pwd")
    await stage.sign_in()
    assert await stage.assurance() is Assurance.TOKEN

    await stage.answers("a", "pwd", "otp")
    stepped = await stage.sign_in("/api/v1/sign-in/oidc/idp?step-up")
    assert stepped.status_code == 200, stepped.text
    stage.bench.clock.set(datetime.now(tz=UTC))
    assert await stage.assurance() is Assurance.MFA
    stage.bench.clock.advance(STEPPED_UP + timedelta(seconds=1))
    assert await stage.assurance() is Assurance.TOKEN


async def test_a_step_up_by_somebody_else_is_refused(stage: Stage) -> None:
    for name in ("anna", "bert"):
        person, _ = await stage.invite(name)
        await stage.services.openid.link_identity(ADMIN, person, issuer=stage.issuer, subject=name)
    await stage.answers("anna", "pwd")
    await stage.sign_in()
    await stage.answers("bert", "pwd", "otp")
    stage.forget_the_provider()
    refused = await stage.sign_in("/api/v1/sign-in/oidc/idp?step-up")
    assert refused.status_code == 401, refused.text
    assert await stage.assurance() is Assurance.TOKEN


async def test_an_invitation_links_the_first_sign_in_and_is_spent(stage: Stage) -> None:
    person, invitation = await stage.invite("anna")
    await stage.answers("anna", "pwd", "otp")
    start = await stage.browser.post(f"{URL}/api/v1/sign-in/oidc/idp", json={"invitation": invitation})
    assert (await stage.follow(start.json()["location"])).status_code == 200
    assert (await stage.browser.get(f"{URL}/api/v1/whoami")).json()["actor"] == f"person:{person}"

    await stage.answers("mallory", "pwd", "otp")
    stage.browser.cookies.clear()
    start = await stage.browser.post(f"{URL}/api/v1/sign-in/oidc/idp", json={"invitation": invitation})
    assert (await stage.follow(start.json()["location"])).status_code == 401


@pytest.mark.clause("RFC 6749 10.12", "RFC 9700 4.7")
async def test_an_answer_that_this_browser_did_not_ask_for_is_refused(stage: Stage) -> None:
    person, _ = await stage.invite("mallory")
    await stage.services.openid.link_identity(ADMIN, person, issuer=stage.issuer, subject="mallory")
    await stage.answers("mallory", "pwd", "otp")
    start = await stage.browser.get(f"{URL}/api/v1/sign-in/oidc/idp")
    flow = dict(stage.browser.cookies)
    url = start.headers["location"]
    while not url.startswith(CALLBACK):
        response = await stage.browser.get(url)
        url = str(response.url.join(response.headers["location"]))

    stage.browser.cookies.clear()  # the victim's browser follows mallory's link
    assert (await stage.browser.get(url)).status_code == 401
    for name, value in flow.items():
        stage.browser.cookies.set(name, value[:-8] + "AAAAAAAA" if "sign-in" in name else value, domain="pki.test")
    assert (await stage.browser.get(url)).status_code == 401, "a changed flow opens nothing"
    stage.browser.cookies.clear()
    for name, value in flow.items():
        stage.browser.cookies.set(name, value, domain="pki.test")
    state = parse_qs(urlsplit(url).query)["state"][0]
    assert (await stage.browser.get(url.replace(state, "o_other"))).status_code == 401
    assert (await stage.browser.get(re.sub(r"iss=[^&]*", "iss=https%3A%2F%2Fevil.example", url))).status_code == 401
    assert SESSION not in stage.browser.cookies
    assert (await stage.browser.get(url)).status_code == 200, "the provider's code was not spent by any of these"
    for name, value in flow.items():
        stage.browser.cookies.set(name, value, domain="pki.test")
    assert (await stage.browser.get(url)).status_code == 401, "a code works once"


async def test_no_other_site_makes_a_signed_in_browser_write(stage: Stage) -> None:
    person, _ = await stage.invite("anna")
    await stage.services.openid.link_identity(ADMIN, person, issuer=stage.issuer, subject="anna")
    await stage.answers("anna", "pwd", "otp")
    await stage.sign_in()
    [session] = (await stage.browser.get(f"{URL}/api/v1/user-sessions")).json()["items"]
    path = f"{URL}/api/v1/user-sessions/{session['id']}"
    for headers in (
        {},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
    ):
        refused = await stage.browser.delete(path, headers=headers)
        assert (refused.status_code, refused.json()["findings"][0]["code"]) == (403, "access.cookie.cross_site")
    assert (await stage.browser.delete(path, headers={"Sec-Fetch-Site": "same-origin", "Origin": URL})).status_code == 204
    assert (await stage.browser.get(f"{URL}/api/v1/whoami")).status_code == 401


@pytest.mark.clause("RFC 8628 3")
async def test_a_terminal_signs_in_while_the_person_is_at_another_device(stage: Stage) -> None:
    person, invitation = await stage.invite("anna")
    await stage.answers("anna", "pwd", "otp")
    shown: asyncio.Queue[DeviceStart] = asyncio.Queue()
    async with Client(URL, "-", transport=stage.api) as client:
        assert [way.name for way in (await client.sign_in.ways()).oidc] == ["idp"]
        waiting = asyncio.create_task(client.sign_in.with_device("idp", shown.put_nowait, invitation=invitation))
        await approve(stage, await shown.get())
        async with asyncio.timeout(20):
            secret = await waiting
    assert (secret.username, secret.person) == ("anna", person)
    assert secret.stepped_up_until is not None
    async with Client(URL, secret.secret, transport=stage.api) as client:
        assert (await client.tokens.whoami()).actor == f"person:{person}"
        [session] = [s async for s in client.user_sessions.list()]
        assert session.method == f"oidc:{stage.issuer}"
        await client.user_sessions.end(session.id)
        with pytest.raises(NotAuthenticated):
            await client.tokens.whoami()


async def test_a_person_who_says_no_at_the_other_device_is_not_signed_in(stage: Stage) -> None:
    await stage.invite("anna")
    await stage.answers("anna", "pwd", "otp")
    shown: asyncio.Queue[DeviceStart] = asyncio.Queue()
    async with Client(URL, "-", transport=stage.api) as client:
        waiting = asyncio.create_task(client.sign_in.with_device("idp", shown.put_nowait))
        await approve(stage, await shown.get(), answer={"abort": "yes"})
        with pytest.raises(NotAuthenticated, match="access_denied"):
            async with asyncio.timeout(20):
                await waiting


async def approve(stage: Stage, start: DeviceStart, answer: dict[str, str] | None = None) -> None:
    """The person types the code at the provider's page, and confirms or refuses."""
    page = await stage.browser.get(start.verification_uri)
    page = await stage.browser.post(start.verification_uri, data={"xsrf": _xsrf(page), "user_code": start.user_code})
    form = {"xsrf": _xsrf(page), "user_code": start.user_code, **({"confirm": "yes"} if answer is None else answer)}
    page = await stage.browser.post(start.verification_uri, data=form)
    if page.status_code in (302, 303):
        await stage.follow(str(page.url.join(page.headers["location"])))


def _xsrf(page: httpx.Response) -> str:
    found = re.search(r'name="xsrf" value="([^"]+)"', page.text)
    assert found is not None, page.text
    return found[1]
