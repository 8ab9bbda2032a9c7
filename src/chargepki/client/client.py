"""The way in: one client, one attribute per noun."""

from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from chargepki.client.access import AuditEntries, Intents, Tokens
from chargepki.client.approvals import Approvals, Batches, BulkRevocations, StandingApprovals
from chargepki.client.authorities import Authorities, Profiles
from chargepki.client.certificates import Certificates
from chargepki.client.checks import CsrChecks
from chargepki.client.connection import Connection
from chargepki.client.governance import Grants, Machines, Parties, People
from chargepki.client.keys import Keys
from chargepki.client.log import Log
from chargepki.client.sign_in import Account, SignIn, SteppingUpTransport, UserSessions
from chargepki.client.stations import Stations


class Client:
    """Speaks to one ChargePKI server. Use as an async context manager, or call `close`."""

    def __init__(
        self, url: str, token: str, ca_file: str | Path | None = None, *, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        connection = Connection(url.rstrip("/"), token, None if ca_file is None else str(ca_file))
        self._transport = SteppingUpTransport(connection, transport=transport)
        self.certificates = Certificates(self._transport)
        self.authorities = Authorities(self._transport)
        self.profiles = Profiles(self._transport)
        self.keys = Keys(self._transport)
        self.csr_checks = CsrChecks(self._transport)
        self.stations = Stations(self._transport)
        self.approvals = Approvals(self._transport)
        self.standing_approvals = StandingApprovals(self._transport)
        self.batches = Batches(self._transport)
        self.bulk_revocations = BulkRevocations(self._transport)
        self.parties = Parties(self._transport)
        self.people = People(self._transport)
        self.machines = Machines(self._transport)
        self.grants = Grants(self._transport)
        self.tokens = Tokens(self._transport)
        self.audit_entries = AuditEntries(self._transport)
        self.intents = Intents(self._transport)
        self.log = Log(self._transport)
        self.sign_in = SignIn(self._transport)
        self.account = Account(self._transport)
        self.user_sessions = UserSessions(self._transport)

    def ask_step_up(self, ask: Callable[[], str]) -> None:
        """A call that needs a fresh second factor is repeated with the code that `ask` answers; "" gives up."""
        self._transport.ask = ask

    async def close(self) -> None:
        await self._transport.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()
