"""/profiles: what this deployment issues. /profile-versions: what was changed of it while it ran."""

from datetime import datetime
from typing import Annotated, Final

from fastapi import APIRouter, Response
from pydantic import Field, StringConstraints

from chargepki.api.shapes import PAGE_SIZE, Cursor, Id, Limit, Order, PageView, Text, TextQuery, View, answer, shown
from chargepki.api.visit import Visiting
from chargepki.core.access.model import PUBLIC_RESOURCE
from chargepki.core.access.permissions import Permission
from chargepki.core.algorithms import KeySpec
from chargepki.core.profiles.model import EffectiveProfile, KeyUsage, ProfileKind, SanRule, SubjectKind
from chargepki.core.profiles.narrowing import DAYS_MAX, NAMES_MAX, ProfileVersion, parse_narrowing
from chargepki.core.records import ProfileId
from chargepki.services.profiles import ProfileChange

CHANGES_MAX: Final = 2**31 - 1  # a column's
HostSuffix = Annotated[str, StringConstraints(min_length=1, max_length=253, pattern=r"^[^\x00-\x1f\x7f]*$")]

router = APIRouter(prefix="/profiles", tags=["profiles"])
versions_router = APIRouter(prefix="/profile-versions", tags=["profiles"])


class NameRuleView(View):
    type: str
    is_required: bool
    length_max: int


class SourceView(View):
    """Who narrowed a field: `config`, or the approved change's proposal."""

    field: str
    by: str


class ProfileView(View):
    """`organizations` and `host_suffixes` are this deployment's limits; null: no limit. What no source names is built in."""

    id: str
    title: str
    version: int
    kind: ProfileKind
    subject_kind: SubjectKind
    clauses: list[str]
    issuers: list[str]
    keys: list[KeySpec]
    subject: list[NameRuleView]
    san: SanRule
    validity_days: int
    validity_days_max: int
    key_usage: list[KeyUsage]
    rsa_key_usage: list[KeyUsage] | None
    extended_key_usage: list[str]
    path_length: int | None
    organizations: list[str] | None
    host_suffixes: list[str] | None
    effective_version: str = Field(examples=["1.3"], description="the definition's version and the approved change on top of it")
    change: int = Field(description="the approved change in force, counted from 1; 0: none")
    sources: list[SourceView]


class NarrowingBody(Order):
    """A whole narrowing of the built-in profile: what is left out, or null, is not narrowed."""

    validity_days: int | None = Field(None, ge=1, le=DAYS_MAX)
    validity_days_max: int | None = Field(None, ge=1, le=DAYS_MAX)
    keys: list[KeySpec] | None = Field(None, min_length=1, max_length=len(KeySpec))
    organizations: list[Text] | None = Field(None, min_length=1, max_length=NAMES_MAX, examples=[["demo-cpo"]])
    host_suffixes: list[HostSuffix] | None = Field(None, min_length=1, max_length=NAMES_MAX, examples=[["example.org"]])


class ProfileChangeOrder(Order):
    """`base` is the change that it was thought up against (`change` of the profile): when another one came between, it is refused."""

    profile: Id = Field(examples=["ocpp/station"])
    base: int | None = Field(None, ge=0, le=CHANGES_MAX)
    narrowing: NarrowingBody


class NarrowingView(View):
    """Null: not narrowed."""

    validity_days: int | None
    validity_days_max: int | None
    keys: list[KeySpec] | None
    organizations: list[str] | None
    host_suffixes: list[str] | None


class ProfileVersionView(View):
    """A change that was agreed on; the one with the highest `number` of its profile is in force."""

    profile: str
    number: int
    narrowing: NarrowingView
    proposal: str | None
    created_by: str
    created_at: datetime


class ProfileList(View):
    items: list[ProfileView]


@router.get("", summary="List the profiles", **shown(ProfileList))
async def list_profiles(visit: Visiting) -> Response:
    visit.services.audit.check(visit.caller, Permission.PROFILE_READ, PUBLIC_RESOURCE)
    return answer(ProfileList(items=[_show(offered) for offered in (await visit.services.profiles.current()).list()]))


@router.get("/{id:path}", summary="Show a profile", **shown(ProfileView))
async def get_profile(id: str, visit: Visiting) -> Response:
    visit.services.audit.check(visit.caller, Permission.PROFILE_READ, PUBLIC_RESOURCE)
    return answer(_show(await visit.services.profiles.get(ProfileId(id))))


@versions_router.get("", summary="List what profiles were changed to, newest first", **shown(PageView[ProfileVersionView]))
async def list_profile_versions(visit: Visiting, profile: TextQuery = "", cursor: Cursor = "", limit: Limit = PAGE_SIZE) -> Response:
    wanted = ProfileId(profile) if profile else None
    page = await visit.services.profiles.versions(visit.caller, profile=wanted, cursor=cursor, limit=limit)
    return answer(PageView(items=[_show_version(version) for version in page.items], next=page.next or None))


@versions_router.post("", summary="Propose another narrowing of a profile", **shown(ProfileVersionView, 201, "In force", waits=True))
async def propose_profile_version(body: ProfileChangeOrder, visit: Visiting) -> Response:
    narrowing = parse_narrowing(ProfileId(body.profile), body.narrowing.model_dump(exclude_none=True))
    version = await visit.services.profiles.change(visit.caller, ProfileChange(narrowing, body.base))
    return answer(_show_version(version), 201, location=f"/api/v1/profiles/{version.profile}")


def _show(offered: EffectiveProfile) -> ProfileView:
    profile = offered.profile
    return ProfileView(
        id=profile.id,
        title=profile.title,
        version=profile.version,
        kind=profile.kind,
        subject_kind=profile.subject_kind,
        clauses=list(profile.clauses),
        issuers=sorted(profile.issuers),
        keys=sorted(profile.keys, key=list(KeySpec).index),
        subject=[NameRuleView(type=r.type, is_required=r.is_required, length_max=r.length_max) for r in profile.subject],
        san=profile.san,
        validity_days=profile.validity_days,
        validity_days_max=profile.validity_days_max,
        key_usage=_in_order(profile.key_usage),
        rsa_key_usage=None if profile.rsa_key_usage is None else _in_order(profile.rsa_key_usage),
        extended_key_usage=list(profile.extended_key_usage),
        path_length=profile.path_length,
        organizations=None if offered.organizations is None else sorted(offered.organizations),
        host_suffixes=None if offered.host_suffixes is None else sorted(offered.host_suffixes),
        effective_version=offered.version,
        change=offered.change,
        sources=[SourceView(field=source.field, by=source.by) for source in offered.sources],
    )


def _show_version(version: ProfileVersion) -> ProfileVersionView:
    by = version.narrowing
    narrowing = NarrowingView(
        validity_days=by.validity_days,
        validity_days_max=by.validity_days_max,
        keys=None if by.keys is None else sorted(by.keys, key=list(KeySpec).index),
        organizations=None if by.organizations is None else sorted(by.organizations),
        host_suffixes=None if by.host_suffixes is None else sorted(by.host_suffixes),
    )
    return ProfileVersionView(
        profile=version.profile,
        number=version.number,
        narrowing=narrowing,
        proposal=version.proposal,
        created_by=version.created_by,
        created_at=version.created_at,
    )


def _in_order(usages: frozenset[KeyUsage]) -> list[KeyUsage]:
    return [usage for usage in KeyUsage if usage in usages]
