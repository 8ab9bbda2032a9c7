"""SecurityEventNotification (OCPP 2.1 A04): kept before it is confirmed."""

from functools import partial

from chargepki.protocols.ocpp.actions.context import Answer, Context
from chargepki.protocols.ocpp.canonical import Noted, SecurityEventNotification
from chargepki.protocols.ocpp.certificates import replace_discarded
from chargepki.protocols.ocpp.security_events import DISCARDED_RENEWED_CERTIFICATE


async def handle(context: Context, message: SecurityEventNotification) -> Answer:
    await context.record(message.type, message.tech_info, at=message.at)
    if message.type != DISCARDED_RENEWED_CERTIFICATE or context.is_discard_served:
        return Answer(Noted())
    context.is_discard_served = True  # once per connection: a station that discards everything must not make us issue for ever
    return Answer(Noted(), partial(replace_discarded, context))
