"""The endpoint that foreign stations connect to."""

from tests.protocols.ocpp.conftest import endpoint, settings

__all__ = ["endpoint", "settings"]
