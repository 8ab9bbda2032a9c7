"""`openssl speed` on this machine: what the same signatures cost without a platform around them."""

import asyncio
import shutil
from dataclasses import dataclass
from typing import Final

from chargepki.errors import Broken

_COMMAND: Final = ("speed", "-mr", "-seconds", "1", "ecdsap256")
_ROW: Final = "+F4:"  # index, bits, signatures per second, verifications per second


@dataclass(frozen=True, slots=True)
class Yardstick:
    """ECDSA P-256 operations per CPU-second on one core."""

    signatures: float
    verifications: float


async def read_yardstick() -> Yardstick | None:
    """Takes two seconds; None where there is no openssl."""
    program = shutil.which("openssl")
    if program is None:
        return None
    process = await asyncio.create_subprocess_exec(program, *_COMMAND, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL)
    output, _ = await process.communicate()
    row = next((line for line in output.decode("ascii", "replace").splitlines() if line.startswith(_ROW)), "")
    fields = row.split(":")
    if len(fields) < 5:
        raise Broken("openssl speed says nothing about ecdsap256", hint="openssl speed -seconds 1 ecdsap256 shows what it does")
    return Yardstick(float(fields[3]), float(fields[4]))
