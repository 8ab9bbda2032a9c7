"""Events to the listeners of this process."""

import threading
from collections.abc import Callable

from chargepki.errors import ChargePkiError
from chargepki.ports import Event

Listener = Callable[[Event], None]


class LocalNotifier:
    """Implements `ports.Notifier`: calls every listener, in the order they subscribed, in the publisher's thread.

    A listener's `ChargePkiError` goes to `on_failure` and the next listener is called: what was committed stays committed, whoever
    failed to hear of it. Any other exception is a bug and reaches the publisher.
    """

    def __init__(self, on_failure: Callable[[Event, ChargePkiError], None]) -> None:
        self._on_failure = on_failure
        self._lock = threading.Lock()
        self._listeners: tuple[Listener, ...] = ()

    def publish(self, event: Event) -> None:
        for listener in self._listeners:
            try:
                listener(event)
            except ChargePkiError as error:
                self._on_failure(event, error)

    def subscribe(self, listener: Listener) -> None:
        with self._lock:
            self._listeners = (*self._listeners, listener)
