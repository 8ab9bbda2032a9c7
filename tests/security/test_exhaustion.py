"""What strangers and stations may make us hold, and what is believed of what we hold."""

import asyncio
from pathlib import Path

import pytest

from chargepki.adapters.store import open_store
from chargepki.core import der
from chargepki.core.records import AuthorityId, AuthorityState
from chargepki.core.revocation import RevocationReason
from chargepki.errors import Broken, Conflict, StoreUnavailable
from chargepki.ports import Change
from chargepki.services.answer_cache import REQUEST_KEPT_OCTETS_MAX
from chargepki.testing.workbench import ADMIN, Workbench
from tests.unit.services.status_bench import ask_status, issue, request_for


def padded(request: bytes, filler: bytes) -> bytes:
    """The same question with a requestorName that nobody reads (RFC 6960 4.1.1)."""
    (tbs,) = der.parse_element(request).children()
    name = der.explicit(1, der.tlv(0x82, filler))
    return der.sequence(der.sequence(name, *(child.raw for child in tbs.children())))


async def test_padded_ocsp_requests_fill_nobodys_memory(bench: Workbench) -> None:
    certificate = await issue(bench)
    request, status = await request_for(bench, certificate), bench.services.status
    answers = {(await status.answer(padded(request, b"%03d" % n + b"x" * 3500))).der for n in range(200)}
    assert len(answers) == 1  # the answer itself is kept, once
    kept = status._cache._by_request
    assert sum(map(len, kept)) <= len(kept) * REQUEST_KEPT_OCTETS_MAX
    assert len(kept) <= 1


async def test_an_authority_that_is_revoked_while_it_is_being_read_does_not_stay_active(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A load that began before the revocation and ended after it must not be believed for the next half minute."""
    authorities, store = bench.services.authorities, bench.ports.store
    sub = (await authorities.view(AuthorityId("operator-sub"))).authority
    read, has_read, may_end = store.list_authorities, asyncio.Event(), asyncio.Event()

    async def slow_list() -> object:
        found = await read()
        has_read.set()
        await may_end.wait()
        return found

    authorities._loaded_at = None
    monkeypatch.setattr(store, "list_authorities", slow_list)
    loading = asyncio.create_task(authorities.views())
    await has_read.wait()
    monkeypatch.setattr(store, "list_authorities", read)
    await bench.services.revocation.revoke(ADMIN, sub.certificate, reason=RevocationReason.CA_COMPROMISE)
    may_end.set()
    await loading
    states = {view.authority.id: view.authority.state for view in await authorities.views()}
    assert states["operator-sub"] is AuthorityState.RETIRED


async def test_a_revocation_whose_answer_was_lost_is_told_when_it_is_asked_for_again(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, store = await issue(bench), bench.ports.store
    assert await ask_status(bench, certificate) == "GOOD"
    commit = store.commit

    async def commit_and_break(*changes: Change) -> None:
        await commit(*changes)
        raise StoreUnavailable("the connection was lost behind the commit")

    monkeypatch.setattr(store, "commit", commit_and_break)
    with pytest.raises(StoreUnavailable):
        await bench.services.revocation.revoke(ADMIN, certificate.id, reason=RevocationReason.KEY_COMPROMISE)
    monkeypatch.setattr(store, "commit", commit)
    with pytest.raises(Conflict):
        await bench.services.revocation.revoke(ADMIN, certificate.id, reason=RevocationReason.KEY_COMPROMISE)
    assert await ask_status(bench, certificate) == "REVOKED"


async def test_two_processes_do_not_share_one_database_file(bench: Workbench, tmp_path: Path) -> None:
    with pytest.raises(Broken, match="in use"):
        open_store(f"sqlite:///{tmp_path / 'chargepki.db'}")
    assert await bench.ports.store.get_authority(AuthorityId("operator-sub"))
