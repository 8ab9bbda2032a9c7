"""/sign-in: how people become known here; /account: their own password and second factor.

Below /sign-in the edge lets everybody in, as nobody. What is below /account works on the caller's own session.
"""

from datetime import datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request
from pydantic import Field
from starlette.responses import RedirectResponse, Response

from chargepki.api.shapes import Id, IdPath, Order, View, answer, shown
from chargepki.api.visit import ShownOnce, Visit, Visiting
from chargepki.api.who_is_asking import FLOW_COOKIE, SESSION_COOKIE, drop_cookie, read_cookie, session_secret, set_cookie
from chargepki.core.records import PersonId, Session
from chargepki.services.openid import CODE_CHARS_MAX, FLOW_LIVES, HANDLE_CHARS_MAX, Return
from chargepki.services.sessions import LIVES, STEPPED_UP, NewSession

SECRET_CHARS_MAX: Final = 256
_PUBLIC: Final[dict[str, Any]] = {"security": []}

router = APIRouter(prefix="/sign-in", tags=["sign-in"])
account_router = APIRouter(prefix="/account", tags=["sign-in"])
identities_router = APIRouter(prefix="/people", tags=["sign-in"])


Password = Annotated[str, Field(min_length=1, max_length=SECRET_CHARS_MAX, repr=False)]
Code = Annotated[str, Field(pattern=r"^([0-9]{6})?$", repr=False)]
Invitation = Annotated[str, Field(max_length=128, pattern=r"^(cpin_[A-Za-z0-9_-]+)?$", repr=False)]
Handle = Annotated[str, Field(min_length=1, max_length=HANDLE_CHARS_MAX, pattern=r"^[A-Za-z0-9_=-]+$", repr=False)]


class PasswordSignIn(Order):
    """Without a code the session is no surer than a token; `/account/step-up` makes up for it."""

    username: Id
    password: Password
    code: Code = ""


class InvitationOrder(Order):
    """`code`: of the second factor, for those who have one already; a wrong one spends the invitation."""

    invitation: Invitation
    password: Password
    code: Code = ""


class DeviceOrder(Order):
    provider: Id
    invitation: Invitation = ""


class DevicePoll(Order):
    handle: Handle


class BrowserOrder(Order):
    invitation: Invitation = ""


class StepUpOrder(Order):
    code: Annotated[str, Field(pattern=r"^[0-9]{6}$", repr=False)]


class PasswordChange(Order):
    password: Password
    new_password: Password
    code: Code = ""


class TotpOrder(Order):
    password: Password
    handle: Handle
    code: Annotated[str, Field(pattern=r"^[0-9]{6}$", repr=False)]


class IdentityOrder(Order):
    """`subject` is the `sub` of the provider's ID tokens; a refused sign-in says it."""

    issuer: Annotated[str, Field(min_length=1, max_length=512, pattern=r"^https?://[!-~]+$")]
    subject: Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f]+$")]


class LinkedIdentityView(View):
    person: str
    issuer: str
    subject: str
    created_at: datetime


class SessionSecretView(View):
    """`stepped_up_until` is when a second factor has to be shown again for privileged acts; null: it was not shown."""

    session: str
    person: str
    username: str
    secret: str
    expires_at: datetime
    stepped_up_until: datetime | None


class SteppedUpView(View):
    session: str
    stepped_up_until: datetime | None


class ProviderView(View):
    name: str
    title: str


class WaysView(View):
    """How people sign in here."""

    local: bool
    oidc: list[ProviderView]


class DepartureView(View):
    location: str


class DeviceView(View):
    user_code: str
    verification_uri: str
    verification_uri_complete: str
    expires_seconds: int
    interval_seconds: int
    handle: str


class DeviceAnswerView(View):
    """`session` null: the person has not answered yet."""

    session: SessionSecretView | None


class TotpOfferView(View):
    """`uri` is for a QR code, `secret` for typing; `handle` comes back with the first code."""

    secret: str
    uri: str
    handle: str


