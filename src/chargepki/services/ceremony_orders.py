"""From a script to the order that people agree to: one for each kind of ceremony."""

from collections.abc import Mapping

from chargepki.core.access.model import Ballot
from chargepki.core.algorithms import KeySpec
from chargepki.core.canonical_json import JsonValue
from chargepki.core.ceremony.script import Kind, Script
from chargepki.core.records import AuthorityId, KeyRef, ProfileId
from chargepki.errors import Refused
from chargepki.ports import Ports
from chargepki.services.audit import Caller
from chargepki.services.authorities import Authorities, NewAuthority
from chargepki.services.ceremony_results import read_note
from chargepki.services.ceremony_tools import Binder
from chargepki.services.crls import CrlPublisher
from chargepki.services.cross_certificates import CrossCertificates, ForeignKey
from chargepki.services.key_backups import KeyBackups
from chargepki.services.keys import Keys
from chargepki.services.offline_authorities import Admission, KeyRequest, OfflineAuthorities


class CeremonyOrders:
    def __init__(
        self,
        ports: Ports,
        authorities: Authorities,
        offline: OfflineAuthorities,
        cross: CrossCertificates,
        keys: Keys,
        crls: CrlPublisher,
        backups: KeyBackups,
        binder: Binder,
    ) -> None:
        self._ports, self._authorities, self._offline, self._cross = ports, authorities, offline, cross
        self._keys, self._crls, self._backups, self._binder = keys, crls, backups, binder

    async def propose(self, caller: Caller, script: Script, wrapping_key: bytes) -> str:
        """What was made, where nobody else is asked; `NeedsVotes` where others have to agree."""
        id = AuthorityId(script.subject.id)
        match script.kind:
            case Kind.ROOT | Kind.SUB | Kind.REKEY:
                await self._authorities.create(caller, await self._new_authority(script))
            case Kind.REQUEST:
                await self._offline.request(caller, _key_request(script))
            case Kind.SIGN | Kind.CROSS_SIGN:
                certificate = await self._cross.certify(caller, await self._foreign_key(script))
                return f"certificate:{certificate.id}"
            case Kind.CROSS_CSR:
                await self._cross.request_for(caller, id, script_sha256=script.sha256.hex())
            case Kind.IMPORT:
                await self._offline.admit(caller, await self._admission(script))
            case Kind.CRL:
                await self._crls.publish(id, caller)
            case Kind.IMPORT_CRL:
                await self._offline.admit_crl(caller, id, await self._binder.read_input(script.input("crl")))
            case Kind.RESTORE:
                sealed = await self._binder.read_input(script.input("backup"))
                handle = await self._backups.restore(caller, id, sealed, wrapping_key, script_sha256=script.sha256.hex())
                return f"key:{handle.ref}"
            case Kind.DESTROY:
                record = await self._keys.destroy(caller, await self._key_of(id))
                return f"key:{record.ref}"
            case Kind.BACKUP_CHECK:
                raise AssertionError("a check of shares orders nothing")
        return f"authority:{id}"

    async def carry_out(self, caller: Caller, content: Mapping[str, JsonValue], ballot: Ballot) -> str:
        """What others agreed to, by whoever does it."""
        match content.get("do"):
            case "request" | "admit":
                return await self._offline.carry_out(caller, content, ballot)
            case "certify" | "cross-csr":
                return await self._cross.carry_out(caller, content, ballot)
            case _:
                return await self._authorities.carry_out(caller, content, ballot)

    async def objects_of(self, script: Script) -> frozenset[str]:
        """What the log calls that which the script is about."""
        if script.kind is Kind.DESTROY:
            return frozenset({f"key:{await self._key_of(AuthorityId(script.subject.id))}"})
        return frozenset({f"authority:{script.subject.id}"})

    async def made_key(self, script: Script) -> KeyRef:
        """The key that the ceremony made."""
        if script.kind is Kind.REQUEST:
            return read_note(await self._binder.read_output(f"{script.subject.id}.request.json"))[2]
        return await self._key_of(AuthorityId(script.subject.id))

    async def check_backup(self, script: Script, sealed: bytes, wrapping_key: bytes) -> None:
        """`Refused` when the shares open another copy, or the copy is of another key."""
        await self._backups.find_key(AuthorityId(script.subject.id), sealed, wrapping_key)

    async def _key_of(self, id: AuthorityId) -> KeyRef:
        return (await self._authorities.view(id)).authority.key

    async def _new_authority(self, script: Script) -> NewAuthority:
        subject = script.subject
        profile, parent, organization = subject.profile, subject.parent, subject.organization
        if subject.replaces:
            old = await self._authorities.view(AuthorityId(subject.replaces))
            profile, parent = old.authority.profile, old.authority.parent or ""
            organization = organization or old.name.first("O")
        return NewAuthority(
            AuthorityId(subject.id),
            ProfileId(profile),
            AuthorityId(parent) if parent else None,
            _key_of(script),
            subject.common_name,
            organization,
            validity_days=subject.validity_days,
            path_length=subject.path_length,
            replaces=AuthorityId(subject.replaces) if subject.replaces else None,
            script_sha256=script.sha256.hex(),
        )

    async def _foreign_key(self, script: Script) -> ForeignKey:
        subject = script.subject
        return ForeignKey(
            AuthorityId(subject.id),
            ProfileId(subject.profile),
            AuthorityId(subject.parent),
            await self._binder.read_input(script.input("csr")),
            subject.organization,
            subject.common_name,
            script.crl_url,
            script.issuer_url,
            subject.validity_days,
            subject.path_length,
            script.sha256.hex(),
        )

    async def _admission(self, script: Script) -> Admission:
        subject = script.subject
        id, profile, key = read_note(await self._binder.read_input(script.input("request")))
        if (id, profile) != (subject.id, subject.profile):
            message = f"the note is of {id} ({profile}), the script of {subject.id} ({subject.profile})"
            raise Refused.because("ceremony.note.other", message, path="input.request", hint="was the right note taken?")
        return Admission(
            id,
            profile,
            key,
            await self._binder.read_input(script.input("certificate")),
            AuthorityId(subject.parent),
            ProfileId(subject.parent_profile),
            await self._binder.read_input(script.input("root")),
            await self._binder.read_input(script.input("crl")),
            script.sha256.hex(),
        )


def _key_request(script: Script) -> KeyRequest:
    subject = script.subject
    return KeyRequest(
        AuthorityId(subject.id),
        ProfileId(subject.profile),
        _key_of(script),
        subject.organization,
        subject.common_name,
        script.sha256.hex(),
    )


def _key_of(script: Script) -> KeySpec:
    assert script.subject.key is not None, "the script was parsed: this kind names a key"
    return script.subject.key
