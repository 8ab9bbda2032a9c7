"""SignCertificate (OCPP 2.1 A02, A03; 1.6 whitepaper A02): a CSR becomes a certificate, or a reason why not."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

from chargepki.errors import Broken, Refused
from chargepki.protocols.ocpp.actions.context import Answer, Context
from chargepki.protocols.ocpp.canonical import (
    ADDITIONAL_INFO_CHARS_MAX,
    CSR_CHARS_MAX,
    CertificateType,
    ReasonCode,
    SignCertificate,
    SigningAccepted,
    SigningRejected,
)
from chargepki.protocols.ocpp.certificates import deliver
from chargepki.protocols.ocpp.security_events import GatewayEvent
from chargepki.services.orders import CertificateOrder, Issued

FINDINGS_NAMED_MAX: Final = 4  # in `additionalInfo`; the audit entry has them all


async def handle(context: Context, message: SignCertificate) -> Answer:
    """Answers within `issuance_seconds`: the verdict when it is there by then, else Accepted, and the rest follows."""
    unfit = _find_unfit(context, message)
    if unfit is not None:
        return Answer(unfit)
    context.signing_rate.note(context.station.id, time.monotonic())
    order = _start_order(context, message)
    done, _ = await asyncio.wait({order}, timeout=context.services.settings.issuance_seconds)
    if not done:
        return Answer(SigningAccepted(), partial(_serve, context, partial(_deliver_late, context, message, order)))
    try:
        issued = order.result()
    except Refused as refused:
        return Answer(SigningRejected(ReasonCode.INVALID_CSR, _explain(refused)))
    except Broken:  # in the audit already; the station may ask again (A02.FR.17)
        return Answer(SigningRejected(ReasonCode.INTERNAL_ERROR, "the certificate authority is not available, try again later"))
    return Answer(SigningAccepted(), partial(_serve, context, partial(deliver, context, message, issued)))


def _find_unfit(context: Context, message: SignCertificate) -> SigningRejected | None:
    """What is refused before the CSR is read."""
    if message.certificate_type not in (None, CertificateType.CHARGING_STATION):
        return SigningRejected(ReasonCode.UNSUPPORTED_PARAM, f"certificateType {message.certificate_type} is not offered")
    if len(message.csr) > CSR_CHARS_MAX:
        return SigningRejected(ReasonCode.INVALID_CSR, f"the CSR is longer than {CSR_CHARS_MAX} characters")
    wait = context.signing_rate.retry_after(context.station.id, time.monotonic())
    if wait:
        return SigningRejected(ReasonCode.UNSPECIFIED, f"too many requests, try again in {wait} s")
    return None


def _start_order(context: Context, message: SignCertificate) -> "asyncio.Task[Issued]":
    csr = message.csr.encode()
    order = CertificateOrder(profile=context.services.settings.station_profile, csr=csr, station=context.station.id)
    task = asyncio.ensure_future(context.services.issuance.request(context.caller(request=csr), order))
    context.orders.add(task)
    task.add_done_callback(partial(_release, context))
    return task


def _release(context: Context, task: "asyncio.Task[Issued]") -> None:
    context.orders.discard(task)
    if not task.cancelled():
        task.exception()  # the audit has it; nobody may be left to hear it


async def _serve(context: Context, delivery: Callable[[], Awaitable[None]]) -> None:
    context.is_signing = True
    try:
        await delivery()
    finally:
        context.is_signing = False


async def _deliver_late(context: Context, message: SignCertificate, order: "asyncio.Task[Issued]") -> None:
    try:
        issued = await asyncio.shield(order)
    except Refused as refused:  # the station was told Accepted: only the operator can learn of it (1.6 whitepaper A02, remark)
        await context.record_here(GatewayEvent.CERTIFICATE_NOT_ISSUED, _explain(refused))
        return
    await deliver(context, message, issued)


def _explain(refused: Refused) -> str:
    errors = [finding for finding in refused.findings if finding.is_error] or list(refused.findings)
    return "; ".join(f"{finding.code}: {finding.message}" for finding in errors[:FINDINGS_NAMED_MAX])[:ADDITIONAL_INFO_CHARS_MAX]
