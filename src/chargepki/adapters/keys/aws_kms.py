"""Keys that never leave AWS KMS. Needs the extra `aws`; credentials come the way the AWS SDK finds them, never from a configuration."""

import asyncio
import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from chargepki.adapters.entropy import SystemEntropy
from chargepki.adapters.keys.private_keys import check_label, check_spec, no_such_key, refuse_exportable
from chargepki.core.algorithms import KeySpec, SignatureAlgorithm
from chargepki.core.records import KeyRef
from chargepki.errors import ChargePkiError, Refused, VaultUnavailable
from chargepki.ports import KeyAttestation, KeyHandle, SigningOrder

if TYPE_CHECKING:
    from botocore.exceptions import BotoCoreError, ClientError

T = TypeVar("T")

CALLS_AT_ONCE_MAX: Final = 16  # KMS grants some hundred asymmetric signatures a second; each takes about 20 ms
CONNECT_SECONDS: Final = 3
READ_SECONDS: Final = 10
ATTEMPTS_MAX: Final = 3  # of one call, by the SDK, with growing pauses
DELETION_DAYS: Final = 30  # KMS allows 7 to 30: the longest leaves most time to find out that it was a mistake
KEYS_MAX: Final = 10_000  # aliases of the account that are looked through for a listing

# What KMS makes and what it signs with. SM2 and secp256k1 are no kinds of ours; Ed25519, Ed448 and ML-DSA are not used through KMS.
KINDS: Final[Mapping[KeySpec, str]] = {
    KeySpec.P256: "ECC_NIST_P256",
    KeySpec.P384: "ECC_NIST_P384",
    KeySpec.P521: "ECC_NIST_P521",
    KeySpec.RSA2048: "RSA_2048",
    KeySpec.RSA3072: "RSA_3072",
    KeySpec.RSA4096: "RSA_4096",
}
_SPECS: Final = {name: spec for spec, name in KINDS.items()}
_RSA: Final = {SignatureAlgorithm.RSA_SHA256: "RSASSA_PKCS1_V1_5_SHA_256", SignatureAlgorithm.RSA_PSS_SHA256: "RSASSA_PSS_SHA_256"}
_ALGORITHMS: Final[Mapping[KeySpec, Mapping[SignatureAlgorithm, str]]] = {
    KeySpec.P256: {SignatureAlgorithm.ECDSA_SHA256: "ECDSA_SHA_256"},  # KMS fixes the hash with the curve
    KeySpec.P384: {SignatureAlgorithm.ECDSA_SHA384: "ECDSA_SHA_384"},
    KeySpec.P521: {SignatureAlgorithm.ECDSA_SHA512: "ECDSA_SHA_512"},
    KeySpec.RSA2048: _RSA,
    KeySpec.RSA3072: _RSA,
    KeySpec.RSA4096: _RSA,
}
_HASHES: Final[Mapping[SignatureAlgorithm, Callable[[bytes], Any]]] = {
    SignatureAlgorithm.ECDSA_SHA256: hashlib.sha256,
    SignatureAlgorithm.ECDSA_SHA384: hashlib.sha384,
    SignatureAlgorithm.ECDSA_SHA512: hashlib.sha512,
    SignatureAlgorithm.RSA_SHA256: hashlib.sha256,
    SignatureAlgorithm.RSA_PSS_SHA256: hashlib.sha256,
}
_REF: Final = re.compile(r"key_[0-9A-HJKMNP-TV-Z]{26}")
_REF_TAG: Final = "chargepki-ref"

# What the operator can do about each of KMS's errors; anything else is shown as it comes.
_HINTS: Final[Mapping[str, str]] = {
    "AccessDeniedException": "the role needs kms:CreateKey, CreateAlias, TagResource, DescribeKey, GetPublicKey, Sign, ListAliases, "
    "DeleteAlias and ScheduleKeyDeletion",
    "DisabledException": "somebody disabled the key in AWS; find out who before enabling it",
    "KMSInvalidStateException": "the key is disabled or waits for its deletion; aws kms cancel-key-deletion brings it back",
    "ThrottlingException": "the account's quota of signatures is used up; ask AWS for a higher one",
    "LimitExceededException": "the account's quota of keys or aliases is used up; ask AWS for a higher one",
    "UnrecognizedClientException": "the credentials are not valid (any more)",
    "ExpiredTokenException": "the credentials have expired",
}


