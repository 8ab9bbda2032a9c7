"""What a ceremony made: read back, compared with the script, linted, and shown to another program."""

import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from cryptography import x509

from chargepki.core.algorithms import parse_spki, spec_of, spki_of
from chargepki.core.ceremony.script import Kind, Script
from chargepki.core.csr import parse_csr
from chargepki.core.issue import key_identifier
from chargepki.core.lint import LintContext, lint_tbs
from chargepki.core.names import read_name
from chargepki.core.profiles.authority import signed_by_hand
from chargepki.core.profiles.model import BACKDATE
from chargepki.core.records import AuthorityId, CertificateId, Crl, KeyRef, KeyState, ProfileId
from chargepki.errors import Broken, Finding, NotFound, Refused
from chargepki.ports import Ports
from chargepki.services.authorities import Authorities
from chargepki.services.ceremony_tools import Binder, Opinion, SecondOpinion
from chargepki.services.crls import CrlPublisher
from chargepki.services.profiles import ProfileRegister

Facts = tuple[tuple[str, str], ...]
BY_THE_KEY: Final = frozenset({"serial", "key id", "certificate sha256", "request sha256", "crl sha256"})
"""What nobody knows before the key is made: left open in the rehearsal's print."""


@dataclass(frozen=True, slots=True)
class Result:
    """What was found. `facts` are shown and read aloud; `faults` are why it is not what was ordered."""

    facts: Facts = ()
    faults: tuple[Finding, ...] = ()
    opinions: tuple[Opinion, ...] = ()


