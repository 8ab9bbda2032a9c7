"""The token vault on a real module: SoftHSM 2 as Debian ships it."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest

from chargepki.adapters.keys.pkcs11 import token
from chargepki.adapters.keys.pkcs11.codes import HARDWARE_SLOT, Attribute, Class, ModuleFailed, Rv, TokenFlag
from chargepki.adapters.keys.pkcs11.cryptoki import Session, load_module
from chargepki.adapters.keys.pkcs11.structures import MechanismCall, Template
from chargepki.adapters.keys.pkcs11.token import check_pin_state, find_token
from chargepki.adapters.keys.pkcs11.uri import TokenName, parse_token_name
from chargepki.adapters.keys.pkcs11.vault import Pkcs11Vault
from chargepki.core.algorithms import KeyFamily, KeySpec, SignatureAlgorithm, family_of
from chargepki.core.records import KeyRef
from chargepki.errors import NotFound, Refused, VaultUnavailable
from tests.adapters.keys.contract import VaultContract, order, verifies
from tests.adapters.keys.softhsm import PIN, SoftHsm

LABEL = "ChargePKI test"
CLASSICAL = frozenset(spec for spec in KeySpec if family_of(spec) is not KeyFamily.MLDSA)


@pytest.fixture
def hsm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SoftHsm:
    hsm = SoftHsm(tmp_path)
    hsm.set_up(LABEL, "another")
    monkeypatch.setenv("SOFTHSM2_CONF", str(hsm.configuration))
    monkeypatch.setattr(token, "_refused", token._RefusedPins())
    return hsm


@pytest.fixture
def vault(hsm: SoftHsm) -> Iterator[Pkcs11Vault]:
    vault = Pkcs11Vault.open(hsm.module, LABEL, PIN)
    yield vault
    vault.close()


class TestPkcs11Vault(VaultContract):
    specs: ClassVar[frozenset[KeySpec]] = CLASSICAL
    exports: ClassVar[bool] = False


# -------------------------------------------------------------------------------------------------------------- what a key may do


async def test_a_key_can_never_leave_the_token_and_only_signs(vault: Pkcs11Vault) -> None:
    handle = await vault.generate(KeySpec.RSA2048, label="an authority's")
    wanted = {Attribute.SENSITIVE: 1, Attribute.EXTRACTABLE: 0, Attribute.PRIVATE: 1, Attribute.TOKEN: 1, Attribute.MODIFIABLE: 0}
    forbidden = {Attribute.DECRYPT: 0, Attribute.UNWRAP: 0, Attribute.SIGN: 1}
    said = vault._token.run(lambda session: session.attributes(_private_key(session, handle.ref), tuple(wanted | forbidden)))
    assert {type: octets[0] for type, octets in said.items()} == wanted | forbidden


async def test_the_private_parts_of_a_key_cannot_be_read(vault: Pkcs11Vault) -> None:
    handle = await vault.generate(KeySpec.P256, label="an authority's")
    value = 0x11  # CKA_VALUE, which this program has no name for
    said = vault._token.run(lambda session: session.attributes(_private_key(session, handle.ref), (value,)))  # type: ignore[arg-type]
    assert said == {}


async def test_without_a_login_neither_half_of_a_key_is_seen(hsm: SoftHsm, vault: Pkcs11Vault) -> None:
    """So nobody without the PIN can read a public key, or put another in its place."""
    await vault.generate(KeySpec.P256, label="an authority's")
    script = f"""if True:
        from pathlib import Path
        from chargepki.adapters.keys.pkcs11.cryptoki import load_module
        from chargepki.adapters.keys.pkcs11.structures import Template
        from chargepki.adapters.keys.pkcs11.token import find_token
        from chargepki.adapters.keys.pkcs11.uri import TokenName
        module = load_module(Path({str(hsm.module)!r})); module.acquire()
        session = module.open_session(find_token(module, TokenName({LABEL!r})).slot)
        print(len(session.find(Template({{}}))))
    """
    assert _in_another_process(script) == "0"


async def test_the_token_attests_where_a_key_comes_from(vault: Pkcs11Vault) -> None:
    handle = await vault.generate(KeySpec.P256, label="an authority's")
    attestation = await vault.attest(handle.ref)
    assert attestation is not None
    said = json.loads(attestation.statement)
    assert (said["local"], said["always_sensitive"], said["never_extractable"], said["extractable"]) == (True, True, True, False)
    assert said["token"]["manufacturer"] == "SoftHSM project"
    assert not attestation.is_hardware


async def test_mldsa_is_refused_with_the_way_out(vault: Pkcs11Vault) -> None:
    with pytest.raises(Refused) as refusal:
        await vault.generate(KeySpec.MLDSA65, label="post-quantum")
    assert "sealed files" in refusal.value.findings[0].hint


async def test_keys_of_other_programs_are_neither_listed_nor_used(hsm: SoftHsm, vault: Pkcs11Vault) -> None:
    tool = shutil.which("pkcs11-tool") or pytest.skip("pkcs11-tool (opensc) is not installed")
    _pkcs11_tool(hsm, tool, "--keypairgen", "--key-type", "EC:prime256v1", "--label", "foreign", "--id", "01")
    ours = await vault.generate(KeySpec.P256, label="ours")
    assert await vault.list() == (ours,)
    with pytest.raises(NotFound):
        await vault.get(KeyRef("01"))


async def test_a_foreign_tool_sees_the_keys_as_they_are(hsm: SoftHsm, vault: Pkcs11Vault) -> None:
    tool = shutil.which("pkcs11-tool") or pytest.skip("pkcs11-tool (opensc) is not installed")
    handle = await vault.generate(KeySpec.P384, label="the operator's root")
    listed = _pkcs11_tool(hsm, tool, "--list-objects", "--type", "privkey")
    assert "the operator's root" in listed
    assert handle.ref.encode().hex() in listed
    assert "never extractable" in listed


async def test_every_kind_of_key_survives_a_restart(hsm: SoftHsm) -> None:
    first = Pkcs11Vault.open(hsm.module, LABEL, PIN)
    made = [await first.generate(spec, label=spec) for spec in sorted(CLASSICAL - {KeySpec.RSA3072, KeySpec.RSA4096})]
    first.close()
    again = Pkcs11Vault.open(hsm.module, f"pkcs11:token={LABEL.replace(' ', '%20')}", PIN)
    assert list(await again.list()) == made
    for handle in made:
        assert verifies(handle, await again.sign(order(handle, b"data")), b"data")
    again.close()


# ---------------------------------------------------------------------------------------------------------------- many at a time


async def test_eight_threads_sign_with_keys_of_all_kinds(vault: Pkcs11Vault) -> None:
    handles = [await vault.generate(spec, label=spec) for spec in sorted(CLASSICAL - {KeySpec.RSA4096})]

    def in_a_loop_of_its_own(thread: int) -> bool:
        async def sign_all() -> bool:
            data = f"thread {thread}".encode()
            signatures = await asyncio.gather(*(vault.sign(order(handle, data)) for handle in handles * 5))
            return all(verifies(handle, signature, data) for handle, signature in zip(handles * 5, signatures, strict=True))

        return asyncio.run(sign_all())

    assert all(await asyncio.gather(*(asyncio.to_thread(in_a_loop_of_its_own, thread) for thread in range(8))))
    assert len(vault._token._idle) <= 8


async def test_two_vaults_of_one_process_share_the_login_and_outlive_each_other(hsm: SoftHsm, vault: Pkcs11Vault) -> None:
    second = Pkcs11Vault.open(hsm.module, LABEL, PIN)
    handle = await second.generate(KeySpec.P256, label="shared")
    assert await vault.get(handle.ref) == handle
    assert second._token is vault._token
    second.close()
    assert verifies(handle, await vault.sign(order(handle, b"data")), b"data")


async def test_two_tokens_of_one_module_keep_their_keys_apart(hsm: SoftHsm, vault: Pkcs11Vault) -> None:
    other = Pkcs11Vault.open(hsm.module, "another", PIN)
    handle = await other.generate(KeySpec.P256, label="the other's")
    assert await vault.list() == ()
    with pytest.raises(NotFound):
        await vault.sign(order(handle, b"data"))
    other.close()


async def test_a_second_vault_does_not_get_in_on_the_login_of_the_first(hsm: SoftHsm, vault: Pkcs11Vault) -> None:
    with pytest.raises(VaultUnavailable, match="another PIN"):
        Pkcs11Vault.open(hsm.module, LABEL, b"wrong-1234")
    assert not _flags(hsm) & TokenFlag.USER_PIN_COUNT_LOW  # the token was not asked


async def test_a_forked_child_does_not_touch_its_parents_sessions(vault: Pkcs11Vault) -> None:
    handle = await vault.generate(KeySpec.P256, label="the parent's")
    child = os.fork()
    if child == 0:
        try:
            vault._token.run(lambda session: None)
        except VaultUnavailable as error:
            os._exit(0 if "fork" in str(error) else 1)
        os._exit(2)
    _, status = await asyncio.to_thread(os.waitpid, child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert verifies(handle, await vault.sign(order(handle, b"data")), b"data")


async def test_a_quick_program_signs_without_a_thread_and_a_device_never(vault: Pkcs11Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    handle = await vault.generate(KeySpec.P256, label="a key")
    await vault.sign(order(handle, b"data"))
    monkeypatch.setitem(vault._token._pace, SignatureAlgorithm.ECDSA_SHA256, 0.0001)
    seen: list[str] = []
    sign = Session.sign

    def seen_sign(self: Session, mechanism: MechanismCall, key: int, data: bytes) -> bytes:
        seen.append(threading.current_thread().name)
        return sign(self, mechanism, key, data)

    monkeypatch.setattr(Session, "sign", seen_sign)
    await vault.sign(order(handle, b"data"))
    monkeypatch.setattr(vault._token, "slot", replace(vault._token.slot, flags=HARDWARE_SLOT))
    await vault.sign(order(handle, b"data"))
    assert seen[0] == threading.current_thread().name
    assert seen[1].startswith("pkcs11")


async def test_a_session_lost_without_a_thread_is_opened_again_in_one(vault: Pkcs11Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    handle = await vault.generate(KeySpec.P256, label="a key")
    await vault.sign(order(handle, b"data"))
    monkeypatch.setitem(vault._token._pace, SignatureAlgorithm.ECDSA_SHA256, 0.0001)
    vault._token._module.close_all_sessions(vault._token.info.slot)
    assert verifies(handle, await vault.sign(order(handle, b"data")), b"data")


# ------------------------------------------------------------------------------------------------------------------ lost and found


async def test_sessions_closed_behind_its_back_are_opened_again(vault: Pkcs11Vault) -> None:
    handle = await vault.generate(KeySpec.P256, label="a key")
    for _ in range(3):
        load_module(vault._token._module.path).close_all_sessions(vault._token.info.slot)  # ends the login as well
        assert verifies(handle, await vault.sign(order(handle, b"data")), b"data")
        assert await vault.list() == (handle,)


async def test_a_lost_login_hides_no_key(vault: Pkcs11Vault) -> None:
    """Without a login a token says of every key that it is not there: that must not reach anybody as the truth."""
    handle = await vault.generate(KeySpec.P256, label="a key")
    vault._token._module.close_all_sessions(vault._token.info.slot)
    vault._token.keys.clear()
    assert await vault.get(handle.ref) == handle
    vault._token._module.close_all_sessions(vault._token.info.slot)
    vault._token._idle[:] = [vault._token._module.open_session(vault._token.info.slot)]  # alive, but without a login
    assert await vault.list() == (handle,)


async def test_many_who_lose_their_session_at_once_log_in_once(vault: Pkcs11Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    handle = await vault.generate(KeySpec.P256, label="a key")
    logins = _count_logins(monkeypatch)

    def close_all() -> None:
        with vault._token._module.gate.shut():  # between two calls: inside one SoftHSM itself would crash
            vault._token._module.close_all_sessions(vault._token.info.slot)

    async def disturb() -> None:
        for _ in range(4):
            await asyncio.sleep(0.02)
            await asyncio.to_thread(close_all)

    orders = [order(handle, f"data {n}".encode()) for n in range(800)]
    disturbing = asyncio.create_task(disturb())
    outcomes = await asyncio.gather(*map(vault.sign, orders), return_exceptions=True)
    await disturbing
    for n, outcome in enumerate(outcomes):  # hit twice in a row, and said so; or signed, and what was ordered
        assert isinstance(outcome, VaultUnavailable) or (isinstance(outcome, bytes) and verifies(handle, outcome, f"data {n}".encode()))
    assert len(logins) <= 4
    assert verifies(handle, await vault.sign(order(handle, b"data")), b"data")


async def test_a_module_that_somebody_finalised_is_initialised_again(vault: Pkcs11Vault) -> None:
    handle = await vault.generate(KeySpec.P256, label="a key")
    vault._token._module._functions["C_Finalize"](None)
    assert verifies(handle, await vault.sign(order(handle, b"data")), b"data")


async def test_a_token_deleted_under_it_signs_nothing_and_says_so(hsm: SoftHsm, vault: Pkcs11Vault) -> None:
    handle = await vault.generate(KeySpec.P256, label="a key")
    hidden = hsm.directory / "hidden"
    hsm.tokens.rename(hidden)
    hsm.tokens.mkdir()
    vault._token._module._functions["C_Finalize"](None)  # SoftHSM looks at the disk when it starts
    for _ in range(2):
        with pytest.raises(VaultUnavailable, match="did not come back: there is no token") as failure:
            await vault.sign(order(handle, b"data"))
    assert failure.value.hint
    hsm.tokens.rmdir()
    hidden.rename(hsm.tokens)
    vault._token._module._functions["C_Finalize"](None)
    assert verifies(handle, await vault.sign(order(handle, b"data")), b"data")  # and it comes back with the token


async def test_a_key_destroyed_by_another_program_is_gone(hsm: SoftHsm, vault: Pkcs11Vault) -> None:
    handle = await vault.generate(KeySpec.P256, label="a key")
    await vault.sign(order(handle, b"data"))
    for object in next(hsm.tokens.iterdir()).parent.rglob("*.object"):
        if object.name != "token.object":
            object.unlink()
    with pytest.raises((NotFound, VaultUnavailable)):
        await vault.sign(order(handle, b"data"))


async def test_a_failed_device_is_tried_twice_and_no_more(vault: Pkcs11Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    handle = await vault.generate(KeySpec.P256, label="a key")
    tries: list[int] = []

    def fail(self: Session, *_: object) -> bytes:
        tries.append(1)
        raise ModuleFailed("C_Sign", Rv.DEVICE_REMOVED)

    monkeypatch.setattr(Session, "sign", fail)
    with pytest.raises(VaultUnavailable, match="CKR_DEVICE_REMOVED"):
        await vault.sign(order(handle, b"data"))
    assert len(tries) == 2


async def test_a_device_that_does_not_answer_holds_nobody_up_for_ever(vault: Pkcs11Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    handle = await vault.generate(KeySpec.P256, label="a key")
    monkeypatch.setattr(vault, "_call_seconds", 0.05)
    monkeypatch.setattr(vault._token, "_pace", {})

    def hang(self: Session, *_: object) -> bytes:
        time.sleep(0.5)
        return bytes(64)

    monkeypatch.setattr(Session, "sign", hang)
    with pytest.raises(VaultUnavailable, match="has not answered"):
        await vault.sign(order(handle, b"data"))


# ------------------------------------------------------------------------------------------------------------------------ the PIN


def test_a_wrong_pin_is_tried_once_however_often_it_is_given(hsm: SoftHsm, monkeypatch: pytest.MonkeyPatch) -> None:
    logins = _count_logins(monkeypatch)
    with pytest.raises(VaultUnavailable, match=r"CKR_PIN_INCORRECT.*the PIN is wrong") as first:
        Pkcs11Vault.open(hsm.module, LABEL, b"wrong-1234")
    assert "locks" in first.value.hint
    assert "wrong-1234" not in str(first.value)
    for _ in range(2):
        with pytest.raises(VaultUnavailable, match="not tried again"):
            Pkcs11Vault.open(hsm.module, LABEL, b"wrong-1234")
    assert len(logins) == 1
    Pkcs11Vault.open(hsm.module, LABEL, PIN).close()  # the right one still opens it


async def test_a_pin_changed_under_it_is_tried_once(hsm: SoftHsm, vault: Pkcs11Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    handle = await vault.generate(KeySpec.P256, label="a key")
    logins = _count_logins(monkeypatch)
    monkeypatch.setattr(vault._token, "_pin", b"no-longer-right")
    vault._token._module.close_all_sessions(vault._token.info.slot)
    for _ in range(5):
        with pytest.raises(VaultUnavailable):
            await vault.sign(order(handle, b"data"))
    assert len(logins) == 1


@pytest.mark.parametrize("pin", [b"", b"123", b"x" * 300])
def test_a_pin_of_a_wrong_length_costs_no_try(hsm: SoftHsm, monkeypatch: pytest.MonkeyPatch, pin: bytes) -> None:
    logins = _count_logins(monkeypatch)
    with pytest.raises(VaultUnavailable, match="not tried"):
        Pkcs11Vault.open(hsm.module, LABEL, pin)
    assert logins == []


@pytest.mark.parametrize(
    ("flag", "words"),
    [
        (TokenFlag.USER_PIN_LOCKED, "locked after too many wrong tries"),
        (TokenFlag.USER_PIN_FINAL_TRY, "one more wrong PIN locks the token, so none was tried"),
    ],
)
async def test_the_last_try_is_never_taken_by_itself(vault: Pkcs11Vault, flag: TokenFlag, words: str) -> None:
    info = replace(vault._token.info, flags=vault._token.info.flags | flag)
    with pytest.raises(VaultUnavailable, match=words):
        check_pin_state(info, PIN, risks_final_try=False)
    if flag is TokenFlag.USER_PIN_FINAL_TRY:
        check_pin_state(info, PIN, risks_final_try=True)


def test_a_token_without_a_pin_wants_one(hsm: SoftHsm) -> None:
    with pytest.raises(VaultUnavailable, match="wants a PIN"):
        Pkcs11Vault.open(hsm.module, LABEL, None)


async def test_the_vault_shows_neither_pin_nor_key(vault: Pkcs11Vault) -> None:
    assert PIN.decode() not in repr(vault) + repr(vault._token)


# ------------------------------------------------------------------------------------------------------------ modules and tokens


def test_a_missing_module_and_a_file_that_is_none_are_named(tmp_path: Path) -> None:
    with pytest.raises(VaultUnavailable, match="cannot be loaded"):
        Pkcs11Vault.open(tmp_path / "absent.so", LABEL, PIN)
    (tmp_path / "text.so").write_text("no library")
    with pytest.raises(VaultUnavailable, match="cannot be loaded"):
        Pkcs11Vault.open(tmp_path / "text.so", LABEL, PIN)


def test_an_absent_token_is_named_with_those_there_are(hsm: SoftHsm) -> None:
    with pytest.raises(VaultUnavailable, match=r"there is no token with label .absent.; the module shows .*another"):
        Pkcs11Vault.open(hsm.module, "absent", PIN)


def test_of_two_tokens_with_one_name_none_is_guessed(hsm: SoftHsm) -> None:
    hsm.util("--init-token", "--free", "--label", "another", "--so-pin", "12345678", "--pin", PIN.decode())
    with pytest.raises(VaultUnavailable, match="2 tokens are called") as failure:
        Pkcs11Vault.open(hsm.module, "another", PIN)
    assert "serial=" in failure.value.hint


@pytest.mark.clause("RFC 7512 2.3")
@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("ChargePKI", TokenName("ChargePKI")),
        ("a label; with=signs", TokenName("a label; with=signs")),
        ("pkcs11:token=Charge%20PKI", TokenName("Charge PKI")),
        ("pkcs11:token=A;serial=0123;manufacturer=M%c3%bcller;model=X", TokenName("A", "0123", "Müller", "X")),
        ("pkcs11:slot-id=7", TokenName(slot=7)),
    ],
)
def test_a_token_is_named_by_label_or_uri(text: str, name: TokenName) -> None:
    assert parse_token_name(text) == name


@pytest.mark.clause("RFC 7512 2.3")
@pytest.mark.parametrize(
    "text",
    [
        "",
        "x" * 1025,
        "pkcs11:",
        "pkcs11:token",
        "pkcs11:token=A;token=B",
        "pkcs11:token=A?pin-value=1234",
        "pkcs11:token=A?module-path=/tmp/evil.so",
        "pkcs11:object=key",
        "pkcs11:token=%zz",
        "pkcs11:token=%ff",
        "pkcs11:slot-id=x",
    ],
)
def test_a_uri_that_names_no_token_or_says_a_pin_is_refused(text: str) -> None:
    with pytest.raises(Refused, match=r"vault\.token\.malformed") as refusal:
        parse_token_name(text)
    assert "1234" not in str(refusal.value)


# --------------------------------------------------------------------------------------------------------------------------- tools


def _private_key(session: Session, ref: KeyRef) -> int:
    (object,) = session.find(Template({Attribute.CLASS: Class.PRIVATE_KEY, Attribute.ID: ref.encode()}))
    return object


def _flags(hsm: SoftHsm) -> TokenFlag:
    return find_token(load_module(hsm.module), TokenName(LABEL)).flags


def _count_logins(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    logins: list[int] = []
    login = Session.login

    def counted(self: Session, pin: bytes | None) -> None:
        logins.append(1)
        login(self, pin)

    monkeypatch.setattr(Session, "login", counted)
    return logins


def _in_another_process(script: str) -> str:
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.strip()


def _pkcs11_tool(hsm: SoftHsm, tool: str, *arguments: str) -> str:
    command = [tool, "--module", str(hsm.module), "--token-label", LABEL, "--login", "--pin", PIN.decode(), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
