"""A witness and its client over HTTP: what is cosigned, what is refused, and what is on disk before a signature leaves."""

import asyncio
import stat
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from chargepki.adapters.witness import directory as directory_module
from chargepki.adapters.witness.client import Witnesses, WitnessPeer
from chargepki.adapters.witness.directory import WitnessDirectory
from chargepki.adapters.witness.server import WitnessServer
from chargepki.core.tlog.merkle import prove_consistency
from chargepki.core.tlog.notes import Note, parse_note, parse_signatures, verify_note
from chargepki.core.tlog.witness import REQUEST_OCTETS_MAX, SIZE_TYPE, Seen, format_add_checkpoint
from chargepki.errors import Broken, Refused
from chargepki.testing.clock import FixedClock
from tests.unit.core.tlog.small_log import LOG_ED25519, LOG_MLDSA44, ORIGIN, WITNESSES, SmallLog, entries_of, sign

NAME = "witness.hub.example"


@pytest.fixture
def home(tmp_path: Path) -> WitnessDirectory:
    home = WitnessDirectory(tmp_path / "w")
    home.make_key(NAME)
    home.add_log(str(LOG_ED25519.verifier))
    return home


def http_of(home: WitnessDirectory) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(WitnessServer(home, FixedClock()).app), base_url="http://w")


async def add(http: httpx.AsyncClient, log: SmallLog, old: int, note: Note | None = None) -> httpx.Response:
    proof = prove_consistency(old, log.edge.size, log.node) if old <= log.edge.size else ()
    return await http.post("/add-checkpoint", content=format_add_checkpoint(old, proof, note or head_of(log)))


def head_of(log: SmallLog) -> Note:
    return sign(log.checkpoint, LOG_ED25519)


def forked(size: int) -> SmallLog:
    """A log of the same size with another first entry."""
    log = SmallLog()
    log.append([b"{}", *entries_of(size)[1:]])
    return log


def prover(log: SmallLog) -> Callable[[int], "asyncio.Future[tuple[bytes, ...]]"]:
    async def prove(old: int) -> tuple[bytes, ...]:
        return prove_consistency(old, log.edge.size, log.node)

    return prove  # type: ignore[return-value]


@pytest.mark.clause("C2SP tlog-witness", "C2SP tlog-cosignature")
async def test_a_witness_cosigns_what_continues_what_it_saw(home: WitnessDirectory) -> None:
    log = SmallLog.of(5)
    async with http_of(home) as http:
        first = await add(http, log, 0)
        log.append(entries_of(300)[5:])
        second = await add(http, log, 5)
    assert (first.status_code, second.status_code) == (200, 200)
    (signed,) = verify_note(Note(log.checkpoint.text, parse_signatures(second.content)), [home.key().verifier]).signed
    assert signed.timestamp == int(FixedClock().now().timestamp())
    assert home.seen(ORIGIN) == Seen(300, log.checkpoint.root)


@pytest.mark.clause("C2SP tlog-witness")
async def test_a_log_that_was_rolled_back_is_refused_with_the_size_that_was_seen(home: WitnessDirectory) -> None:
    async with http_of(home) as http:
        await add(http, SmallLog.of(20), 0)
        answer = await add(http, SmallLog.of(10), 0)
        smaller = await add(http, SmallLog.of(10), 20)
    assert (answer.status_code, answer.headers["content-type"], answer.content) == (409, SIZE_TYPE, b"20\n")
    assert smaller.status_code == 400
    assert home.seen(ORIGIN) == Seen(20, SmallLog.of(20).checkpoint.root)


@pytest.mark.clause("C2SP tlog-witness")
async def test_a_forked_log_is_refused_and_both_heads_are_kept_as_evidence(home: WitnessDirectory, tmp_path: Path) -> None:
    async with http_of(home) as http:
        await add(http, SmallLog.of(20), 0)
        fork = forked(20)
        same_size = await add(http, fork, 20)
        fork.append([b"more"])
        longer = await add(http, fork, 20)
    assert (same_size.status_code, longer.status_code) == (409, 422)
    (evidence,) = (tmp_path / "w" / "evidence").iterdir()
    heads = evidence.read_bytes().split(b"\n--\n")
    notes = [parse_note(head) for head in heads]
    assert len({note.text for note in notes}) == 2
    assert all(verify_note(note, [LOG_ED25519.verifier]).signed for note in notes)


