"""What a process and its children have used so far, from Linux's /proc."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from chargepki.errors import Broken

_PROC: Final = Path("/proc")
_TICKS_PER_SECOND: Final = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class ProcessUse:
    """`cpu_seconds`: user and system time, of children that have ended too. Memory is resident: now, and its peak so far."""

    cpu_seconds: float
    rss_mb: float
    peak_rss_mb: float


def read_use(pid: int) -> ProcessUse:
    """The use of the process tree below `pid`. `Broken` where there is no /proc, or no such process."""
    tree = _tree(pid)
    if pid not in tree:
        raise Broken(f"there is no process {pid} under {_PROC}", hint="CPU and memory are measured on Linux only")
    statuses = [(_PROC / str(member) / "status").read_text() for member in tree]
    ticks = sum(tree.values())
    return ProcessUse(ticks / _TICKS_PER_SECOND, _sum_mb(statuses, "VmRSS:"), _sum_mb(statuses, "VmHWM:"))


def _tree(root: int) -> dict[int, int]:
    """CPU ticks by process id, of `root` and all its living descendants."""
    parents: dict[int, int] = {}
    ticks: dict[int, int] = {}
    for path in _PROC.glob("[0-9]*/stat"):
        try:
            content = path.read_text()
        except (FileNotFoundError, ProcessLookupError):  # it ended while we looked
            continue
        # proc(5): the second field is the command in parentheses, which may hold anything
        fields = content.rpartition(")")[2].split()
        pid = int(path.parent.name)
        parents[pid], ticks[pid] = int(fields[1]), sum(int(field) for field in fields[11:15])  # utime, stime, cutime, cstime
    members = {root} & parents.keys()
    while more := {pid for pid, parent in parents.items() if parent in members} - members:
        members |= more
    return {pid: ticks[pid] for pid in members}


def _sum_mb(statuses: list[str], label: str) -> float:
    lines = [line for status in statuses for line in status.splitlines() if line.startswith(label)]
    return sum(int(line.split()[1]) for line in lines) / 1024  # proc(5): in kB
