"""SecurityEventNotification (OCPP 2.1 A04): kept before it is confirmed."""

import time
from functools import partial

from chargepki.errors import Finding, Refused, TooMany
from chargepki.protocols.ocpp.actions.context import Answer, Context
from chargepki.protocols.ocpp.canonical import Noted, SecurityEventNotification
from chargepki.protocols.ocpp.certificates import replace_discarded
from chargepki.protocols.ocpp.security_events import DISCARDED_RENEWED_CERTIFICATE, GATEWAY_PREFIX


async def handle(context: Context, message: SecurityEventNotification) -> Answer:
    """`Refused` for a type that is the gateway's own word, and for more events than anybody will read."""
    if message.type.startswith(GATEWAY_PREFIX):
        raise Refused.because("ocpp.security_event.type", f"the types {GATEWAY_PREFIX}* are not a station's to report")
    now = time.monotonic()
    if wait := context.event_rate.retry_after(context.station.id, now):
        raise TooMany(Finding("ocpp.security_event.rate", f"too many security events, try again in {wait} s"), retry_after=wait)
    context.event_rate.note(context.station.id, now)
    await context.record(message.type, message.tech_info, at=message.at)
    if message.type != DISCARDED_RENEWED_CERTIFICATE or context.is_discard_served:
        return Answer(Noted())
    context.is_discard_served = True  # once per connection: a station that discards everything must not make us issue for ever
    return Answer(Noted(), partial(replace_discarded, context))
