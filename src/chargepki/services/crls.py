"""CRLs: signed, numbered, committed, and kept at hand for whoever fetches them."""

import asyncio
import hashlib
from collections import defaultdict
from datetime import timedelta
from typing import Final

from chargepki.core.access.decide import SYSTEM
from chargepki.core.access.permissions import Permission
from chargepki.core.algorithms import PublicKey
from chargepki.core.audit import Effect
from chargepki.core.crl import CrlPlan, EntryList, assemble_crl, check_crl, plan_crl
from chargepki.core.records import AuthorityId, AuthorityState, Crl
from chargepki.errors import Conflict, Finding, NotFound, Refused
from chargepki.ports import AddCrl, Ports, SigningOrder, SigningPurpose
from chargepki.services.audit import AuditTrail, Caller, OpenAct
from chargepki.services.authorities import Authorities, IssuerView

ATTEMPTS_MAX: Final = 5  # other nodes that publish in the same instant each cost one
THREADED_ENTRIES: Final = 10_000  # from here on hashing and reading back take milliseconds that the event loop does not have
PLATFORM: Final = Caller(SYSTEM, door="status")  # the platform itself, at its scheduled work


class CrlPublisher:
    """`lifetime` runs from thisUpdate to nextUpdate."""

    def __init__(self, ports: Ports, audit: AuditTrail, authorities: Authorities, lifetime: timedelta) -> None:
        self._ports, self._audit, self._authorities, self._lifetime = ports, audit, authorities, lifetime
        self._current: dict[AuthorityId, Crl] = {}
        self._seen: dict[AuthorityId, Crl] = {}  # of authorities whose key is elsewhere: another process carries the next one in
        self._locks: defaultdict[AuthorityId, asyncio.Lock] = defaultdict(asyncio.Lock)

    def known(self) -> tuple[Crl, ...]:
        """The newest CRL of each authority, as far as this process has seen one."""
        return (*self._current.values(), *self._seen.values())

    async def current(self, id: AuthorityId) -> Crl:
        """The newest CRL; the very first one is made on the spot. Raises `NotFound` for an unknown authority, or `Broken`."""
        if (crl := self._current.get(id)) is not None:
            return crl
        view = await self._authorities.view(id)
        if view.authority.state is AuthorityState.OFFLINE:
            return await self.carried_in(id)
        async with self._locks[id]:
            if id not in self._current:
                stored = await self._ports.store.lookup_latest_crl(id)
                self._current[id] = stored or await self._publish(view, PLATFORM)
        return self._current[id]

    async def carried_in(self, id: AuthorityId) -> Crl:
        """The newest CRL that was carried in of an authority whose key is elsewhere. `NotFound` before the first."""
        stored = await self._ports.store.lookup_latest_crl(id)
        if stored is None:
            raise NotFound(Finding("crl.not_carried_in", f"no CRL of {id} was carried in", hint="hold a ceremony of kind import-crl"))
        self._seen[id] = stored
        return stored

    async def publish(self, id: AuthorityId, caller: Caller = PLATFORM) -> Crl:
        """A fresh CRL of everything revoked when it began. Its number is the last one plus one, whoever else publishes."""
        view = await self._authorities.view(id)
        if view.authority.state is AuthorityState.OFFLINE:
            hint = "hold a ceremony of kind crl where the key is, then one of kind import-crl here"
            raise Refused.because("authority.offline", f"the key of {id} is not here", path="authority", hint=hint)
        async with self._locks[id]:
            crl = self._current[id] = await self._publish(view, caller)
        return crl

    async def _publish(self, view: IssuerView, caller: Caller) -> Crl:
        id = view.authority.id
        async with self._audit.act(caller.act(Permission.CA_CRL_ISSUE, f"authority:{id}")) as opened:
            for _ in range(ATTEMPTS_MAX - 1):
                try:
                    return await self._publish_once(view, opened)
                except Conflict:
                    continue  # another node was faster: its number is taken, the next one is ours
            return await self._publish_once(view, opened)

    async def _publish_once(self, view: IssuerView, opened: OpenAct) -> Crl:
        last = await self._ports.store.lookup_latest_crl(view.authority.id)
        plan = await self._plan(view, last)
        reference = f"crl:{view.authority.id}:{plan.number}"
        order = SigningOrder(view.authority.key, plan.signature, plan.tbs, SigningPurpose.CRL, reference)
        tbs_sha256 = hashlib.sha256(plan.tbs).hexdigest()
        await self._ports.store.commit(opened.intent(number=plan.number, entries=plan.entry_count, tbs_sha256=tbs_sha256))
        await opened.ready()
        signature = await self._ports.vault.sign(order)
        if plan.entry_count > THREADED_ENTRIES:
            crl_der = await asyncio.to_thread(_finish, plan, signature, view.public_key)
        else:
            crl_der = _finish(plan, signature, view.public_key)
        crl = Crl(view.authority.id, plan.number, plan.this_update, plan.next_update, plan.entry_count, crl_der)
        opened.effect = Effect({"number": crl.number, "entries": crl.entry_count})
        before = b"" if last is None else hashlib.sha256(last.der).digest()
        entry = opened.done(before_sha256=before, after_sha256=hashlib.sha256(crl_der).digest())
        await self._ports.store.commit(AddCrl(crl), entry)
        return crl

    async def _plan(self, view: IssuerView, last: Crl | None) -> CrlPlan:
        now = self._ports.clock.now()
        # RFC 5280 3.3: an entry stays until it stood in one scheduled CRL issued after its certificate ended.
        since = now - self._lifetime
        if last is not None:
            since = min(since, last.this_update)
        entries = EntryList()
        async for revoked in self._ports.store.stream_revoked(view.authority.id, not_after_from=since):
            entries.add(revoked)
        return plan_crl(
            entries,
            issuer_name=view.name_der,
            key_id=view.key_id,
            signature=view.authority.signature,
            number=1 if last is None else last.number + 1,
            this_update=now,  # RFC 5280 5.1.2.4: the issue date
            next_update=now + self._lifetime,
        )


def _finish(plan: CrlPlan, signature: bytes, issuer_key: PublicKey) -> bytes:
    crl = assemble_crl(plan, signature)
    check_crl(crl, plan, issuer_key)
    return crl
