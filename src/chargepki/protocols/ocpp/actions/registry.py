"""Which handler serves which message."""

from chargepki.protocols.ocpp.actions import (
    boot_notification,
    heartbeat,
    security_event_notification,
    sign_certificate,
    status_notification,
)
from chargepki.protocols.ocpp.actions.context import Answer, Context
from chargepki.protocols.ocpp.canonical import (
    BootNotification,
    Heartbeat,
    SecurityEventNotification,
    SignCertificate,
    StationMessage,
    StatusNotification,
)


async def answer(context: Context, message: StationMessage) -> Answer:
    match message:
        case BootNotification():
            return await boot_notification.handle(context, message)
        case Heartbeat():
            return await heartbeat.handle(context, message)
        case StatusNotification():
            return await status_notification.handle(context, message)
        case SecurityEventNotification():
            return await security_event_notification.handle(context, message)
        case SignCertificate():
            return await sign_certificate.handle(context, message)