# ------------------------------------------------------------------------------------------------------------------ strangers


@router.get("", summary="Say how people sign in here", openapi_extra=_PUBLIC, **shown(WaysView))
async def list_sign_ins(visit: Visiting) -> Response:
    listed = [ProviderView(name=name, title=title) for name, title in visit.services.openid.providers()]
    return answer(WaysView(local=True, oidc=listed))


@router.post(
    "/password",
    summary="Sign in with a password and a code",
    openapi_extra=_PUBLIC,
    dependencies=[ShownOnce],
    **shown(SessionSecretView, 201, secret=True),
)
async def sign_in_with_password(body: PasswordSignIn, visit: Visiting, request: Request) -> Response:
    new = await visit.services.sign_in.with_password(
        visit.caller, username=body.username, password=body.password, code=body.code, agent=_agent(request)
    )
    return answer(_show_new(new), 201)


@router.post(
    "/invitation", summary="Take up an invitation: set a password", openapi_extra=_PUBLIC, **shown(SessionSecretView, 201, secret=True)
)
async def redeem_invitation(body: InvitationOrder, visit: Visiting, request: Request) -> Response:
    new = await visit.services.sign_in.redeem_invitation(
        visit.caller, invitation=body.invitation, password=body.password, code=body.code, agent=_agent(request)
    )
    return answer(_show_new(new), 201)


@router.post(
    "/device",
    summary="Start to sign in on another device",
    openapi_extra=_PUBLIC,
    dependencies=[ShownOnce],
    **shown(DeviceView, 201, secret=True),
)
async def start_device_sign_in(body: DeviceOrder, visit: Visiting) -> Response:
    start = await visit.services.openid.start_device(visit.caller, body.provider, invitation=body.invitation)
    return answer(
        DeviceView(
            user_code=start.user_code,
            verification_uri=start.verification_uri,
            verification_uri_complete=start.verification_uri_complete,
            expires_seconds=start.expires_seconds,
            interval_seconds=start.interval_seconds,
            handle=start.handle,
        ),
        201,
    )


@router.post(
    "/device/session", summary="Ask whether the other device signed in", openapi_extra=_PUBLIC, **shown(DeviceAnswerView, secret=True)
)
async def finish_device_sign_in(body: DevicePoll, visit: Visiting, request: Request) -> Response:
    new = await visit.services.openid.finish_device(visit.caller, handle=body.handle, agent=_agent(request))
    return answer(DeviceAnswerView(session=None if new is None else _show_new(new)))


@router.get("/oidc/{id}", summary="Go to an OpenID provider", openapi_extra=_PUBLIC, **shown(None, 302, "To the provider"))
async def depart_to_provider(id: IdPath, visit: Visiting, request: Request) -> Response:
    """With a session cookie and `?step-up` the provider asks for the second factor again."""
    session = await _stepping_up(visit, request)
    departure = await visit.services.openid.depart(visit.caller, id, session=session)
    response = RedirectResponse(departure.url, 302)
    set_cookie(response, FLOW_COOKIE, departure.handle, seconds=int(FLOW_LIVES.total_seconds()), is_strict=False)
    return response


@router.post(
    "/oidc/{id}",
    summary="Go to an OpenID provider with an invitation",
    openapi_extra=_PUBLIC,
    dependencies=[ShownOnce],
    **shown(DepartureView),
)
async def depart_with_invitation(id: IdPath, body: BrowserOrder, visit: Visiting) -> Response:
    departure = await visit.services.openid.depart(visit.caller, id, invitation=body.invitation)
    response = answer(DepartureView(location=departure.url))
    set_cookie(response, FLOW_COOKIE, departure.handle, seconds=int(FLOW_LIVES.total_seconds()), is_strict=False)
    return response


