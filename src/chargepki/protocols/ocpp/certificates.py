"""The gateway's own moves towards a station's certificate: ask for a CSR, deliver the chain, switch the security profile."""

import asyncio
from contextlib import suppress
from typing import Final

from chargepki.core.bundle import OcppVersion, ocpp_chain
from chargepki.core.records import Certificate, CertificateId, CertificateQuery, SecurityProfile
from chargepki.core.revocation import RevocationReason
from chargepki.errors import Broken, Conflict, Refused
from chargepki.protocols.ocpp.actions.context import Context, NoAnswer
from chargepki.protocols.ocpp.canonical import (
    CertificateSigned,
    Command,
    GetVariable,
    Outcome,
    Reset,
    SetNetworkProfile,
    SetVariable,
    SignCertificate,
    Trigger,
    TriggerMessage,
)
from chargepki.protocols.ocpp.plan import AskForRequest, AskForUpgrade, Nothing, StationView, plan_certificate_action
from chargepki.protocols.ocpp.security_events import GatewayEvent
from chargepki.services.orders import Issued

PROFILE_FAMILY: Final = "ocpp/station"  # with its variants
BROKEN_RETRY_SECONDS: Final = 60.0
VALID_SEEN_MAX: Final = 50  # certificates of one station that are looked at
EVENTS_SEEN_MAX: Final = 200  # events of one station that are looked at for an installed certificate
_COMMUNICATION: Final = ("OCPPCommCtrlr", "NetworkConfigurationPriority")


async def guide(context: Context) -> None:
    """Runs as long as the connection: reviews the station's certificate after its boot, then from time to time."""
    settings = context.services.settings
    with suppress(TimeoutError):  # a station that only reconnects sends no BootNotification (OCPP 2.1 part 4, 5.4)
        async with asyncio.timeout(settings.settle_seconds):
            await context.booted.wait()
    while True:
        wait = settings.review_seconds
        try:
            await review(context)
        except NoAnswer:  # the next review asks again
            pass
        except Broken:  # the station is served all the same
            wait = min(wait, BROKEN_RETRY_SECONDS)
        await asyncio.sleep(wait)


async def review(context: Context) -> None:
    """One look at the station's certificate, and the one move that follows from it."""
    if context.is_signing:
        return
    settings = context.services.settings
    view = StationView(
        context.admitted.security_profile, context.admitted.certificate, await _list_valid(context), await _list_installed(context)
    )
    may_upgrade = settings.upgrade_security_profile and not context.is_upgrade_tried
    match plan_certificate_action(view, now=context.services.clock.now(), renew_before=settings.renew_before, may_upgrade=may_upgrade):
        case AskForRequest():
            await ask_for_request(context)
        case AskForUpgrade():
            await upgrade(context)
        case Nothing():
            pass


async def ask_for_request(context: Context) -> Outcome:
    """A02: names the operator to the station, as it wants it before it makes a CSR, and sends the trigger."""
    if not context.is_named:
        context.is_named = True
        with suppress(NoAnswer):  # a station that cannot be named still gets its name from our inventory
            await context.ask(SetVariable("SecurityCtrlr", "OrganizationName", context.station.operator), _courtesy(context))
    outcome = await context.ask(TriggerMessage(Trigger.SIGN_CHARGING_STATION_CERTIFICATE))
    if not outcome.is_accepted:
        await context.record_here(GatewayEvent.TRIGGER_REFUSED, f"{outcome.status} {outcome.info}".strip())
    return outcome


async def deliver(context: Context, message: SignCertificate, issued: Issued) -> None:
    """CertificateSigned, and what follows from the station's answer."""
    certificate = issued.certificate
    try:
        chain = ocpp_chain(issued.chain, include_root=context.station.include_root, version=context.version)
        outcome = await context.ask(CertificateSigned(chain, message.certificate_type, message.request_id))
    except Refused as refused:  # too long for the message
        await context.record_here(GatewayEvent.CERTIFICATE_NOT_DELIVERED, f"{certificate.id} {refused}")
        return
    except NoAnswer:  # installed or not, nobody knows: the next review asks for a new request
        await context.record_here(GatewayEvent.CERTIFICATE_NOT_DELIVERED, f"{certificate.id} the station did not answer")
        return
    if not outcome.is_accepted:
        await _withdraw(context, certificate, outcome)
        return
    await context.record_here(GatewayEvent.CERTIFICATE_INSTALLED, certificate.id)
    if context.services.settings.upgrade_security_profile and context.admitted.security_profile is SecurityProfile.TLS_BASIC:
        await upgrade(context)


