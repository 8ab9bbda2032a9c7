"""OCSP in memory: signed answers by the request's octets in front, by certificate behind, and what is known of a certificate.

One process hears of every change it commits itself; what another node commits is seen when the kept thing ages out.
"""

from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from chargepki.core.ocsp import CertStatus
from chargepki.core.records import AuthorityId

ANSWERS_MAX: Final = 100_000  # certificates with a kept answer: about 1 KiB each
REQUESTS_MAX: Final = 100_000  # request spellings that lead to one: about 200 octets each

REQUEST_KEPT_OCTETS_MAX: Final = 256  # a request for one certificate has 70 to 200; who pads it fills nobody's memory

Subject = tuple[AuthorityId, int]


@dataclass(frozen=True, slots=True)
class OcspAnswer:
    """An OCSPResponse as it goes out.

    `is_cacheable`: the same request gets the same octets until `next_update`, so HTTP may keep them for `max_age_seconds`.
    `etag` is a strong validator without its quotes. The times are None for an error.
    """

    der: bytes
    is_cacheable: bool = False
    max_age_seconds: int = 0
    etag: str = ""
    this_update: datetime | None = None
    next_update: datetime | None = None


@dataclass(slots=True)
class _Kept:
    answer: OcspAnswer
    fresh_until: datetime
    is_live: bool = True


@dataclass(slots=True)
class AnswerCache:
    """Least recently used goes first. An answer that `drop` named is never handed out again, nor one whose lookup began before."""

    answers_max: int = ANSWERS_MAX
    requests_max: int = REQUESTS_MAX
    _by_request: OrderedDict[bytes, _Kept] = field(default_factory=OrderedDict)
    _by_subject: OrderedDict[Subject, dict[bytes, _Kept]] = field(default_factory=OrderedDict)
    _statuses: OrderedDict[Subject, tuple[CertStatus, datetime]] = field(default_factory=OrderedDict)
    _generation: int = 0

    def __len__(self) -> int:
        return len(self._by_subject)

    def find(self, request: bytes, now: datetime) -> OcspAnswer | None:
        """The answer to exactly these octets."""
        kept = self._by_request.get(request)
        if kept is None:
            return None
        if not kept.is_live or now >= kept.fresh_until:
            del self._by_request[request]
            return None
        self._by_request.move_to_end(request)
        return kept.answer

    def find_spelling(self, subject: Subject, cert_id: bytes, request: bytes, now: datetime) -> OcspAnswer | None:
        """The answer for this CertID, whose request was spelt differently before; `request` finds it from now on."""
        kept = self._by_subject.get(subject, {}).get(cert_id)
        if kept is None or now >= kept.fresh_until:
            return None
        self._by_subject.move_to_end(subject)
        self._remember(request, kept)
        return kept.answer

    def find_status(self, subject: Subject, now: datetime) -> CertStatus | None:
        """What is known of a certificate, for answers that cannot be kept themselves (a nonce, several items)."""
        status, fresh_until = self._statuses.get(subject, (None, now))
        if now >= fresh_until:
            return None
        self._statuses.move_to_end(subject)
        return status

    def keep_status(self, ticket: int, subject: Subject, status: CertStatus, fresh_until: datetime) -> None:
        """Like `keep`, for a status."""
        if ticket != self._generation:
            return
        self._statuses[subject] = (status, fresh_until)
        self._statuses.move_to_end(subject)
        while len(self._statuses) > self.answers_max:
            self._statuses.popitem(last=False)

    def ticket(self) -> int:
        """Taken before a status is looked up; `keep` wants it back."""
        return self._generation

    def keep(self, ticket: int, subject: Subject, cert_id: bytes, request: bytes, answer: OcspAnswer, fresh_until: datetime) -> None:
        """Keeps a signed answer, unless a status changed since `ticket`: the lookup may have seen the time before."""
        if ticket != self._generation:
            return
        kept = self._by_subject.setdefault(subject, {})[cert_id] = _Kept(answer, fresh_until)
        self._by_subject.move_to_end(subject)
        self._remember(request, kept)
        while len(self._by_subject) > self.answers_max:
            _, evicted = self._by_subject.popitem(last=False)
            _end(evicted)

    def drop(self, subject: Subject) -> None:
        """The status of this certificate changed."""
        self._generation += 1
        self._statuses.pop(subject, None)
        _end(self._by_subject.pop(subject, {}))

    def _remember(self, request: bytes, kept: _Kept) -> None:
        if len(request) > REQUEST_KEPT_OCTETS_MAX:
            return
        self._by_request[request] = kept
        while len(self._by_request) > self.requests_max:
            self._by_request.popitem(last=False)


def _end(spellings: dict[bytes, _Kept]) -> None:
    for kept in spellings.values():
        kept.is_live = False
