"""Certificate status for the world: OCSP answers and CRLs. Reading is public, so there is no actor and no audit entry per answer.

Everything here follows from committed events: a revocation drops the answers that say otherwise at once, and its issuer's next
CRL is out within about a second.
"""

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from chargepki.core.algorithms import is_signature_valid
from chargepki.core.ocsp import (
    HASH_OIDS,
    MALFORMED_REQUEST,
    UNAUTHORIZED,
    CertId,
    CertStatus,
    IssuerHashes,
    OcspRequest,
    SingleAnswer,
    Unrevoked,
    assemble_response,
    cert_id_hashes,
    parse_ocsp_request,
    plan_response,
)
from chargepki.core.records import AuthorityId, AuthorityState, CertificateEvent, CertificateEventKind, Crl
from chargepki.core.revocation import Revoked
from chargepki.errors import Broken, Refused
from chargepki.ports import CertificateStatusChanged, Event, Ports, SigningOrder, SigningPurpose
from chargepki.services.answer_cache import AnswerCache, OcspAnswer
from chargepki.services.audit import Caller
from chargepki.services.authorities import Authorities, IssuerView
from chargepki.services.crls import PLATFORM, CrlPublisher
from chargepki.services.responders import Responder, ResponderSource

ANSWER_LIFETIME_MAX: Final = timedelta(days=7)  # OCPP M06: a station refreshes what it caches weekly
SERIAL_END: Final = 2**159  # RFC 5280 4.1.2.2: the serial numbers of certificates lie below
COALESCE_SECONDS: Final = 0.25  # revocations that arrive together share one CRL
IDLE_SECONDS: Final = 5.0  # how often the runner looks at its own clock
BACKOFF_SECONDS_MAX: Final = 60.0


@dataclass(frozen=True, slots=True)
class StatusSettings:
    """Lifetimes of what is signed, and how long HTTP caches may hold on to it.

    `http_max_age` is short on purpose: a cache between us and a client must not hide a revocation for half a day.
    """

    answer_lifetime: timedelta = timedelta(hours=12)
    crl_lifetime: timedelta = timedelta(hours=24)
    http_max_age: timedelta = timedelta(minutes=5)
    # thisUpdate lies this far back: clients whose clock is behind refuse an answer from the future (RFC 6960 4.2.2.1).
    clock_skew: timedelta = timedelta(minutes=5)

    def __post_init__(self) -> None:
        if not timedelta(minutes=10) <= self.answer_lifetime <= ANSWER_LIFETIME_MAX:
            raise Refused.because(
                "config.status.answer_lifetime", "an OCSP answer lives 10 minutes to 7 days", path="status.answer_lifetime"
            )
        if not timedelta(minutes=10) <= self.crl_lifetime <= timedelta(days=366):
            raise Refused.because("config.status.crl_lifetime", "a CRL lives 10 minutes to 366 days", path="status.crl_lifetime")


@dataclass(frozen=True, slots=True)
class AuthorityHealth:
    """The state of one authority's status service. `problem` is "" when its last attempt worked."""

    id: AuthorityId
    crl_number: int | None
    crl_next_update: datetime | None
    is_stale: bool
    responder_not_after: datetime | None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class StatusHealth:
    authorities: tuple[AuthorityHealth, ...]
    answers_from_memory: int
    answers_signed: int
    requests_refused: int
    breakdowns: int
    answers_kept: int

    @property
    def is_well(self) -> bool:
        return not any(authority.is_stale or authority.problem for authority in self.authorities)


@dataclass(slots=True)
class _Counts:
    from_memory: int = 0
    signed: int = 0
    refused: int = 0
    breakdowns: int = 0


@dataclass(slots=True)
class _Chore:
    """What the runner knows of one authority. `retry_at` is event loop time."""

    is_dirty: bool = True  # at first: a crash may have come between a revocation and its CRL
    is_ended: bool = False  # its certificate has expired: it signs nothing any more
    failures: int = 0
    retry_at: float = 0.0
    problem: str = ""


@dataclass(slots=True)
class _Index:
    """Which authority a CertID speaks of."""

    members: frozenset[AuthorityId] = frozenset()
    by_hashes: dict[IssuerHashes, AuthorityId] = field(default_factory=dict)

    def find(self, request: OcspRequest) -> AuthorityId | None:
        return next((id for item in request.items if (id := self.by_hashes.get(item.issuer)) is not None), None)