class Results:
    def __init__(
        self, ports: Ports, profiles: ProfileRegister, authorities: Authorities, crls: CrlPublisher, binder: Binder, second: SecondOpinion
    ) -> None:
        self._ports, self._profiles, self._authorities, self._crls = ports, profiles, authorities, crls
        self._binder, self._second = binder, second

    async def find(self, script: Script, made: str) -> Result:
        """`made` is what carrying out answered: "authority:…", "certificate:…", "key:…"."""
        finders: Mapping[Kind, Callable[[Script, str], Awaitable[Result]]] = {
            Kind.ROOT: self._root,
            Kind.SUB: self._authority,
            Kind.REKEY: self._authority,
            Kind.IMPORT: self._authority,
            Kind.SIGN: self._foreign,
            Kind.CROSS_SIGN: self._foreign,
            Kind.REQUEST: self._request,
            Kind.CROSS_CSR: self._request,
            Kind.CRL: self._crl,
            Kind.IMPORT_CRL: self._crl,
            Kind.RESTORE: self._restored,
            Kind.DESTROY: self._destroyed,
        }
        return await finders[script.kind](script, made)

    async def _root(self, script: Script, made: str) -> Result:
        """With its first CRL."""
        id = AuthorityId(script.subject.id)
        if await self._ports.store.lookup_latest_crl(id) is None:
            await self._crls.publish(id)
        certificate, crl = await self._authority(script, made), await self._crl(script, made)
        return _join(certificate, crl)

    async def _authority(self, script: Script, _: str) -> Result:
        view = await self._authorities.view(AuthorityId(script.subject.id))
        chain = view.chain[1:] or view.chain
        handle = await self._ports.vault.get(view.authority.key)
        faults = [] if handle.spki == view.spki else [_fault("key", "the certificate is for another key than the vault's")]
        result = await self._certificate(script, view.certificate_der, chain, ProfileId(view.authority.profile))
        return _join(result, Result(faults=tuple(faults)))

    async def _foreign(self, script: Script, made: str) -> Result:
        certificate = await self._ports.store.get_certificate(CertificateId(made.removeprefix("certificate:")))
        chain = (await self._authorities.view(certificate.issuer)).chain
        return await self._certificate(script, certificate.der, chain, certificate.profile)

    async def _certificate(self, script: Script, der: bytes, chain: tuple[bytes, ...], profile_id: ProfileId) -> Result:
        id = script.subject.id
        parsed, above = x509.load_der_x509_certificate(der), x509.load_der_x509_certificate(chain[0])
        await self._binder.put(f"{id}.certificate", "CERTIFICATE", der)
        await self._binder.put(f"{id}.root", "CERTIFICATE", chain[-1])
        lint = await self._lint(script, parsed, above, profile_id)
        facts = (
            ("subject", str(read_name(parsed.subject))),
            ("issuer", str(read_name(parsed.issuer))),
            ("profile", profile_id),
            ("key kind", spec_of(parse_spki(spki_of(parsed.public_key()))) or "unknown"),
            ("validity", f"{(parsed.not_valid_after_utc - parsed.not_valid_before_utc - BACKDATE).days} days"),
            ("path length", _path_length(parsed)),
            ("lint", ", ".join(finding.code for finding in lint) or "clean"),
            ("serial", f"{parsed.serial_number:x}"),
            ("key id", key_identifier(spki_of(parsed.public_key())).hex()),
            ("certificate sha256", hashlib.sha256(der).hexdigest()),
        )
        faults = (*_find_differences(script, parsed, dict(facts)), *(f for f in lint if f.is_error))
        opinion = await self._second.of_certificate(f"{id}.certificate.pem", der, chain)
        return Result(facts, faults, (opinion,))

    async def _lint(self, script: Script, parsed: x509.Certificate, above: x509.Certificate, profile_id: ProfileId) -> tuple[Finding, ...]:
        profile = (await self._profiles.get(profile_id)).profile
        is_root = not profile.issuers
        if script.kind in (Kind.SIGN, Kind.CROSS_SIGN, Kind.IMPORT):
            profile = signed_by_hand(profile, has_issuer_url=_has_issuer_url(parsed))
        context = LintContext(
            profile,
            None if is_root else above.subject.public_bytes(),
            None if is_root else key_identifier(spki_of(above.public_key())),
            None if is_root else above.not_valid_after_utc,
            self._ports.clock.now(),
        )
        return lint_tbs(parsed.tbs_certificate_bytes, context)

    async def _request(self, script: Script, _: str) -> Result:
        id = script.subject.id
        csr = await self._binder.read_output(f"{id}.csr")
        request = parse_csr(csr)
        spki = await self._requested_key(script)
        faults = () if request.spki == spki else (_fault("key", "the request is for another key than the vault's"),)
        facts = (
            ("subject", str(request.subject)),
            ("key kind", request.key_spec or "unknown"),
            ("key id", key_identifier(request.spki).hex()),
            ("request sha256", hashlib.sha256(csr).hexdigest()),
        )
        return Result(facts, faults, (await self._second.of_request(f"{id}.csr.pem", csr),))

    async def _requested_key(self, script: Script) -> bytes:
        if script.kind is Kind.CROSS_CSR:
            return (await self._authorities.view(AuthorityId(script.subject.id))).spki
        ref = read_note(await self._binder.read_output(f"{script.subject.id}.request.json"))[2]
        return (await self._ports.vault.get(ref)).spki

    async def _crl(self, script: Script, _: str) -> Result:
        id = AuthorityId(script.subject.id)
        view, crl = await self._authorities.view(id), await self._ports.store.lookup_latest_crl(id)
        if crl is None:
            raise Broken(f"there is no CRL of {id} after all", hint="look into the log: chargepki log list --object authority:" + id)
        await self._binder.put(f"{id}.crl", "X509 CRL", crl.der)
        faults = _find_crl_faults(script, crl)
        facts = (
            ("crl issuer", str(view.name)),
            ("crl number", str(crl.number)),
            ("crl entries", str(crl.entry_count)),
            ("crl days", str((crl.next_update - crl.this_update).days)),
            ("crl sha256", hashlib.sha256(crl.der).hexdigest()),
        )
        return Result(facts, faults, (await self._second.of_crl(f"{id}.crl.pem", crl.der, view.certificate_der),))

    async def _restored(self, script: Script, _: str) -> Result:
        view = await self._authorities.view(AuthorityId(script.subject.id))
        handle = await self._ports.vault.get(view.authority.key)
        faults = () if handle.spki == view.spki else (_fault("key", "the vault has another key than the certificate"),)
        return Result((("key", f"{handle.ref} is in the vault"), ("key id", view.key_id.hex())), faults)

    async def _destroyed(self, _: Script, made: str) -> Result:
        ref = KeyRef(made.removeprefix("key:"))
        record = await self._ports.store.get_key_record(ref)
        faults = [] if record.state is KeyState.DESTROYED else [_fault("key", f"the register says that it is {record.state}")]
        try:
            await self._ports.vault.get(ref)
            faults.append(_fault("key", "the vault still has it"))
        except NotFound:
            pass
        return Result((("key", f"{ref} is gone from the vault"), ("state", record.state.value)), tuple(faults))


