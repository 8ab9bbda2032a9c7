"""Keys in a token: made, found, listed, used, destroyed. Every function runs inside `Token.run` and bears being repeated."""

import hashlib
import re
import secrets
from typing import Final

from chargepki.adapters.keys.pkcs11.attributes import PUBLIC_ATTRIBUTES, parse_flag, parse_public_key
from chargepki.adapters.keys.pkcs11.codes import HARDWARE_SLOT, STALE_KEY, Attribute, Class, ModuleFailed, Rv
from chargepki.adapters.keys.pkcs11.cryptoki import Session
from chargepki.adapters.keys.pkcs11.mechanisms import CALLS, parse_signature, plan_generation, signing_input
from chargepki.adapters.keys.pkcs11.structures import Template, Value
from chargepki.adapters.keys.pkcs11.token import Key, Token
from chargepki.adapters.keys.private_keys import check_algorithm, no_such_key
from chargepki.core import canonical_json
from chargepki.core.algorithms import DEFAULT_SIGNATURE, KeySpec, SignatureAlgorithm, is_signature_valid, parse_spki
from chargepki.core.records import KeyRef
from chargepki.errors import ChargePkiError, VaultUnavailable
from chargepki.ports import KeyAttestation, KeyHandle

ATTESTATION_KIND: Final = "pkcs11-attributes"
TEST_OCTETS: Final = 32

# CKA_ID is the reference, octet for octet. Whatever else lies in the token is not ours, and is neither listed nor used.
_REF: Final = re.compile(rb"key_[0-9A-HJKMNP-TV-Z]{26}")
_OTHER_SPELLING: Final = frozenset(
    {
        Rv.CURVE_NOT_SUPPORTED,
        Rv.DOMAIN_PARAMS_INVALID,
        Rv.ATTRIBUTE_VALUE_INVALID,
        Rv.TEMPLATE_INCONSISTENT,
        Rv.GENERAL_ERROR,
        Rv.FUNCTION_FAILED,
        Rv.ARGUMENTS_BAD,
    }
)
_OTHER_PARAMETER: Final = frozenset({Rv.MECHANISM_PARAM_INVALID, Rv.ARGUMENTS_BAD, Rv.MECHANISM_INVALID})
_FACTS: Final = {
    "sensitive": Attribute.SENSITIVE,
    "extractable": Attribute.EXTRACTABLE,
    "always_sensitive": Attribute.ALWAYS_SENSITIVE,
    "never_extractable": Attribute.NEVER_EXTRACTABLE,
    "local": Attribute.LOCAL,
}


def generate_key(token: Token, session: Session, ref: KeyRef, spec: KeySpec, label: str) -> KeyHandle:
    """A key pair under `ref`, read back and tried; what does not keep to its word is destroyed again.

    A pair of the same reference is the rest of a try that was cut off, and is destroyed first.
    """
    _remove(token, session, ref)
    try:
        _generate(session, ref, spec, label)
        key = _load(token, session, ref)
        if key.handle.spec is not spec:
            raise VaultUnavailable(f"the token made a key of kind {key.handle.spec} where {spec} was asked for")
        _check_stays(session, key)
        _check_pair(session, key)
    except ChargePkiError:
        _remove(token, session, ref)
        raise
    token.keys[ref] = key
    return key.handle


def find_key(token: Token, session: Session, ref: KeyRef) -> Key:
    """From memory, or the token. `NotFound` when it is not there."""
    if (key := token.keys.get(ref)) is None:
        key = token.keys[ref] = _load(token, session, ref)
    return key


def sign_with(token: Token, session: Session, ref: KeyRef, algorithm: SignatureAlgorithm, data: bytes) -> bytes:
    """The signature as X.509 carries it."""
    key = find_key(token, session, ref)
    check_algorithm(key.handle.spec, algorithm, token.algorithms)
    try:
        return _sign(session, key, algorithm, data)
    except ModuleFailed as error:
        if error.code not in STALE_KEY:
            raise
    token.keys.pop(ref, None)  # destroyed by somebody else, or the login is gone: the search tells which
    return _sign(session, find_key(token, session, ref), algorithm, data)


def list_keys(token: Token, session: Session) -> tuple[KeyHandle, ...]:
    """Ours, oldest first: references sort by age."""
    _check_login(token, session)
    private = {_id_of(session, object) for object in session.find(Template(_ours(Class.PRIVATE_KEY)))}
    found = {}
    for object in session.find(Template(_ours(Class.PUBLIC_KEY))):
        if (id := _id_of(session, object)) in private and _REF.fullmatch(id):
            found[id] = _read_handle(session, object, KeyRef(id.decode()))
    return tuple(found[id] for id in sorted(found))


def destroy_key(token: Token, session: Session, ref: KeyRef) -> None:
    _load(token, session, ref)
    _remove(token, session, ref)