@pytest.mark.clause("C2SP tlog-witness")
async def test_strangers_foreign_logs_and_nonsense_get_the_status_of_the_specification(home: WitnessDirectory) -> None:
    log = SmallLog.of(9)
    unsigned, unknown = sign(log.checkpoint, WITNESSES[0]), Note(b"other.example\n9\n" + log.checkpoint.text.split(b"\n")[2] + b"\n", ())
    async with http_of(home) as http:
        assert (await add(http, log, 0, unsigned)).status_code == 403
        assert (await add(http, log, 0, Note(unknown.text, sign(log.checkpoint, LOG_ED25519).signatures))).status_code == 404
        bad = format_add_checkpoint(0, (), head_of(log))
        assert (await http.post("/add-checkpoint", content=bad.replace(b"old 0\n", b"old 0\n" + b"A" * 43 + b"=\n"))).status_code == 422
        assert (await http.post("/add-checkpoint", content=b"hello")).status_code == 400
        assert (await http.post("/add-checkpoint", content=b"x" * (REQUEST_OCTETS_MAX + 1))).status_code == 413
        assert (await http.get("/add-checkpoint")).status_code == 405
        assert str(home.key().verifier) in (await http.get("/")).text
    assert home.seen(ORIGIN) is None


async def test_nothing_is_signed_when_the_memory_cannot_be_written(home: WitnessDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, content: bytes) -> None:
        raise OSError(28, "No space left on device")

    async with http_of(home) as http:
        monkeypatch.setattr(directory_module, "write_durably", full)
        answer = await add(http, SmallLog.of(5), 0)
    assert answer.status_code == 503
    assert b"\xe2\x80\x94" not in answer.content


async def test_what_was_seen_is_on_disk_before_the_signature_leaves(home: WitnessDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    write, cosign = directory_module.write_durably, directory_module.WitnessKey.cosign
    monkeypatch.setattr(directory_module, "write_durably", lambda path, content: (order.append("durable"), write(path, content))[1])
    monkeypatch.setattr(directory_module.WitnessKey, "cosign", lambda *given: (order.append("signed"), cosign(*given))[1])
    async with http_of(home) as http:
        await add(http, SmallLog.of(5), 0)
    assert order == ["durable", "signed"]


async def test_a_witness_goes_on_from_what_it_saw_after_a_restart(home: WitnessDirectory) -> None:
    async with http_of(home) as http:
        await add(http, SmallLog.of(20), 0)
    async with http_of(WitnessDirectory(home._directory)) as http:
        assert (await add(http, forked(20), 20)).status_code == 409
        assert (await add(http, SmallLog.of(25), 20)).status_code == 200


async def test_of_two_submissions_at_once_only_one_history_is_cosigned(home: WitnessDirectory) -> None:
    async with http_of(home) as http:
        answers = await asyncio.gather(*(add(http, log, 0) for log in (SmallLog.of(20), forked(20), SmallLog.of(20), forked(20))))
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409]


def test_a_damaged_memory_stops_the_witness_instead_of_making_it_forget(home: WitnessDirectory) -> None:
    seen = home._seen_file(ORIGIN)
    home.replace_seen(ORIGIN, None, head_of(SmallLog.of(5)))
    seen.write_bytes(b"")
    with pytest.raises(Broken, match="cannot be read") as caught:
        WitnessServer(home, FixedClock())
    assert "do not delete it" in caught.value.hint


def test_the_key_is_private_or_the_witness_does_not_start(home: WitnessDirectory) -> None:
    file = home._directory / "witness.key"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    file.chmod(0o640)
    with pytest.raises(Broken, match="can be read or replaced by others"):
        home.key()
    file.unlink()
    with pytest.raises(Refused, match="no witness key"):
        home.key()
    file.symlink_to("/etc/hostname")
    with pytest.raises(Broken):
        home.key()