class AwsKmsVault:
    """Implements `ports.KeyVault`. A key's reference is its alias, `alias/PREFIX/key_01K...`; its label is its description."""

    specs: Final = frozenset(KINDS)

    def __init__(self, client: Any, alias_prefix: str) -> None:
        self._client, self._prefix = client, alias_prefix
        self._entropy = SystemEntropy()
        self._threads = ThreadPoolExecutor(CALLS_AT_ONCE_MAX, "aws-kms")
        self._handles: dict[KeyRef, KeyHandle] = {}  # as many as the platform has keys

    def __repr__(self) -> str:
        return f"AwsKmsVault({self._prefix!r})"

    @classmethod
    def open(cls, region: str, alias_prefix: str, *, endpoint: str = "") -> Self:
        """Asks nothing of AWS yet. `VaultUnavailable` without the extra."""
        try:
            import boto3  # noqa: PLC0415  # an extra: a plain installation has none
            from botocore.config import Config  # noqa: PLC0415
        except ImportError as error:
            raise VaultUnavailable("keys in AWS KMS need the AWS SDK", hint="pip install chargepki[aws]") from error
        settings = Config(
            region_name=region,
            connect_timeout=CONNECT_SECONDS,
            read_timeout=READ_SECONDS,
            retries={"mode": "standard", "total_max_attempts": ATTEMPTS_MAX},
            max_pool_connections=CALLS_AT_ONCE_MAX,
        )
        return cls(boto3.Session().client("kms", config=settings, endpoint_url=endpoint or None), alias_prefix)

    async def generate(self, spec: KeySpec, *, label: str, exportable: bool = False) -> KeyHandle:
        check_label(label)
        check_spec(spec, self.specs)
        if exportable:
            raise refuse_exportable(label)
        return await self._in_thread(label, lambda: self._generate(spec, label))

    async def get(self, ref: KeyRef) -> KeyHandle:
        if (known := self._handles.get(ref)) is not None:
            return known
        return await self._in_thread(ref, lambda: self._describe(ref))

    async def sign(self, order: SigningOrder) -> bytes:
        handle = await self.get(order.key)
        if (algorithm := _ALGORITHMS[handle.spec].get(order.algorithm)) is None:
            raise Refused.because(
                "vault.algorithm.unsuitable",
                f"a key of kind {handle.spec} in AWS KMS cannot sign with {order.algorithm}",
                path="order.algorithm",
                hint=f"one of: {', '.join(sorted(_ALGORITHMS[handle.spec]))}",
            )
        return await self._in_thread(order.key, lambda: self._sign(order, algorithm))

    async def export(self, ref: KeyRef, passphrase: bytes) -> bytes:  # noqa: ARG002  # nothing leaves, under any passphrase
        raise refuse_exportable((await self.get(ref)).label)

    async def destroy(self, ref: KeyRef) -> None:
        """The key signs nothing from now on. AWS deletes it after `DELETION_DAYS`; until then the account can bring it back."""
        await self._in_thread(ref, lambda: self._destroy(ref))
        self._handles.pop(ref, None)

    async def list(self) -> tuple[KeyHandle, ...]:
        """Oldest first."""
        refs = await self._in_thread("", self._refs)
        return tuple([await self.get(ref) for ref in refs])

    async def attest(self, ref: KeyRef) -> KeyAttestation | None:
        """AWS attests nothing of a key in its own key store."""
        await self.get(ref)
        return None

    # -------------------------------------------------------------------------------------------------- in one of the threads

    def _generate(self, spec: KeySpec, label: str) -> KeyHandle:
        ref = KeyRef(self._entropy.ulid("key"))
        made = self._client.create_key(
            KeySpec=KINDS[spec], KeyUsage="SIGN_VERIFY", Description=label, Tags=[{"TagKey": _REF_TAG, "TagValue": ref}]
        )
        id = made["KeyMetadata"]["KeyId"]
        try:
            self._client.create_alias(AliasName=self._alias(ref), TargetKeyId=id)
        except Exception:  # whatever went wrong goes on; a key that nobody can name must not stay
            self._client.schedule_key_deletion(KeyId=id, PendingWindowInDays=DELETION_DAYS)
            raise
        return self._describe(ref)

    def _describe(self, ref: KeyRef) -> KeyHandle:
        alias = self._alias(ref)
        found = self._client.describe_key(KeyId=alias)["KeyMetadata"]
        spec = _SPECS.get(found["KeySpec"])
        if spec is None or found["KeyUsage"] != "SIGN_VERIFY":
            raise VaultUnavailable(f"{alias} is a key of kind {found['KeySpec']}, which is none of ours", hint="remove the alias")
        spki = self._client.get_public_key(KeyId=alias)["PublicKey"]
        handle = self._handles[ref] = KeyHandle(ref, spec, spki, found["Description"], is_exportable=False)
        return handle

    def _sign(self, order: SigningOrder, algorithm: str) -> bytes:
        digest = _HASHES[order.algorithm](order.data).digest()
        signed = self._client.sign(KeyId=self._alias(order.key), Message=digest, MessageType="DIGEST", SigningAlgorithm=algorithm)
        signature: bytes = signed["Signature"]
        return signature

    def _destroy(self, ref: KeyRef) -> None:
        alias = self._alias(ref)
        id = self._client.describe_key(KeyId=alias)["KeyMetadata"]["KeyId"]
        self._client.schedule_key_deletion(KeyId=id, PendingWindowInDays=DELETION_DAYS)
        self._client.delete_alias(AliasName=alias)

    def _refs(self) -> Sequence[KeyRef]:
        start, found = self._alias(None), set()
        for number, page in enumerate(self._client.get_paginator("list_aliases").paginate(PaginationConfig={"PageSize": 100})):
            if number * 100 > KEYS_MAX:
                raise VaultUnavailable(f"the AWS account has more than {KEYS_MAX} aliases", hint="give the platform an account of its own")
            found |= {KeyRef(alias["AliasName"].removeprefix(start)) for alias in page["Aliases"] if alias["AliasName"].startswith(start)}
        return sorted(ref for ref in found if _REF.fullmatch(ref))

    def _alias(self, ref: KeyRef | None) -> str:
        if ref is not None and not _REF.fullmatch(ref):
            raise no_such_key(ref)
        return f"alias/{self._prefix}/{ref or ''}"

    async def _in_thread(self, what: str, work: Callable[[], T]) -> T:
        """`what` is named when KMS does not know it."""
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415  # an extra, see `open`

        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except (ClientError, BotoCoreError) as error:
            raise _translated(error, what) from error


def _translated(error: "ClientError | BotoCoreError", what: str) -> ChargePkiError:
    response = getattr(error, "response", None)  # a ClientError has one: KMS answered
    if response is None:
        return VaultUnavailable(f"AWS KMS cannot be used: {error}", hint="check network, region and this machine's credentials")
    code = str(response.get("Error", {}).get("Code", ""))
    if code == "NotFoundException":
        return no_such_key(what)
    return VaultUnavailable(f"AWS KMS refuses: {code}: {str(error)[:300]}", hint=_HINTS.get(code, "see the AWS CloudTrail of the account"))
