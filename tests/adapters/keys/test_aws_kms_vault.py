import sys
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest

pytest.importorskip("boto3", reason="boto3 is not installed: pip install chargepki[aws]")
pytest.importorskip("moto", reason="moto, the simulator of AWS, is not installed")

from botocore.exceptions import ClientError
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from moto import mock_aws
from moto.kms import utils as moto_keys

from chargepki.adapters.keys.aws_kms import KINDS, AwsKmsVault
from chargepki.core.algorithms import KeySpec, SignatureAlgorithm
from chargepki.core.records import KeyRef
from chargepki.errors import Refused, VaultUnavailable
from tests.adapters.keys.contract import VaultContract, order, verifies
from tests.adapters.keys.orders import LABEL

REGION = "eu-central-1"


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK's own chain finds these first, wherever the tests run."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "testing")


@pytest.fixture
def digests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Teaches moto what KMS does with MessageType DIGEST: it takes it for a message. The salt of PSS is as long as the hash, as in KMS."""
    curves = {"ECDSA_SHA_256": hashes.SHA256(), "ECDSA_SHA_384": hashes.SHA384(), "ECDSA_SHA_512": hashes.SHA512()}
    paddings = {"RSASSA_PKCS1_V1_5_SHA_256": padding.PKCS1v15(), "RSASSA_PSS_SHA_256": padding.PSS(padding.MGF1(hashes.SHA256()), 32)}

    def sign_ecdsa(self: Any, message: bytes, signing_algorithm: str) -> bytes:
        return self.private_key.sign(message, ec.ECDSA(Prehashed(curves[signing_algorithm])))

    def sign_rsa(self: Any, message: bytes, signing_algorithm: str) -> bytes:
        return self.private_key.sign(message, paddings[signing_algorithm], Prehashed(hashes.SHA256()))

    monkeypatch.setattr(moto_keys.ECDSAPrivateKey, "sign", sign_ecdsa)
    monkeypatch.setattr(moto_keys.RSAPrivateKey, "sign", sign_rsa)


@pytest.fixture
def vault(credentials: None, digests: None) -> Iterator[AwsKmsVault]:
    with mock_aws():
        yield AwsKmsVault.open(REGION, "demo")


class TestAwsKmsVault(VaultContract):
    specs: ClassVar[frozenset[KeySpec]] = frozenset(KINDS)
    exports: ClassVar[bool] = False


async def test_keys_survive_a_restart(vault: AwsKmsVault) -> None:
    made = [await vault.generate(spec, label=f"authority {spec}") for spec in (KeySpec.P256, KeySpec.RSA2048)]
    again = AwsKmsVault.open(REGION, "demo")
    assert list(await again.list()) == made
    assert verifies(made[0], await again.sign(order(made[0], b"data")), b"data")


async def test_platforms_in_one_account_see_their_own_keys_only(vault: AwsKmsVault) -> None:
    mine = await vault.generate(KeySpec.P256, label=LABEL)
    other = AwsKmsVault.open(REGION, "demo-2")
    theirs = await other.generate(KeySpec.P256, label=LABEL)
    assert await vault.list() == (mine,)
    assert await other.list() == (theirs,)
    with pytest.raises(Refused, match=r"vault\.key\.unknown"):
        await other.sign(order(mine, b"data"))


async def test_a_listing_of_many_keys_is_read_page_by_page(vault: AwsKmsVault) -> None:
    made = [await vault.generate(KeySpec.P256, label=f"key {n}") for n in range(3)]
    theirs = vault._client.create_key()["KeyMetadata"]["KeyId"]
    for n in range(130):  # aliases of others in the same account
        vault._client.create_alias(AliasName=f"alias/other/{n}", TargetKeyId=theirs)
    assert await vault.list() == tuple(made)


async def test_a_destroyed_key_waits_for_its_deletion_and_signs_nothing(vault: AwsKmsVault) -> None:
    handle = await vault.generate(KeySpec.P256, label=LABEL)
    id = vault._client.describe_key(KeyId=f"alias/demo/{handle.ref}")["KeyMetadata"]["KeyId"]
    await vault.destroy(handle.ref)
    assert vault._client.describe_key(KeyId=id)["KeyMetadata"]["KeyState"] == "PendingDeletion"
    with pytest.raises(Refused, match=r"vault\.key\.unknown"):
        await vault.sign(order(handle, b"data"))


async def test_a_curve_signs_with_its_own_hash_only(vault: AwsKmsVault) -> None:
    handle = await vault.generate(KeySpec.P256, label=LABEL)
    with pytest.raises(Refused, match=r"vault\.algorithm\.unsuitable"):
        await vault.sign(order(handle, b"data", SignatureAlgorithm.ECDSA_SHA384))


async def test_a_key_that_nobody_can_name_does_not_stay(vault: AwsKmsVault, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> None:
        raise ClientError({"Error": {"Code": "LimitExceededException", "Message": "too many aliases"}}, "CreateAlias")

    monkeypatch.setattr(vault._client, "create_alias", refuse)
    with pytest.raises(VaultUnavailable, match="LimitExceeded"):
        await vault.generate(KeySpec.P256, label=LABEL)
    states = [vault._client.describe_key(KeyId=key["KeyId"])["KeyMetadata"]["KeyState"] for key in vault._client.list_keys()["Keys"]]
    assert states == ["PendingDeletion"]


async def test_a_key_of_another_kind_behind_an_alias_of_ours_is_not_used(vault: AwsKmsVault) -> None:
    ref = KeyRef("key_01JZZZZZZZZZZZZZZZZZZZZZZZ")
    symmetric = vault._client.create_key()["KeyMetadata"]["KeyId"]
    vault._client.create_alias(AliasName=f"alias/demo/{ref}", TargetKeyId=symmetric)
    with pytest.raises(VaultUnavailable, match="none of ours"):
        await vault.get(ref)


async def test_an_unreachable_kms_is_named_as_such(credentials: None) -> None:
    vault = AwsKmsVault.open(REGION, "demo", endpoint="http://127.0.0.1:9")
    with pytest.raises(VaultUnavailable, match="cannot be used") as broken:
        await vault.generate(KeySpec.P256, label=LABEL)
    assert "credentials" in broken.value.hint


async def test_without_credentials_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    with pytest.raises(VaultUnavailable, match="credentials"):
        await AwsKmsVault.open(REGION, "demo", endpoint="http://127.0.0.1:9").generate(KeySpec.P256, label=LABEL)


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(VaultUnavailable) as broken:
        AwsKmsVault.open(REGION, "demo")
    assert broken.value.hint == "pip install chargepki[aws]"