class Status:
    def __init__(
        self, ports: Ports, authorities: Authorities, crls: CrlPublisher, responders: ResponderSource, settings: StatusSettings
    ) -> None:
        self._ports, self._authorities, self._crls, self._responders = ports, authorities, crls, responders
        self._settings = settings
        self._cache = AnswerCache()
        self._index = _Index()
        self._counts = _Counts()
        self._chores: dict[AuthorityId, _Chore] = {}
        self._wake = asyncio.Event()
        ports.notifier.subscribe(self._on_event)

    async def answer(self, request: bytes) -> OcspAnswer:
        """The answer to one OCSP request, errors of the protocol included. Raises `Broken` when there is no true answer now."""
        if (kept := self._cache.find(request, self._ports.clock.now())) is not None:
            self._counts.from_memory += 1
            return kept
        try:
            parsed = parse_ocsp_request(request)
        except Refused:
            self._counts.refused += 1
            return _MALFORMED
        try:
            issuer = await self._find_issuer(parsed)
            if issuer is None:
                self._counts.refused += 1
                return _UNAUTHORIZED  # RFC 6960 2.3: not authoritative for any of them
            return await self._answer_for(issuer, parsed, request)
        except Broken:
            self._counts.breakdowns += 1
            raise

    async def current_crl(self, id: AuthorityId) -> Crl:
        """The newest CRL of an authority. Raises `NotFound` for an unknown one, `Broken` when there is none and none can be made."""
        return await self._crls.current(id)

    async def publish_crl(self, id: AuthorityId, caller: Caller = PLATFORM) -> Crl:
        """Publishes now. Raises `NotAuthorised`, `NotFound`, `Broken`."""
        return await self._crls.publish(id, caller)

    async def run(self) -> None:
        """Publishes CRLs and renews responders until cancelled: at start, after a status change, at half of a lifetime.

        A breakdown is retried with growing pauses and shown by `health()`; it never ends the work on other authorities.
        """
        while True:
            self._wake.clear()
            views = await self._load_views()
            await asyncio.gather(*(self._do_chores(view) for view in views))
            await self._pause()

    def health(self) -> StatusHealth:
        now = self._ports.clock.now()
        crls = {crl.issuer: crl for crl in self._crls.known()}
        responders = {responder.issuer: responder for responder in self._responders.known()}
        ended = {id for id, chore in self._chores.items() if chore.is_ended}
        ids = sorted({*self._chores, *crls, *responders, *self._index.members} - ended)
        counts = self._counts
        return StatusHealth(
            tuple(_health_of(id, crls.get(id), responders.get(id), self._chores.get(id), now) for id in ids),
            counts.from_memory,
            counts.signed,
            counts.refused,
            counts.breakdowns,
            len(self._cache),
        )

    # ------------------------------------------------------------------------------------------------------------- answers

    async def _find_issuer(self, request: OcspRequest) -> AuthorityId | None:
        """The authority of the first item that is ours; it signs the whole answer."""
        found = self._index.find(request)
        if found is None and await self._refresh_index():
            found = self._index.find(request)
        return found

    async def _refresh_index(self) -> bool:
        """Takes new authorities in; False when there are none."""
        # Whose key is elsewhere has no responder here, and its certificates name none (RFC 6960 2.3: unauthorized).
        views = [view for view in await self._authorities.views() if view.authority.state is not AuthorityState.OFFLINE]
        members = frozenset(view.authority.id for view in views)
        if members == self._index.members:
            return False
        hashes = {cert_id_hashes(v.name_der, v.spki, hash): v.authority.id for v in views for hash in HASH_OIDS}
        self._index = _Index(members, hashes)
        return True

    async def _answer_for(self, issuer: AuthorityId, request: OcspRequest, raw: bytes) -> OcspAnswer:
        now = self._ports.clock.now()
        is_simple = request.nonce is None and len(request.items) == 1
        item = request.items[0]
        if is_simple and (kept := self._cache.find_spelling((issuer, item.serial), item.raw, raw, now)) is not None:
            self._counts.from_memory += 1
            return kept
        ticket = self._cache.ticket()
        statuses = [await self._status_of(issuer, found, now) for found in request.items]
        answer = await self._sign(issuer, request, statuses, now, is_cacheable=is_simple)
        self._counts.signed += 1
        # An unknown serial number is never kept: strangers could fill the memory with them.
        if is_simple and statuses[0] is not Unrevoked.UNKNOWN and answer.next_update is not None:
            fresh_until = now + (answer.next_update - now) / 2
            self._cache.keep(ticket, (issuer, item.serial), item.raw, raw, answer, fresh_until)
        return answer

    async def _status_of(self, issuer: AuthorityId, item: CertId, now: datetime) -> CertStatus:
        """What is known of one item; `unknown` for what this authority did not issue (RFC 6960 2.2)."""
        if self._index.by_hashes.get(item.issuer) != issuer or not 0 < item.serial < SERIAL_END:
            return Unrevoked.UNKNOWN
        subject = (issuer, item.serial)
        if (known := self._cache.find_status(subject, now)) is not None:
            return known
        ticket = self._cache.ticket()
        is_issued, event = await self._ports.store.lookup_status(issuer, item.serial)
        if not is_issued:
            return Unrevoked.UNKNOWN
        status = _status_from(event)
        # Kept no longer than thisUpdate lies back: what an answer says was known to be so at its thisUpdate (RFC 6960 2.4).
        self._cache.keep_status(ticket, subject, status, now + self._settings.clock_skew)
        return status

    async def _sign(
        self, issuer: AuthorityId, request: OcspRequest, statuses: Sequence[CertStatus], now: datetime, *, is_cacheable: bool
    ) -> OcspAnswer:
        try:
            responder = await self._responders.ensure(issuer)
        except Refused as refusal:
            raise Broken(f"{issuer} has no OCSP responder: {refusal}", hint="see the refusal in the audit trail") from refusal
        this_update = now - self._settings.clock_skew
        next_update = min(now + self._settings.answer_lifetime, responder.not_after)
        answers = [SingleAnswer(item, status, this_update, next_update) for item, status in zip(request.items, statuses, strict=True)]
        template = responder.template
        tbs = plan_response(template, answers, produced_at=now, nonce=request.nonce)
        order = SigningOrder(responder.key, template.signature, tbs, SigningPurpose.OCSP, f"ocsp:{issuer}")
        signature = await self._ports.vault.sign(order)
        # What will be handed out for hours is checked; an answer to one nonce serves one client, which checks it itself.
        if is_cacheable and not is_signature_valid(responder.public_key, template.signature, signature, tbs):
            raise Broken("the vault's signature on an OCSP answer does not verify", hint="check that the vault holds the responder's key")
        der = assemble_response(template, tbs, signature)
        max_age = min(self._settings.http_max_age, next_update - now)
        return OcspAnswer(der, is_cacheable, int(max_age.total_seconds()), hashlib.sha256(der).hexdigest(), this_update, next_update)

    # -------------------------------------------------------------------------------------------------------------- chores

    def _on_event(self, event: Event) -> None:
        if isinstance(event, CertificateStatusChanged):
            self._cache.drop((event.event.issuer, event.event.serial))
            self._chores.setdefault(event.event.issuer, _Chore()).is_dirty = True
            self._wake.set()

    async def _load_views(self) -> tuple[IssuerView, ...]:
        try:
            return await self._authorities.views()
        except Broken as broken:
            for chore in self._chores.values():
                chore.problem = str(broken)
            return ()

    async def _do_chores(self, view: IssuerView) -> None:
        id, now = view.authority.id, self._ports.clock.now()
        chore = self._chores.setdefault(id, _Chore())
        loop_time = asyncio.get_running_loop().time()
        chore.is_ended = now >= view.not_after
        if chore.is_ended or loop_time < chore.retry_at:
            return
        is_dirty, chore.is_dirty = chore.is_dirty, False
        try:
            if view.authority.state is AuthorityState.OFFLINE:  # looked at, so that one that grows stale is seen; made elsewhere
                await self._crls.carried_in(id)
            elif is_dirty or _is_half_over(await self._crls.current(id), now):
                await self._crls.publish(id)
            if any(known.issuer == id and now >= known.renew_from for known in self._responders.known()):
                await self._responders.renew(id)
            chore.failures, chore.problem = 0, ""
        except (Broken, Refused) as error:
            chore.is_dirty = chore.is_dirty or is_dirty
            chore.failures += 1
            chore.problem = str(error)
            chore.retry_at = loop_time + min(2.0 ** (chore.failures - 1), BACKOFF_SECONDS_MAX)

    async def _pause(self) -> None:
        """Until something is due or a status changed; then a moment longer, so that a burst shares one CRL."""
        now = asyncio.get_running_loop().time()
        waits = [chore.retry_at - now for chore in self._chores.values() if chore.failures]
        timeout = max(0.0, min([IDLE_SECONDS, *waits]))
        try:
            # Not wait_for: before Python 3.12 it swallows a cancellation that comes together with the event.
            async with asyncio.timeout(timeout):
                await self._wake.wait()
        except TimeoutError:
            return
        await asyncio.sleep(COALESCE_SECONDS)


_MALFORMED: Final = OcspAnswer(MALFORMED_REQUEST)
_UNAUTHORIZED: Final = OcspAnswer(UNAUTHORIZED)


def _is_half_over(crl: Crl, now: datetime) -> bool:
    return now >= crl.this_update + (crl.next_update - crl.this_update) / 2


def _status_from(event: CertificateEvent | None) -> CertStatus:
    if event is None or event.kind is CertificateEventKind.RELEASED:
        return Unrevoked.GOOD
    return Revoked(event.serial, event.at, event.reason)


def _health_of(id: AuthorityId, crl: Crl | None, responder: Responder | None, chore: _Chore | None, now: datetime) -> AuthorityHealth:
    return AuthorityHealth(
        id,
        None if crl is None else crl.number,
        None if crl is None else crl.next_update,
        crl is None or now >= crl.next_update,
        None if responder is None else responder.not_after,
        "" if chore is None else chore.problem,
    )
