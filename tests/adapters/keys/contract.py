"""What every vault promises. A test module for one vault subclasses `VaultContract` and gives it a `vault` fixture.

What a vault cannot do it declares: `specs` are the kinds of keys it makes, `exports` says whether a key may be made to leave it.
What is not declared is refused, in the same words by all of them.
"""

import asyncio
from dataclasses import replace
from typing import ClassVar

import pytest
from cryptography.hazmat.primitives import serialization

from chargepki.core.algorithms import DEFAULT_SIGNATURE, KeySpec, SignatureAlgorithm, is_signature_valid, parse_spki, spec_of, spki_of
from chargepki.core.records import KeyRef
from chargepki.errors import NotFound, Refused
from chargepki.ports import KeyHandle, KeyVault, SigningOrder
from tests.adapters.keys.orders import LABEL, certificate_order, request_order

UNKNOWN = KeyRef("key_01JZZZZZZZZZZZZZZZZZZZZZZZ")


def order(handle: KeyHandle, data: bytes, algorithm: SignatureAlgorithm | None = None) -> SigningOrder:
    """`data` inside a certificate, with its plan and its decision: a vault may refuse to sign anything less."""
    return certificate_order(handle, data, algorithm or DEFAULT_SIGNATURE[handle.spec])


def verifies(handle: KeyHandle, signature: bytes, data: bytes, algorithm: SignatureAlgorithm | None = None) -> bool:
    algorithm = algorithm or DEFAULT_SIGNATURE[handle.spec]
    return is_signature_valid(parse_spki(handle.spki), algorithm, signature, certificate_order(handle, data, algorithm).data)