@router.get("/oidc/{id}/callback", summary="Come back from an OpenID provider", openapi_extra=_PUBLIC, **shown(None, files=("text/html",)))
async def arrive_from_provider(
    id: IdPath,
    visit: Visiting,
    request: Request,
    state: Annotated[str, Query(max_length=256)] = "",
    code: Annotated[str, Query(max_length=CODE_CHARS_MAX)] = "",
    iss: Annotated[str, Query(max_length=512)] = "",
    error: Annotated[str, Query(max_length=256)] = "",
) -> Response:
    """Sets the session cookie. A page, no redirect: what is fetched next comes from us, so that a strict cookie goes along."""
    handle, back = read_cookie(request.headers, FLOW_COOKIE), Return(state, code, iss, error)
    arrived = await visit.services.openid.arrive(visit.caller, id, handle=handle, back=back, agent=_agent(request))
    response = Response(_ARRIVED, media_type="text/html; charset=utf-8")
    drop_cookie(response, FLOW_COOKIE)
    if isinstance(arrived, NewSession):
        set_cookie(response, SESSION_COOKIE, arrived.secret, seconds=int(LIVES.total_seconds()), is_strict=True)
    return response


_ARRIVED: Final = (
    '<!doctype html><html lang="en"><title>ChargePKI</title><p>You are signed in to ChargePKI. You can close this page.</p></html>'
)


async def _stepping_up(visit: Visit, request: Request) -> Session | None:
    if "step-up" not in request.query_params:
        return None
    return await visit.services.sessions.get_live(read_cookie(request.headers, SESSION_COOKIE))


# ---------------------------------------------------------------------------------------------------------------- own account


@account_router.post("/step-up", summary="Show the second factor again", **shown(SteppedUpView))
async def step_up(body: StepUpOrder, visit: Visiting, request: Request) -> Response:
    session = await visit.services.sign_in.step_up(visit.caller, secret=session_secret(request.headers), code=body.code)
    return answer(SteppedUpView(session=session.id, stepped_up_until=_until(session)))


@account_router.put("/password", summary="Change one's own password; all sessions end", **shown(None, 204, "Changed"))
async def change_password(body: PasswordChange, visit: Visiting, request: Request) -> Response:
    await visit.services.sign_in.set_password(
        visit.caller,
        secret=session_secret(request.headers),
        password=body.password,
        new_password=body.new_password,
        code=body.code,
    )
    return Response(status_code=204)


@account_router.post(
    "/totp", summary="Offer a second factor for an authenticator app", dependencies=[ShownOnce], **shown(TotpOfferView, 201, secret=True)
)
async def offer_totp(visit: Visiting, request: Request) -> Response:
    offer = await visit.services.sign_in.offer_totp(visit.caller, secret=session_secret(request.headers))
    return answer(TotpOfferView(secret=offer.secret, uri=offer.uri, handle=offer.handle), 201)


@account_router.put("/totp", summary="Take up the offered second factor with its first code", **shown(None, 204, "Set up"))
async def enrol_totp(body: TotpOrder, visit: Visiting, request: Request) -> Response:
    await visit.services.sign_in.enrol_totp(
        visit.caller, secret=session_secret(request.headers), password=body.password, handle=body.handle, code=body.code
    )
    return Response(status_code=204)


@identities_router.post(
    "/{id}/identities", summary="Link a person to their account at an OpenID provider", **shown(LinkedIdentityView, 201)
)
async def link_identity(id: IdPath, body: IdentityOrder, visit: Visiting) -> Response:
    linked = await visit.services.openid.link_identity(visit.caller, PersonId(id), issuer=body.issuer, subject=body.subject)
    return answer(LinkedIdentityView(person=linked.person, issuer=linked.issuer, subject=linked.subject, created_at=linked.created_at), 201)


def _show_new(new: NewSession) -> SessionSecretView:
    return SessionSecretView(
        session=new.session.id,
        person=new.person.id,
        username=new.person.username,
        secret=new.secret,
        expires_at=new.session.expires_at,
        stepped_up_until=_until(new.session),
    )


def _until(session: Session) -> datetime | None:
    return None if session.stepped_up_at is None else session.stepped_up_at + STEPPED_UP


def _agent(request: Request) -> str:
    return request.headers.get("user-agent", "")
