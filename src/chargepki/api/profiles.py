"""/profiles: what this deployment issues."""

from fastapi import APIRouter, Response

from chargepki.api.shapes import View, answer, shown
from chargepki.api.visit import Visiting
from chargepki.core.access.model import PUBLIC_RESOURCE
from chargepki.core.access.permissions import Permission
from chargepki.core.algorithms import KeySpec
from chargepki.core.profiles.model import EffectiveProfile, KeyUsage, ProfileKind, SanRule, SubjectKind
from chargepki.core.records import ProfileId

router = APIRouter(prefix="/profiles", tags=["profiles"])


class NameRuleView(View):
    type: str
    is_required: bool
    length_max: int


class ProfileView(View):
    """`organizations` and `host_suffixes` are this deployment's limits; null: no limit."""

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


class ProfileList(View):
    items: list[ProfileView]


@router.get("", summary="List the profiles", **shown(ProfileList))
async def list_profiles(visit: Visiting) -> Response:
    visit.services.audit.check(visit.caller, Permission.PROFILE_READ, PUBLIC_RESOURCE)
    return answer(ProfileList(items=[_show(offered) for offered in visit.services.profiles.list()]))


@router.get("/{id:path}", summary="Show a profile", **shown(ProfileView))
async def get_profile(id: str, visit: Visiting) -> Response:
    visit.services.audit.check(visit.caller, Permission.PROFILE_READ, PUBLIC_RESOURCE)
    return answer(_show(visit.services.profiles.get(ProfileId(id))))


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
    )


def _in_order(usages: frozenset[KeyUsage]) -> list[KeyUsage]:
    return [usage for usage in KeyUsage if usage in usages]
