"""What a revocation would break: shown before it is done."""

from typing import Final

from chargepki.api.shapes import View
from chargepki.api.visit import Visit
from chargepki.core.records import AuthorityId, Certificate, CertificateQuery, StationId
from chargepki.ports import PAGE_SIZE_MAX

PAGES_MAX: Final = 20  # 10,000 certificates; beyond that the exact number changes nobody's mind
STATIONS_SHOWN_MAX: Final = 20


class ImpactView(View):
    """`certificates` counts the valid ones that would lose their chain; `is_capped`: there are more than counted."""

    certificate: str
    authorities: list[str]
    certificates: int
    is_capped: bool
    station_count: int
    stations: list[str]
    live_sessions: int


async def assess_impact(visit: Visit, certificate: Certificate) -> ImpactView:
    authorities = await _affected_authorities(visit, certificate)
    count, is_capped = 1, False
    stations = {certificate.station} if certificate.station else set()
    for authority in authorities:
        counted, capped = await _collect(visit, authority, stations)
        count, is_capped = count + counted, is_capped or capped
    gateway = visit.services.gateway
    live = 0 if gateway is None else sum(session.station in stations for session in gateway.sessions())
    return ImpactView(
        certificate=certificate.id,
        authorities=list(authorities),
        certificates=count,
        is_capped=is_capped,
        station_count=len(stations),
        stations=sorted(stations)[:STATIONS_SHOWN_MAX],
        live_sessions=live,
    )


async def _affected_authorities(visit: Visit, certificate: Certificate) -> tuple[AuthorityId, ...]:
    """The authority whose certificate this is, and all below it."""
    below: list[AuthorityId] = []
    for view in await visit.services.authorities.views():  # oldest first: a parent comes before its children
        authority = view.authority
        if authority.certificate == certificate.id or authority.parent in below:
            below.append(authority.id)
    return tuple(below)


async def _collect(visit: Visit, issuer: AuthorityId, stations: set[StationId]) -> tuple[int, bool]:
    """Counts the valid certificates of `issuer` and adds their stations to `stations`."""
    query, cursor, count = CertificateQuery(issuer=issuer, state="valid"), "", 0
    for _ in range(PAGES_MAX):
        page = await visit.services.issuance.list(visit.caller, query, cursor=cursor, limit=PAGE_SIZE_MAX)
        count += len(page.items)
        stations.update(item.station for item in page.items if item.station is not None)
        cursor = page.next
        if not cursor:
            return count, False
    return count, True
