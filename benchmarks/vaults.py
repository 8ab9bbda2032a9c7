"""Prints signatures per CPU-second of every key vault beside the raw rate of the same key: one row per vault and kind of key.

    .venv/bin/python benchmarks/vaults.py [--vault file --vault pkcs11 ...] [--json]

The raw rate is the bare call into whatever holds the key (OpenSSL, C_Sign), in a loop without a thread, an order or an event loop. The
CPU-seconds count every process that does the work. A vault that is not installed here is left out and said so.
"""

import argparse
import asyncio
import hashlib
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

from chargepki.adapters.clock import SystemClock
from chargepki.adapters.keys.aws_kms import KINDS as AWS_KINDS
from chargepki.adapters.keys.aws_kms import AwsKmsVault
from chargepki.adapters.keys.file import FileVault
from chargepki.adapters.keys.pkcs11.mechanisms import CALLS, signing_input
from chargepki.adapters.keys.pkcs11.vault import Pkcs11Vault
from chargepki.adapters.keys.signer.client import SignerVault
from chargepki.core import canonical_json
from chargepki.core.access.permissions import Permission
from chargepki.core.algorithms import DEFAULT_SIGNATURE, KeySpec, generate_private_key, sign, spki_of
from chargepki.core.issue import SERIAL_OCTETS, Issuer, compile_template, key_identifier, plan_certificate, serial_from
from chargepki.core.names import AltNames, Name
from chargepki.core.profiles.registry import Profiles
from chargepki.core.records import AuthorityId, ProfileId
from chargepki.errors import VaultUnavailable
from chargepki.ports import KeyHandle, KeyVault, SigningOrder, SigningPlan, SigningPurpose
from chargepki.testing.process_use import read_use

AUTHORITY = "benchmark"
SOFTHSM = Path("/usr/lib/softhsm/libsofthsm2.so")
PIN = "benchmark-1234"
DATA = b"\x30\x82\x02\xc4" + bytes(708)  # as long as the TBSCertificate of a station
SECONDS = 1.0  # per measurement
START_SECONDS_MAX = 30.0  # of a signer process
REGION = "eu-central-1"
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
    authority: str = ""  # whose key it is, where the vault wants to know
    kinds: tuple[KeySpec, ...] = KINDS


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


@asynccontextmanager
async def signer_stage() -> AsyncIterator[Stage]:
    """A signer process over sealed files, which looks into every order and lists it durably."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        command = (sys.executable, "-m", "chargepki", "signer", "serve", "--data", name)
        process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            async with asyncio.timeout(START_SECONDS_MAX):
                while not (found := list(directory.rglob("*.sock"))):  # noqa: ASYNC240  # a few names, in a program of its own
                    if process.returncode is not None:
                        raise NotHereError("the signer process did not start")
                    await asyncio.sleep(0.05)

            def used() -> float:
                return own_cpu_seconds() + read_use(process.pid).cpu_seconds

            yield Stage(SignerVault(found[0]), openssl_raw, certificate_order, used, AUTHORITY)
        finally:
            if process.returncode is None:
                process.terminate()
                await process.wait()


def certificate_order(handle: KeyHandle) -> SigningOrder:
    """What a signer signs is a certificate that a decision stands behind."""
    subject, algorithm = Name.of(("O", "benchmark"), ("CN", "CS-1")), DEFAULT_SIGNATURE[handle.spec]
    issuer = Issuer(AuthorityId(AUTHORITY), subject.encode(), key_identifier(handle.spki), algorithm, None)
    template = compile_template(Profiles().get(ProfileId("ocpp/station")).profile, issuer)
    key = spki_of(generate_private_key(KeySpec.P256).public_key())
    plan = plan_certificate(
        template,
        serial=serial_from(os.urandom(SERIAL_OCTETS)),
        name=subject,
        alt_names=AltNames(),
        spki=key,
        key_spec=KeySpec.P256,
        now=SystemClock().now(),
        validity_days=None,
    )
    decision = canonical_json.encode({"actor": "benchmark", "permission": Permission.CERTIFICATE_ISSUE, "result": "allow"})
    why = SigningPlan(plan.issuer, plan.serial, plan.profile, hashlib.sha256(plan.tbs).digest(), decision)
    return SigningOrder(handle.ref, plan.signature, plan.tbs, SigningPurpose.CERTIFICATE, "int_benchmark", why)


@asynccontextmanager
async def aws_kms_stage() -> AsyncIterator[Stage]:
    """The SDK's part and the adapter's, with the service simulated by moto in this process; its signing counts too."""
    try:
        from moto import mock_aws  # noqa: PLC0415  # a test's dependency: where it is missing, the others are measured
    except ImportError as error:
        raise NotHereError("moto, the simulator of AWS, is not installed") from error
    os.environ.update(dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"), "testing"))
    with mock_aws():
        try:
            vault = AwsKmsVault.open(REGION, "benchmark")
        except VaultUnavailable as error:
            raise NotHereError(f"{error}: {error.hint}") from error
        yield Stage(vault, openssl_raw, plain_order, own_cpu_seconds, kinds=tuple(AWS_KINDS))


# Another vault is measured by another line here.
STAGES: Mapping[str, Callable[[], AbstractAsyncContextManager[Stage]]] = {
    "file": file_stage,
    "pkcs11": pkcs11_stage,
    "signer": signer_stage,
    "aws-kms": aws_kms_stage,
}


async def measure(name: str, stage: Stage, kind: KeySpec) -> Row:
    handle = await stage.vault.generate(kind, label=f"authority {stage.authority}" if stage.authority else "benchmark")
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
                rows += [await measure(name, stage, kind) for kind in KINDS if kind in stage.kinds]
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
