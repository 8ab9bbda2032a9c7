"""/bulk-revocations: look at the list first, then revoke exactly that list."""

from typing import Annotated, Final

from fastapi import APIRouter, Response
from pydantic import Field, StringConstraints

from chargepki.api.shapes import Id, Order, Text, View, answer, shown
from chargepki.api.visit import Visiting
from chargepki.core.records import AuthorityId, CertificateId, CertificateQuery, ProfileId, StationId
from chargepki.core.revocation import RevocationReason
from chargepki.services.bulk_revocation import LIST_MAX, NOTE_CHARACTERS_MAX, BlastRadius, Selection

SHOWN_MAX: Final = 100  # names of stations and subjects in a preview: enough to see what it is about
Serial = Annotated[str, StringConstraints(pattern=r"^[0-9a-fA-F]{1,40}$")]  # RFC 5280 4.1.2.2: at most 20 octets
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-fA-F]{64}$")]

router = APIRouter(prefix="/bulk-revocations", tags=["certificates"])


class SelectionOrder(Order):
    """All valid certificates that `station`, `issuer` and `profile` have in common, or the named ones (`serials` need `issuer`)."""

    station: Id | None = None
    issuer: Id | None = None
    profile: Id | None = None
    certificates: list[Id] = Field(default=[], max_length=LIST_MAX)
    serials: list[Serial] = Field(default=[], max_length=LIST_MAX)


class BulkRevocationOrder(SelectionOrder):
    """`list_sha256` is the preview's: whatever came up since is not taken along, it stops the call."""

    reason: RevocationReason
    list_sha256: Sha256
    note: str = Field("", max_length=NOTE_CHARACTERS_MAX, pattern=r"^[^\x00-\x1f\x7f]*$")


class BlastRadiusView(View):
    """`subjects` and `stations` are the first hundred."""

    count: int
    skipped: int
    list_sha256: str
    parties: list[str]
    station_count: int
    stations: list[Text]
    subjects: list[str]
    live_sessions: int


class BulkResultView(View):
    list_sha256: str
    revoked: int
    skipped: int


@router.post("/previews", summary="Show what a bulk revocation would take along", **shown(BlastRadiusView, 200))
async def preview_bulk_revocation(body: SelectionOrder, visit: Visiting) -> Response:
    radius = await visit.services.bulk_revocation.preview(visit.caller, _selection(body))
    return answer(_show(radius, visit))


@router.post("", summary="Revoke a list of certificates", **shown(BulkResultView, 201, "Revoked", waits=True))
async def create_bulk_revocation(body: BulkRevocationOrder, visit: Visiting) -> Response:
    result = await visit.services.bulk_revocation.revoke(
        visit.caller, _selection(body), reason=body.reason, list_sha256=bytes.fromhex(body.list_sha256), note=body.note
    )
    return answer(BulkResultView(list_sha256=result.list_sha256.hex(), revoked=result.revoked, skipped=result.skipped), 201)


def _selection(body: SelectionOrder) -> Selection:
    query = CertificateQuery(
        station=StationId(body.station) if body.station else None,
        issuer=AuthorityId(body.issuer) if body.issuer else None,
        profile=ProfileId(body.profile) if body.profile else None,
    )
    return Selection(query, tuple(map(CertificateId, body.certificates)), tuple(int(serial, 16) for serial in body.serials))


def _show(radius: BlastRadius, visit: Visiting) -> BlastRadiusView:
    stations = radius.stations
    gateway = visit.services.gateway
    connected = {session.station for session in gateway.sessions()} if gateway is not None else set()
    return BlastRadiusView(
        count=len(radius.certificates),
        skipped=radius.skipped,
        list_sha256=radius.list_sha256.hex(),
        parties=list(radius.parties),
        station_count=len(stations),
        stations=list(stations[:SHOWN_MAX]),
        subjects=[certificate.subject for certificate in radius.certificates[:SHOWN_MAX]],
        live_sessions=len(connected.intersection(stations)),
    )
