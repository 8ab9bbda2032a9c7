"""What somebody must look at now, as a line in the log of the process."""

import structlog

from chargepki.ports import CertificateStatusChanged, Event

_log = structlog.get_logger("chargepki.alarm")


def sound_alarm(event: Event) -> None:
    """Subscribed to the notifier: an emergency hold is one person's word, and everybody else is told of it."""
    match event:
        case CertificateStatusChanged(event=change) if change.until is not None:
            _log.critical(
                "emergency hold: one person has held a certificate alone",
                certificate=change.certificate,
                issuer=change.issuer,
                serial=f"{change.serial:x}",
                by=change.actor,
                until=change.until.isoformat(),
            )
        case _:
            pass
