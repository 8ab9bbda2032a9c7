"""/log: the Merkle log of every decision, as others check it: head, files, proofs."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from chargepki.api.shapes import IdPath, View, answer, shown
from chargepki.api.visit import Visit, Visiting
from chargepki.core.tlog.checkpoint import parse_checkpoint
from chargepki.core.tlog.policy import describe_quorum, format_policy, policy_of
from chargepki.core.tlog.proof import format_proof
from chargepki.core.tlog.tiles import PATH_CHARACTERS_MAX
from chargepki.errors import Finding
from chargepki.services.log_access import LogAccess, ProvedEntry

NOTE_TYPE = "text/plain; charset=utf-8"
TilePath = Annotated[str, Path(min_length=1, max_length=PATH_CHARACTERS_MAX, description="tile/0/000, tile/entries/000.p/17")]

router = APIRouter(prefix="/log", tags=["audit-entries"])


class WitnessView(View):
    name: str
    url: str
    size: int
    seen_at: datetime | None
    problem: str


class MonitorView(View):
    """`size` entries were held against the rules; `findings` are what did not follow, told to those who may see everybody's entries."""

    size: int
    is_clean: bool
    findings: list[dict[str, str]]


class LogStatusView(View):
    """`size` entries are under the newest checkpoint, `cosigned` of them under the newest one that witnesses signed."""

    origin: str
    size: int
    root: str
    signed_at: datetime | None
    cosigned: int
    is_compared: bool
    problem: str
    witness_problem: str
    quorum: str
    witnesses: list[WitnessView]
    monitor: MonitorView | None
    policy: str


class ProofView(View):
    """`proof` is a C2SP tlog-proof, whole in one text: `chargepki log verify FILE` needs only it and the policy."""

    entry: str
    index: int
    outcome: str
    object: str
    proof: str


class ProofsView(View):
    items: list[ProofView]


@router.get("", summary="Show the log's state: its size, who witnessed what, what the monitor found", **shown(LogStatusView))
async def show_log(visit: Visiting) -> Response:
    access, watch = _access(visit), visit.services.log_watch
    health, checkpoint = access.health(visit.caller), parse_checkpoint(access.checkpoint(visit.caller).text)
    policy = policy_of(visit.services.log.verifier_keys()) if watch is None else watch.policy()
    report = None if watch is None else watch.monitor.report
    told = () if report is None or not access.sees_everybody(visit.caller) else (*report.findings, *report.overdue)
    states = () if watch is None else watch.witnesses()
    view = LogStatusView(
        origin=checkpoint.origin,
        size=checkpoint.size,
        root=checkpoint.root.hex(),
        signed_at=health.signed_at,
        cosigned=health.cosigned,
        is_compared=health.is_compared,
        problem=health.problem,
        witness_problem=health.witness_problem,
        quorum=describe_quorum(policy),
        witnesses=[WitnessView(name=s.name, url=s.url, size=s.size, seen_at=s.seen_at, problem=s.problem) for s in states],
        monitor=None
        if report is None
        else MonitorView(size=report.size, is_clean=report.is_clean, findings=[_show(finding) for finding in told]),
        policy=format_policy(policy),
    )
    return answer(view)


@router.get("/checkpoint", summary="The newest signed checkpoint (C2SP tlog-checkpoint)", **shown(None, files=["text/plain"]))
async def get_checkpoint(
    visit: Visiting, cosigned: Annotated[bool, Query(description="the newest one that witnesses signed")] = False
) -> Response:
    return Response(_access(visit).checkpoint(visit.caller, is_cosigned=cosigned).encode(), media_type=NOTE_TYPE)


@router.get(
    "/files/{path:path}",
    summary="A tile or a bundle of entries (C2SP tlog-tiles)",
    **shown(None, files=["application/octet-stream"]),
)
async def get_log_file(path: TilePath, visit: Visiting) -> Response:
    return Response(await _access(visit).file(visit.caller, path), media_type="application/octet-stream")


@router.get("/proofs/{id}", summary="Prove that an entry, or what made a certificate, is in the log", **shown(ProofsView))
async def prove_entry(id: IdPath, visit: Visiting) -> Response:
    """`id` is an entry (`aud_...`), its index, or a certificate (`crt_...`)."""
    return answer(ProofsView(items=[_proof(proved) for proved in await _access(visit).prove(visit.caller, id)]))


def _access(visit: Visit) -> LogAccess:
    return LogAccess(visit.services.ports, visit.services.audit, visit.services.log)


def _proof(proved: ProvedEntry) -> ProofView:
    entry = proved.entry
    return ProofView(
        entry=entry.id, index=proved.proof.index, outcome=entry.outcome, object=entry.object, proof=format_proof(proved.proof).decode()
    )


def _show(finding: Finding) -> dict[str, str]:
    return {name: str(getattr(finding, name)) for name in ("code", "severity", "message", "path", "clause", "hint")}
