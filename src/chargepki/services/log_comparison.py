"""Holds the database against the log: the same entries, and no certificate that the log does not account for."""

import hashlib
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from typing import Final

from cryptography import x509

from chargepki.core.leaves import find_id, parse_leaf
from chargepki.core.records import Certificate, CertificateQuery, Outcome
from chargepki.core.tlog.audit import CopyReader
from chargepki.core.tlog.excerpt import entries_between
from chargepki.errors import Finding, Refused
from chargepki.ports import PAGE_SIZE_MAX, Store

FINDINGS_MAX: Final = 200
READ_TOGETHER: Final = 256
_HINT: Final = "the database was changed; the log has what was so"


@dataclass(slots=True)
class _Accounts:
    """What the log says was signed: by the hash of the certificate, the intent that announced it, and what that named."""

    done: dict[str, str] = field(default_factory=dict)
    announced: dict[str, tuple[str, str]] = field(default_factory=dict)  # intent entry -> TBS hash, serial number

    def read(self, octets: bytes) -> None:
        try:
            leaf = parse_leaf(octets)
        except Refused:
            return  # the monitor says so
        if leaf.outcome == Outcome.INTENT:
            self.announced[leaf.id] = (str(leaf.effect.get("tbs_sha256")), str(leaf.effect.get("serial")))
        elif leaf.outcome == Outcome.DONE and leaf.after_sha256:
            self.done[leaf.after_sha256] = leaf.of


async def compare_with_store(
    store: Store, read: CopyReader, size: int, progress: Callable[[int, int], None] | None = None
) -> tuple[Finding, ...]:
    """What differs. Entries that the database has beyond `size` are on their way into the log and no finding."""
    found: list[Finding] = []
    count = await store.count_leaves()
    if count < size:
        message = f"the database has {count} entries, the log {size}: it was rolled back"
        found.append(Finding("log.store.shorter", message, hint="restore the database from a backup that is as new as the log"))
    accounts, done, logged = _Accounts(), 0, entries_between(read, 0, size, size) if size else iter(())
    while entries := list(islice(logged, READ_TOGETHER)):
        first, done = done, done + len(entries)
        for entry in entries:
            accounts.read(entry)
        if first < count:
            found += _differences(
                first, entries[: count - first], await store.list_leaves(first=first, limit=min(len(entries), count - first))
            )
        if progress is not None:
            progress(done, size)
    if count >= size:
        await _read_rest(store, accounts, size, count)
        found += [finding async for finding in _find_unlogged(store, accounts)]
    return tuple(found[:FINDINGS_MAX])


async def _read_rest(store: Store, accounts: _Accounts, size: int, count: int) -> None:
    """What the log takes in next: certificates of this moment are accounted for by these."""
    while size < count and (leaves := await store.list_leaves(first=size, limit=READ_TOGETHER)):
        for leaf in leaves:
            accounts.read(leaf)
        size += len(leaves)


async def _find_unlogged(store: Store, accounts: _Accounts) -> AsyncIterator[Finding]:
    cursor, now = "", datetime.now(UTC)
    while True:
        page = await store.list_certificates(CertificateQuery(), now=now, cursor=cursor, limit=PAGE_SIZE_MAX)
        for certificate in page.items:
            if (finding := _find_fault(certificate, accounts)) is not None:
                yield finding
        if not (cursor := page.next):
            return


def _find_fault(certificate: Certificate, accounts: _Accounts) -> Finding | None:
    digest = hashlib.sha256(certificate.der).hexdigest()
    if digest not in accounts.done:
        message = f"the database has the certificate {certificate.id} ({certificate.subject}); the log does not know it"
        return Finding("log.certificate.unlogged", message, path=certificate.id, hint="revoke it, and find out who wrote it there")
    announced = accounts.announced.get(accounts.done[digest])
    parsed = x509.load_der_x509_certificate(certificate.der)
    tbs = hashlib.sha256(parsed.tbs_certificate_bytes).hexdigest()
    if announced is not None and announced != (tbs, f"{parsed.serial_number:x}"):
        message = f"the certificate {certificate.id} is not the one that its intent {accounts.done[digest]} announced"
        return Finding("log.certificate.other", message, path=certificate.id, hint="revoke it; the vault signed something else")
    return None


def _differences(first: int, logged: Sequence[bytes], stored: Sequence[bytes]) -> Iterator[Finding]:
    """Entry by entry, up to a row that is gone: behind it nothing stands in its place."""
    for place, entry in enumerate(logged):
        is_gone = place >= len(stored) or (stored[place] != entry and [stored[place]] == list(logged[place + 1 : place + 2]))
        if is_gone:
            message = f"entry {_name(first + place, entry)} is not in the database"
            yield Finding("log.store.missing", message, path=f"entries#{first + place}", hint=_HINT)
            return
        if entry != stored[place]:
            message = f"entry {_name(first + place, entry)} in the database is not the one that was logged"
            yield Finding("log.store.changed", message, path=f"entries#{first + place}", hint=_HINT)


def _name(index: int, entry: bytes) -> str:
    return f"{index} ({id})" if (id := find_id(entry)) else str(index)
