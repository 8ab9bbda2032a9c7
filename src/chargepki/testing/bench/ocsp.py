"""OCSP answers for known certificates: kept in memory, fetched with GET, or signed for a nonce each."""

import asyncio
import base64
import json
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from urllib.parse import quote

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509 import ocsp

from chargepki.errors import Broken
from chargepki.testing.bench.measurement import Measurement, measure
from chargepki.testing.bench.stage import CONNECTIONS, api_target, fresh_server, name_of, prepare_orders
from chargepki.testing.load import Load, Target, connected_load, spell_request
from chargepki.testing.server import ServerProcess

CERTIFICATES: Final = 1_000
COUNT: Final = 20_000
NONCE_OCTETS: Final = 32  # RFC 9654 2.1
_HEADERS: Final = {"Content-Type": "application/ocsp-request"}


class Question(StrEnum):
    """How the answers are asked for."""

    CACHED = "cached"  # POST without a nonce: the answer is kept
    GET = "get"  # the same, as HTTP caches ask
    SIGNED = "signed"  # POST with a nonce: every answer gets its own signature


@dataclass(frozen=True, slots=True)
class OcspStage:
    """A server, and the certificates it can be asked about."""

    server: ServerProcess
    leaves: Sequence[x509.Certificate]
    issuer: x509.Certificate
    store: str

    async def bench(self, question: Question, count: int = COUNT) -> Measurement:
        """Every certificate is asked about once before the clock starts."""
        target = Target.of(self.server.status)
        everything = [self._spell(target, question, place) for place in range(len(self.leaves))]
        async with connected_load(target, everything, connections=CONNECTIONS) as load:
            await load.run()
            load.check(200)
        requests = await asyncio.to_thread(self._requests, target, question, everything, count)
        async with connected_load(target, requests, connections=CONNECTIONS) as load:
            name = "ocsp" if question is Question.CACHED else f"ocsp-{question}"
            measured = await measure(name, self.server, load, store=self.store)
        _check_answers(load)
        return measured

    def _requests(self, target: Target, question: Question, known: Sequence[bytes], count: int) -> list[bytes]:
        if question is Question.SIGNED:
            return [self._spell(target, question, number) for number in range(count)]
        return [known[number % len(known)] for number in range(count)]

    def _spell(self, target: Target, question: Question, number: int) -> bytes:
        builder = ocsp.OCSPRequestBuilder().add_certificate(self.leaves[number % len(self.leaves)], self.issuer, hashes.SHA256())
        if question is Question.SIGNED:
            builder = builder.add_extension(x509.OCSPNonce(os.urandom(NONCE_OCTETS)), critical=False)
        request = builder.build().public_bytes(serialization.Encoding.DER)
        if question is Question.GET:
            return spell_request("GET", f"/ocsp/{quote(base64.b64encode(request).decode(), safe='')}", target, {})
        return spell_request("POST", "/ocsp", target, _HEADERS, request)


@asynccontextmanager
async def ocsp_stage(store: str, certificates: int = CERTIFICATES) -> AsyncIterator[OcspStage]:
    """A fresh server that has issued `certificates`."""
    async with fresh_server(store) as server:
        orders = await prepare_orders(server, (f"client-{number}" for number in range(certificates)))
        async with connected_load(api_target(server), orders, connections=CONNECTIONS) as load:
            await load.run()
            load.check(201)
        chains = [x509.load_pem_x509_certificates(json.loads(answer.body)["chain"].encode()) for answer in load.answers if answer]
        yield OcspStage(server, [chain[0] for chain in chains], chains[0][1], name_of(store))


async def bench_ocsp(store: str, question: Question, count: int = COUNT) -> Measurement:
    """One question, on a server of its own."""
    async with ocsp_stage(store) as stage:
        return await stage.bench(question, count)


def _check_answers(load: Load) -> None:
    """Looks into a few: a fast error would be no answer."""
    for answer in load.answers[:: max(1, len(load.answers) // 20)]:
        if answer is None or ocsp.load_der_ocsp_response(answer.body).certificate_status is not ocsp.OCSPCertStatus.GOOD:
            raise Broken("an OCSP answer does not say good", hint="the measured answers are not what they should be")