async def upgrade(context: Context) -> None:
    """A05: the station is told to use mutual TLS from now on. What it refuses is recorded; it may switch by itself."""
    context.is_upgrade_tried = True
    commands = await _plan_upgrade(context)
    for command in commands:
        try:
            outcome = await context.ask(command)
        except NoAnswer:
            outcome = Outcome("no answer")
        if not outcome.is_accepted:
            await context.record_here(GatewayEvent.PROFILE_UPGRADE, f"{type(command).__name__}: {outcome.status} {outcome.info}".strip())
            return
    if commands:
        await context.record_here(GatewayEvent.PROFILE_UPGRADE, "Accepted")


async def replace_discarded(context: Context) -> None:
    """A02.FR.29: the station fell back to its old certificate. The new one ends here, and another is asked for."""
    in_use = context.admitted.certificate
    unused = [certificate for certificate in await _list_valid(context) if in_use is None or certificate.id != in_use.id]
    if unused:
        newest = max(unused, key=lambda certificate: certificate.issued_at)
        await _revoke(context, newest, RevocationReason.CESSATION_OF_OPERATION, "the station discarded it")
    with suppress(NoAnswer):
        await ask_for_request(context)


async def _withdraw(context: Context, certificate: Certificate, outcome: Outcome) -> None:
    """The station rejected the chain: nobody will use this certificate. The station must not retry (A02.FR.20), nor do we at once."""
    await context.record_here(GatewayEvent.CERTIFICATE_REJECTED, f"{certificate.id} {outcome.status} {outcome.info}".strip())
    in_use = context.admitted.certificate
    if in_use is None or in_use.id != certificate.id:
        await _revoke(context, certificate, RevocationReason.CESSATION_OF_OPERATION, "the station rejected it")


async def _revoke(context: Context, certificate: Certificate, reason: RevocationReason, note: str) -> None:
    with suppress(Conflict):  # revoked meanwhile
        await context.services.revocation.revoke(context.platform(), certificate.id, reason=reason, note=note)


async def _plan_upgrade(context: Context) -> tuple[Command, ...]:
    """1.6: one key. 2.x: a network profile in a free slot, that slot first in the order, and a reset when idle."""
    if context.version is OcppVersion.V16:
        return (SetVariable("SecurityCtrlr", "SecurityProfile", SecurityProfile.MUTUAL_TLS.value),)
    url = context.services.public_url()
    if not url:
        return ()
    slots = await _ask_slots(context)
    free = next(slot for slot in range(1, len(slots) + 2) if slot not in slots)
    order = ",".join(str(slot) for slot in (free, *slots))
    return (SetNetworkProfile(free, url, int(SecurityProfile.MUTUAL_TLS.value)), SetVariable(*_COMMUNICATION, order), Reset())


async def _ask_slots(context: Context) -> tuple[int, ...]:
    """The network profiles in use, first choice first; slot 1 where the station does not tell."""
    try:
        outcome = await context.ask(GetVariable(*_COMMUNICATION), _courtesy(context))
    except NoAnswer:
        return (1,)
    slots = tuple(int(part) for part in outcome.value[:100].split(",") if part.strip().isascii() and part.strip().isdigit())
    return slots or (1,)


async def _list_valid(context: Context) -> tuple[Certificate, ...]:
    query = CertificateQuery(station=context.station.id, state="valid")
    page = await context.services.issuance.list(context.platform(), query, limit=VALID_SEEN_MAX)
    return tuple(certificate for certificate in page.items if certificate.profile.startswith(PROFILE_FAMILY))


async def _list_installed(context: Context) -> frozenset[CertificateId]:
    """Certificates that the station confirmed. Where its newer events have pushed them out, it is asked once more: no harm done."""
    page = await context.services.inventory.list_security_events(context.platform(), context.station.id, limit=EVENTS_SEEN_MAX)
    return frozenset(CertificateId(event.tech_info) for event in page.items if event.type == GatewayEvent.CERTIFICATE_INSTALLED)


def _courtesy(context: Context) -> float:
    return context.services.settings.courtesy_seconds