def attest_key(token: Token, session: Session, ref: KeyRef) -> KeyAttestation:
    """What the token says of the key's life. Its word, unsigned: as good as the module that passes it on."""
    key = _load(token, session, ref)
    said = session.attributes(key.object, tuple(_FACTS.values()))
    info, slot = token.info, token.slot
    statement: dict[str, canonical_json.JsonValue] = {
        "key": ref,
        "spec": str(key.handle.spec),
        "spki_sha256": hashlib.sha256(key.handle.spki).hexdigest(),
        **{name: parse_flag(said, type) for name, type in _FACTS.items()},
        "token": {
            "label": info.label,
            "manufacturer": info.manufacturer,
            "model": info.model,
            "serial": info.serial,
            "firmware": info.firmware,
        },
        "slot": {"description": slot.description, "manufacturer": slot.manufacturer},
    }
    return KeyAttestation(ATTESTATION_KIND, canonical_json.encode(statement), bool(slot.flags & HARDWARE_SLOT))


def _generate(session: Session, ref: KeyRef, spec: KeySpec, label: str) -> None:
    plans = list(plan_generation(spec, ref.encode(), label))
    for mechanism, public, private in plans[:-1]:
        try:
            session.generate_key_pair(mechanism, public, private)
        except ModuleFailed as error:
            if error.code not in _OTHER_SPELLING:
                raise
        else:
            return
    session.generate_key_pair(*plans[-1])


def _load(token: Token, session: Session, ref: KeyRef) -> Key:
    if not _REF.fullmatch(ref.encode(errors="replace")):
        raise no_such_key(ref)
    _check_login(token, session)
    private, public = (session.find(Template({**_ours(of), Attribute.ID: ref.encode()})) for of in (Class.PRIVATE_KEY, Class.PUBLIC_KEY))
    if not private:
        raise no_such_key(ref)
    if len(private) > 1 or len(public) != 1:
        raise VaultUnavailable(
            f"the token holds {len(private)} private and {len(public)} public keys under the reference {ref}",
            hint="somebody changed the token by other means; look with pkcs11-tool --list-objects --login",
        )
    return Key(private[0], _read_handle(session, public[0], ref))


def _read_handle(session: Session, object: int, ref: KeyRef) -> KeyHandle:
    said = session.attributes(object, PUBLIC_ATTRIBUTES)
    spec, spki = parse_public_key(said)
    return KeyHandle(ref, spec, spki, said.get(Attribute.LABEL, b"").decode("utf-8", "replace"), is_exportable=False)


def _sign(session: Session, key: Key, algorithm: SignatureAlgorithm, data: bytes) -> bytes:
    octets = signing_input(algorithm, data)
    *others, last = CALLS[algorithm]
    for call in others:
        try:
            return parse_signature(key.handle.spec, session.sign(call, key.object, octets))
        except ModuleFailed as error:
            if error.code not in _OTHER_PARAMETER:
                raise
    return parse_signature(key.handle.spec, session.sign(last, key.object, octets))


def _check_stays(session: Session, key: Key) -> None:
    """A module may ignore what a template asks for."""
    said = session.attributes(key.object, tuple(_FACTS.values()))
    if parse_flag(said, Attribute.SENSITIVE) is not True or parse_flag(said, Attribute.EXTRACTABLE) is not False:
        raise VaultUnavailable(
            "the token made a key that could leave it, although it was asked not to", hint="choose a token that keeps CKA_EXTRACTABLE"
        )


def _check_pair(session: Session, key: Key) -> None:
    """The pairwise consistency test of FIPS 140-3, from outside: a key that signs nothing valid must not get a certificate."""
    algorithm, data = DEFAULT_SIGNATURE[key.handle.spec], secrets.token_bytes(TEST_OCTETS)
    if not is_signature_valid(parse_spki(key.handle.spki), algorithm, _sign(session, key, algorithm, data), data):
        raise VaultUnavailable("the token made a key whose first signature is wrong", hint="do not use this token; ask its vendor")


def _remove(token: Token, session: Session, ref: KeyRef) -> None:
    token.keys.pop(ref, None)
    _check_login(token, session)
    for of in (Class.PRIVATE_KEY, Class.PUBLIC_KEY):  # what signs goes first
        for object in session.find(Template({**_ours(of), Attribute.ID: ref.encode()})):
            session.destroy(object)


def _check_login(token: Token, session: Session) -> None:
    if token.needs_login:
        session.check_login()


def _id_of(session: Session, object: int) -> bytes:
    return session.attributes(object, (Attribute.ID,)).get(Attribute.ID, b"")


def _ours(of: Class) -> dict[Attribute, Value]:
    """Objects that only a login shows: a public key that anybody may have put there is none of ours."""
    return {Attribute.CLASS: of, Attribute.TOKEN: True, Attribute.PRIVATE: True}