def read_note(octets: bytes) -> tuple[AuthorityId, ProfileId, KeyRef]:
    """The note that lies beside a request: which key of ours waits for which certificate. `Refused` for anything else."""
    try:
        note = json.loads(octets[:NOTE_OCTETS_MAX])
        texts = [note[name] for name in ("id", "profile", "key")]
        if not all(isinstance(text, str) and len(text) <= 256 for text in texts):
            raise TypeError("a field is no text")
        return AuthorityId(texts[0]), ProfileId(texts[1]), KeyRef(texts[2])
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise Refused.because(
            "ceremony.note",
            "this is no note of a request",
            path="input.request",
            hint="ID.request.json, as the request's ceremony wrote it",
        ) from error


NOTE_OCTETS_MAX: Final = 4096  # three short texts


def _find_differences(script: Script, parsed: x509.Certificate, facts: Mapping[str, str]) -> list[Finding]:
    """Where the certificate is not what the script asked for."""
    subject, found = script.subject, []
    if subject.common_name and read_name(parsed.subject).first("CN") != subject.common_name:
        found.append(_fault("subject", f"the certificate names {facts['subject']}"))
    if subject.organization and read_name(parsed.subject).first("O") != subject.organization:
        found.append(_fault("subject", f"the certificate names {facts['subject']}"))
    if subject.profile and facts["profile"] != subject.profile:
        found.append(_fault("profile", f"the profile is {facts['profile']}"))
    if subject.key and facts["key kind"] != subject.key:
        found.append(_fault("key", f"the key is {facts['key kind']}"))
    if subject.path_length is not None and facts["path length"] != str(subject.path_length):
        found.append(_fault("path_length", f"the path length is {facts['path length']}"))
    longest = timedelta(days=subject.validity_days) + BACKDATE if subject.validity_days else None
    if longest and parsed.not_valid_after_utc - parsed.not_valid_before_utc > longest:
        found.append(_fault("validity", f"the certificate is good for {facts['validity']}"))
    return found


def _find_crl_faults(script: Script, crl: Crl) -> tuple[Finding, ...]:
    days = (crl.next_update - crl.this_update).days
    if script.crl_days and script.kind in (Kind.ROOT, Kind.CRL) and days != script.crl_days:
        return (_fault("crl_days", f"the CRL is good for {days} days"),)
    return ()


def _path_length(parsed: x509.Certificate) -> str:
    length = parsed.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length
    return "none" if length is None else str(length)


def _has_issuer_url(parsed: x509.Certificate) -> bool:
    try:
        return bool(parsed.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value)
    except x509.ExtensionNotFound:
        return False


def _join(*results: Result) -> Result:
    return Result(
        tuple(fact for result in results for fact in result.facts),
        tuple(fault for result in results for fault in result.faults),
        tuple(opinion for result in results for opinion in result.opinions),
    )


def _fault(slug: str, message: str) -> Finding:
    return Finding(f"ceremony.result.{slug}", message, path=slug, hint="stop, and find out why before anything else is signed")
