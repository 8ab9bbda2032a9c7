"""Prints signatures per CPU-second of every key vault beside the raw rate of the same key: one row per vault and kind of key.

    .venv/bin/python benchmarks/vaults.py [--vault file --vault pkcs11 ...] [--json]

The raw rate is the bare call into whatever holds the key (OpenSSL, C_Sign), in a loop without a thread, an order or an event loop. The
CPU-seconds count every process that does the work. A vault that is not installed here is left out and said so.
"""

import argparse
import asyncio
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import uvloop
from rich.console import Console
from rich.table import Table

from chargepki.adapters.keys.file import FileVault
from chargepki.adapters.keys.pkcs11.mechanisms import CALLS, signing_input
from chargepki.adapters.keys.pkcs11.vault import Pkcs11Vault
from chargepki.core.algorithms import DEFAULT_SIGNATURE, KeySpec, generate_private_key, sign
from chargepki.ports import KeyHandle, KeyVault, SigningOrder, SigningPurpose

SOFTHSM = Path("/usr/lib/softhsm/libsofthsm2.so")
PIN = "benchmark-1234"
DATA = b"\x30\x82\x02\xc4" + bytes(708)  # as long as the TBSCertificate of a station
SECONDS = 1.0  # per measurement
AT_ONCE = 32
KINDS = (KeySpec.P256, KeySpec.P384, KeySpec.ED25519, KeySpec.RSA3072)


class NotHereError(Exception):
    """The vault cannot be measured on this machine."""


@dataclass(frozen=True)
class Stage:
    """A vault that is ready. `raw` gives the bare call for a key, `cpu_seconds` what all processes that do the work have used so far."""

    vault: KeyVault
    raw: Callable[[KeyHandle], Callable[[], object]]
    order: Callable[[KeyHandle], SigningOrder]
    cpu_seconds: Callable[[], float]


@dataclass(frozen=True)
class Row:
    vault: str
    kind: str
    raw_per_cpu_second: float
    one_by_one: float  # signatures per CPU-second, one order after the other
    at_once: float  # the same with 32 orders under way
    at_once_per_second: float


def plain_order(handle: KeyHandle) -> SigningOrder:
    return SigningOrder(handle.ref, DEFAULT_SIGNATURE[handle.spec], DATA, SigningPurpose.CRL, "benchmark")


def own_cpu_seconds() -> float:
    use = resource.getrusage(resource.RUSAGE_SELF)
    return use.ru_utime + use.ru_stime


def openssl_raw(handle: KeyHandle) -> Callable[[], object]:
    key, algorithm = generate_private_key(handle.spec), DEFAULT_SIGNATURE[handle.spec]
    return lambda: sign(key, algorithm, DATA)


@asynccontextmanager
async def file_stage() -> AsyncIterator[Stage]:
    with tempfile.TemporaryDirectory() as directory:
        yield Stage(FileVault.create(Path(directory), b"a passphrase for the benchmark"), openssl_raw, plain_order, own_cpu_seconds)


@asynccontextmanager
async def pkcs11_stage() -> AsyncIterator[Stage]:
    with tempfile.TemporaryDirectory() as directory:
        vault = await asyncio.to_thread(open_softhsm, Path(directory))
        try:
            yield Stage(vault, lambda handle: pkcs11_raw(vault, handle), plain_order, own_cpu_seconds)
        finally:
            vault.close()


def open_softhsm(directory: Path) -> Pkcs11Vault:
    util = shutil.which("softhsm2-util")
    if util is None or not SOFTHSM.exists():
        raise NotHereError("SoftHSM is not installed: tools/test-deps")
    configuration = directory / "softhsm2.conf"
    configuration.write_text(f"directories.tokendir = {directory}\nobjectstore.backend = file\nlog.level = ERROR\n")
    os.environ["SOFTHSM2_CONF"] = str(configuration)
    command = [util, "--init-token", "--free", "--label", "bench", "--so-pin", PIN, "--pin", PIN]
    subprocess.run(command, check=True, capture_output=True)
    return Pkcs11Vault.open(SOFTHSM, "bench", PIN.encode())


def pkcs11_raw(vault: Pkcs11Vault, handle: KeyHandle) -> Callable[[], object]:
    """C_SignInit and C_Sign on one session."""
    algorithm, token = DEFAULT_SIGNATURE[handle.spec], vault._token  # noqa: SLF001  # below everything that the vault adds
    key, session, call = token.keys[handle.ref].object, token._idle[0], CALLS[algorithm][-1]  # noqa: SLF001
    return lambda: session.sign(call, key, signing_input(algorithm, DATA))


# Another vault is measured by another line here.
STAGES: Mapping[str, Callable[[], AbstractAsyncContextManager[Stage]]] = {"file": file_stage, "pkcs11": pkcs11_stage}


async def measure(name: str, stage: Stage, kind: KeySpec) -> Row:
    handle = await stage.vault.generate(kind, label="benchmark")
    order = stage.order(handle)
    raw = measure_raw(stage.raw(handle))
    one_by_one, _ = await measure_vault(stage, order, 1)
    at_once, per_second = await measure_vault(stage, order, AT_ONCE)
    return Row(name, kind, round(raw), round(one_by_one), round(at_once), round(per_second))


def measure_raw(call: Callable[[], object]) -> float:
    call()
    count, began = 0, own_cpu_seconds()
    while (used := own_cpu_seconds() - began) < SECONDS:
        for _ in range(10):
            call()
        count += 10
    return count / used


async def measure_vault(stage: Stage, order: SigningOrder, at_once: int) -> tuple[float, float]:
    """Signatures per CPU-second and per second."""
    await stage.vault.sign(order)
    loop = asyncio.get_running_loop()
    count, used, began = 0, stage.cpu_seconds(), loop.time()

    async def go_on() -> None:
        nonlocal count
        while loop.time() < began + SECONDS:
            await stage.vault.sign(order)
            count += 1

    await asyncio.gather(*(go_on() for _ in range(at_once)))
    return count / (stage.cpu_seconds() - used), count / (loop.time() - began)


async def measure_all(names: list[str]) -> list[Row]:
    rows: list[Row] = []
    for name in names:
        try:
            async with STAGES[name]() as stage:
                rows += [await measure(name, stage, kind) for kind in KINDS]
        except NotHereError as reason:
            print(f"{name} is left out: {reason}", file=sys.stderr)
    return rows


def show(rows: list[Row]) -> None:
    table = Table(title=f"Signatures on {os.cpu_count()} CPUs", title_justify="left")
    columns = ("vault", "kind", "raw / CPU-s", "one by one / CPU-s", f"{AT_ONCE} at once / CPU-s", "of raw", "per s")
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number < 2 else "right")
    for row in rows:
        rates = (f"{rate:,.0f}" for rate in (row.raw_per_cpu_second, row.one_by_one, row.at_once))
        table.add_row(row.vault, row.kind, *rates, f"{row.at_once / row.raw_per_cpu_second:.0%}", f"{row.at_once_per_second:,.0f}")
    Console(width=None if sys.stdout.isatty() else 140).print(table)


def main() -> int:
    parser = argparse.ArgumentParser(prog=Path(__file__).name, description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--vault", action="append", choices=sorted(STAGES), help="only this one; may be said again")
    parser.add_argument("--json", action="store_true", help="one JSON object per line instead of the table")
    options = parser.parse_args()
    rows = uvloop.run(measure_all(options.vault or list(STAGES)))
    if options.json:
        for row in rows:
            print(json.dumps(asdict(row)))
    else:
        show(rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