def test_a_key_is_made_once_and_a_log_is_trusted_by_its_own_key_only(home: WitnessDirectory) -> None:
    with pytest.raises(Refused, match="exists"):
        home.make_key("another")
    with pytest.raises(Refused, match="key of a witness"):
        home.add_log(str(WITNESSES[0].verifier))
    home.add_log(str(LOG_MLDSA44.verifier))
    home.add_log(str(LOG_MLDSA44.verifier))
    assert home.logs() == {ORIGIN: [LOG_ED25519.verifier, LOG_MLDSA44.verifier]}


def test_two_witnesses_never_share_one_memory(home: WitnessDirectory) -> None:
    with home.held(), pytest.raises(Broken, match="another witness"), home.held():
        pass


# -------------------------------------------------------------------------------------------------------------------- client


def witnesses(home: WitnessDirectory, transport: httpx.AsyncBaseTransport | None = None) -> Witnesses:
    transport = transport or httpx.ASGITransport(WitnessServer(home, FixedClock()).app)
    return Witnesses([WitnessPeer("hub", "http://w", home.key().verifier)], FixedClock(), transport=transport)


async def test_the_client_finds_its_way_to_the_size_a_witness_has(home: WitnessDirectory) -> None:
    async with http_of(home) as http:
        await add(http, SmallLog.of(7), 0)
    log, asked = SmallLog.of(300), witnesses(home)
    (line,) = await asked.ask(head_of(log), prover(log))
    assert verify_note(Note(log.checkpoint.text, (line,)), [home.key().verifier]).signed
    (state,) = asked.states()
    assert (state.size, state.problem) == (300, "")
    assert len(await asked.ask(head_of(log), prover(log))) == 1  # again, when nothing has grown
    await asked.close()


@pytest.mark.parametrize(("log", "said"), [(SmallLog.of(10), "rolled back"), (forked(20), "forked")], ids=["rolled back", "forked"])
async def test_the_client_says_so_when_a_witness_saw_another_history(home: WitnessDirectory, log: SmallLog, said: str) -> None:
    async with http_of(home) as http:
        await add(http, SmallLog.of(20), 0)
    asked = witnesses(home)
    assert await asked.ask(head_of(log), prover(log)) == ()
    assert said in asked.states()[0].problem
    await asked.close()


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (200, b"hello", "cannot be read"),
        (200, str(WITNESSES[0].line(SmallLog.of(5).checkpoint.text)).encode(), "not signed with its key"),
        (200, b"x" * 20_000, "more than"),
        (409, b"many\n", "refused: 409"),
        (302, b"", "refused: 302"),
        (503, b"later\x1b[31m", "refused: 503 later?"),
    ],
)
async def test_no_answer_of_a_witness_can_do_harm(home: WitnessDirectory, status: int, body: bytes, said: str) -> None:
    transport = httpx.MockTransport(lambda request: httpx.Response(status, content=body, headers={"Location": "http://evil"}))
    asked, log = witnesses(home, transport), SmallLog.of(5)
    assert await asked.ask(head_of(log), prover(log)) == ()
    assert said in asked.states()[0].problem
    await asked.close()


async def test_a_witness_that_never_agrees_with_itself_is_given_up(home: WitnessDirectory) -> None:
    sizes = iter(range(1, 100))
    transport = httpx.MockTransport(lambda _: httpx.Response(409, content=b"%d\n" % next(sizes), headers={"Content-Type": SIZE_TYPE}))
    asked, log = witnesses(home, transport), SmallLog.of(50)
    assert await asked.ask(head_of(log), prover(log)) == ()
    assert "changed under every attempt" in asked.states()[0].problem
    await asked.close()


async def test_one_dead_witness_is_in_nobodys_way(home: WitnessDirectory) -> None:
    live = httpx.ASGITransport(WitnessServer(home, FixedClock()).app)

    class Both(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            if request.url.host == "dead":
                raise httpx.ConnectError("nobody is there")
            return await live.handle_async_request(request)

    peers = [WitnessPeer("dead", "http://dead", WITNESSES[0].verifier), WitnessPeer("hub", "http://w", home.key().verifier)]
    asked, log = Witnesses(peers, FixedClock(), transport=Both()), SmallLog.of(5)
    assert len(await asked.ask(head_of(log), prover(log))) == 1
    assert [state.problem for state in asked.states()] == ["it cannot be reached: nobody is there", ""]
    await asked.close()