class VaultContract:
    specs: ClassVar[frozenset[KeySpec]] = frozenset(KeySpec)
    exports: ClassVar[bool] = True

    @pytest.mark.parametrize("spec", list(KeySpec))
    async def test_a_key_of_every_kind_signs_what_its_public_key_verifies(self, vault: KeyVault, spec: KeySpec) -> None:
        if spec not in self.specs:
            with pytest.raises(Refused, match=r"vault\.spec\.unsupported") as refusal:
                await vault.generate(spec, label="a test key")
            assert all(able in str(refusal.value) for able in self.specs)
            assert await vault.list() == ()
            return
        handle = await vault.generate(spec, label=LABEL)
        assert spec_of(parse_spki(handle.spki)) is spec
        assert verifies(handle, await vault.sign(order(handle, b"to be signed")), b"to be signed")

    async def test_an_rsa_key_signs_in_both_paddings(self, vault: KeyVault) -> None:
        handle = await vault.generate(KeySpec.RSA2048, label=LABEL)
        for algorithm in (SignatureAlgorithm.RSA_SHA256, SignatureAlgorithm.RSA_PSS_SHA256):
            assert verifies(handle, await vault.sign(order(handle, b"data", algorithm)), b"data", algorithm)

    async def test_a_key_refuses_an_algorithm_of_another_kind(self, vault: KeyVault) -> None:
        handle = await vault.generate(KeySpec.RSA2048, label=LABEL)
        with pytest.raises(Refused, match=r"vault\.algorithm\.unsuitable"):
            await vault.sign(order(handle, b"data", SignatureAlgorithm.ECDSA_SHA256))

    async def test_a_key_signs_the_request_for_its_own_certificate(self, vault: KeyVault) -> None:
        handle = await vault.generate(KeySpec.P384, label=LABEL)
        request = request_order(handle)
        assert is_signature_valid(parse_spki(handle.spki), request.algorithm, await vault.sign(request), request.data)

    async def test_many_tasks_sign_at_once(self, vault: KeyVault) -> None:
        kinds = [spec for spec in (KeySpec.P256, KeySpec.P384, KeySpec.RSA2048, KeySpec.MLDSA44) if spec in self.specs]
        handles = [await vault.generate(spec, label=LABEL) for spec in kinds]
        messages = [(handles[n % len(handles)], f"message {n}".encode()) for n in range(120)]
        signatures = await asyncio.gather(*(vault.sign(order(handle, message)) for handle, message in messages))
        assert all(verifies(handle, signature, message) for (handle, message), signature in zip(messages, signatures, strict=True))

    async def test_many_threads_sign_at_once(self, vault: KeyVault) -> None:
        handle = await vault.generate(KeySpec.P384, label=LABEL)

        def in_a_loop_of_its_own(thread: int) -> bool:
            data = f"thread {thread}".encode()
            return all(verifies(handle, asyncio.run(vault.sign(order(handle, data))), data) for _ in range(5))

        assert all(await asyncio.gather(*(asyncio.to_thread(in_a_loop_of_its_own, thread) for thread in range(8))))

    async def test_keys_are_listed_oldest_first_as_they_were_made(self, vault: KeyVault) -> None:
        made = [await vault.generate(KeySpec.P256, label=f"key {n}", exportable=self.exports and n % 2 == 1) for n in range(5)]
        assert list(await vault.list()) == made
        assert sorted(made, key=lambda handle: handle.ref) == made  # so several vaults can be listed as one
        assert await vault.get(made[3].ref) == made[3]

    async def test_a_key_is_exportable_only_when_it_was_made_so(self, vault: KeyVault) -> None:
        kept = await vault.generate(KeySpec.P256, label="an authority's")
        with pytest.raises(Refused, match=r"vault\.key\.not_exportable"):
            await vault.export(kept.ref, b"correct horse")
        if not self.exports:
            with pytest.raises(Refused, match=r"vault\.key\.not_exportable"):
                await vault.generate(KeySpec.P256, label="a backend's", exportable=True)
            assert await vault.list() == (kept,)
            return
        given = await vault.generate(KeySpec.P256, label="a backend's", exportable=True)
        pem = await vault.export(given.ref, b"correct horse")
        assert pem.startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
        key = serialization.load_pem_private_key(pem, b"correct horse")
        assert spki_of(key.public_key()) == given.spki

    @pytest.mark.parametrize("passphrase", [b"", b"x" * 1024])
    async def test_an_export_wants_a_passphrase_that_openssl_reads(self, vault: KeyVault, passphrase: bytes) -> None:
        handle = await vault.generate(KeySpec.P256, label="a backend's", exportable=self.exports)
        if not self.exports:  # what never leaves is refused before anybody looks at a passphrase
            with pytest.raises(Refused, match=r"vault\.key\.not_exportable"):
                await vault.export(handle.ref, passphrase)
            return
        with pytest.raises(Refused, match=r"vault\.export\.passphrase"):
            await vault.export(handle.ref, passphrase)

    async def test_a_destroyed_key_is_gone(self, vault: KeyVault) -> None:
        handle = await vault.generate(KeySpec.P256, label=LABEL)
        await vault.sign(order(handle, b"data"))
        await vault.destroy(handle.ref)
        assert await vault.list() == ()
        with pytest.raises(NotFound):
            await vault.sign(order(handle, b"data"))

    @pytest.mark.parametrize("ref", [UNKNOWN, KeyRef("../../etc/passwd"), KeyRef(""), KeyRef("key_" + "0" * 1000), KeyRef("key_\0")])
    async def test_an_unknown_key_is_not_found(self, vault: KeyVault, ref: KeyRef) -> None:
        for attempt in (vault.get(ref), vault.destroy(ref), vault.export(ref, b"correct horse"), vault.attest(ref)):
            with pytest.raises(NotFound, match=r"vault\.key\.unknown"):
                await attempt

    async def test_an_unknown_key_signs_nothing(self, vault: KeyVault) -> None:
        handle = await vault.generate(KeySpec.P256, label=LABEL)
        for ref in (UNKNOWN, KeyRef("../../etc/passwd")):
            with pytest.raises(NotFound, match=r"vault\.key\.unknown"):
                await vault.sign(replace(order(handle, b"data"), key=ref))

    async def test_an_attestation_is_about_the_key_and_shows_no_secret(self, vault: KeyVault) -> None:
        handle = await vault.generate(KeySpec.P256, label="attested")
        attestation = await vault.attest(handle.ref)
        if attestation is not None:
            assert attestation.kind
            assert handle.ref.encode() in attestation.statement
            assert b"PRIVATE" not in attestation.statement

    async def test_a_label_is_kept_letter_for_letter(self, vault: KeyVault) -> None:
        handle = await vault.generate(KeySpec.P256, label="Behörde № 1 / ../x")
        assert (await vault.get(handle.ref)).label == "Behörde № 1 / ../x"

    async def test_a_label_is_bounded(self, vault: KeyVault) -> None:
        with pytest.raises(Refused, match=r"vault\.label\.too_long"):
            await vault.generate(KeySpec.P256, label="x" * 201)

    async def test_a_vault_shows_no_secret_of_itself(self, vault: KeyVault) -> None:
        handle = await vault.generate(KeySpec.P256, label="a key")
        shown = repr(vault) + repr(handle)
        assert "BEGIN" not in shown
        assert "master" not in shown.lower()
