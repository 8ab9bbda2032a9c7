"""OpenSSL's command line as a second pair of eyes: another reader, another verifier, on the same screen."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from chargepki.core.pem import encode_pem
from chargepki.services.ceremony_tools import Opinion

SECONDS_MAX: Final = 30.0  # it takes milliseconds
SAID_CHARS_MAX: Final = 200
_ABSENT: Final = "openssl is not on this machine"


class OpenSsl:
    """Implements `services.ceremony_tools.SecondOpinion`. `program` "" stands for a machine that has none."""

    def __init__(self, program: str | None = None) -> None:
        self._program = shutil.which("openssl") or "" if program is None else program

    async def of_certificate(self, name: str, certificate: bytes, chain: Sequence[bytes]) -> Opinion:
        """The path up to the last of `chain`, with the strict reading of RFC 5280; a root is in its own chain."""
        files = {"root.pem": [chain[-1]], "chain.pem": list(chain), "it.pem": [certificate]}
        arguments = ["verify", "-x509_strict", "-no-CApath", "-no-CAstore", "-CAfile", "root.pem", "-untrusted", "chain.pem", "it.pem"]
        return await self._ask(f"openssl verify {name}", arguments, files, "CERTIFICATE")

    async def of_crl(self, name: str, crl: bytes, issuer: bytes) -> Opinion:
        arguments = ["crl", "-in", "crl.pem", "-inform", "PEM", "-CAfile", "it.pem", "-noout", "-verify"]
        return await self._ask(f"openssl crl -verify {name}", arguments, {"it.pem": [issuer], "crl.pem": [crl]}, "CERTIFICATE")

    async def of_request(self, name: str, csr: bytes) -> Opinion:
        arguments = ["req", "-in", "it.pem", "-noout", "-verify"]
        return await self._ask(f"openssl req -verify {name}", arguments, {"it.pem": [csr]}, "CERTIFICATE REQUEST")

    async def _ask(self, question: str, arguments: Sequence[str], files: dict[str, list[bytes]], label: str) -> Opinion:
        if not self._program:
            return Opinion(question, None, _ABSENT)
        with tempfile.TemporaryDirectory(prefix="chargepki-openssl-") as directory:
            for name, blobs in files.items():
                kind = "X509 CRL" if name == "crl.pem" else label
                (Path(directory) / name).write_text("".join(encode_pem(kind, der) for der in blobs))
            return await self._run(question, arguments, directory)

    async def _run(self, question: str, arguments: Sequence[str], directory: str) -> Opinion:
        try:
            process = await asyncio.create_subprocess_exec(
                self._program,
                *arguments,
                cwd=directory,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C"},
            )
        except OSError as error:
            return Opinion(question, None, f"openssl does not start: {error.strerror}")
        try:
            async with asyncio.timeout(SECONDS_MAX):
                said, _ = await process.communicate()
        except TimeoutError:
            process.kill()
            await process.wait()
            return Opinion(question, False, f"no answer within {SECONDS_MAX:.0f} seconds")
        line = " ".join(said.decode(errors="replace").split())[:SAID_CHARS_MAX]
        is_good = process.returncode == 0 and not (arguments[0] != "verify" and "verify OK" not in line)
        return Opinion(question, is_good, line)
