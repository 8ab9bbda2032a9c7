"""chargepki keys: the register of keys at the server, and the key vault as this machine sees it."""

import hashlib
from typing import TYPE_CHECKING, Annotated

import typer

from chargepki.cli.desk import Desk, command, noun
from chargepki.cli.exits import Exit
from chargepki.errors import Refused

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from chargepki.adapters.keys.diagnosis import KeyCheck
    from chargepki.client.keys import Key
    from chargepki.core.records import KeyRef
    from chargepki.ports import KeyHandle

app = noun("keys", "Keys of authorities: list, show, generate, activate, retire, destroy; and doctor, for the vault of this machine.")

RefArgument = Annotated[str, typer.Argument(metavar="KEY", help="the key: key_...")]


@command(app, "list", undone="Nothing was changed.")
async def list_keys(
    desk: Desk, local: Annotated[bool, typer.Option("--local", help="what the vault of this machine holds, without the server")] = False
) -> None:
    """List the keys of the register, oldest first, with their states; without a server, those that this machine's vault holds."""
    found = None if local else await _find_registered(desk)
    if found is None:
        await _list_vault(desk)
        return
    if desk.is_json:
        desk.out.json(found)
        return
    rows = [(k.ref, k.spec, k.label, k.state, _spell_attestation(k), k.spki_sha256[:16]) for k in found]
    desk.out.table(
        ("KEY", "KIND", "LABEL", "STATE", "ATTESTED BY", "SPKI SHA-256"),
        rows,
        empty="The register holds no key. Make one: chargepki keys generate --help",
        fold=("LABEL",),
        shed=("SPKI SHA-256", "ATTESTED BY"),
    )


@command(app, "show")
async def show_key(desk: Desk, key: RefArgument) -> None:
    """Show one key of the register and what its device said of it."""
    async with desk.client() as client:
        found = await client.keys.get(key)
    _show(desk, found)


@command(app, "generate", undone="No key was made.")
async def generate_key(
    desk: Desk,
    kind: Annotated[str, typer.Argument(metavar="KIND", help="ec-p256, ec-p384, rsa-4096, ...")],
    label: Annotated[str, typer.Option(help="what it is for: 'authority next-root'")],
) -> None:
    """Make a key in the vault. It is pending: it signs nothing until it is activated."""
    async with desk.client() as client:
        made = await client.keys.generate(key_spec=kind, label=label)
    _show(desk, made, ("Next", f"chargepki keys activate {made.ref}"))


@command(app, "activate", undone="The key signs no more than before.")
async def activate_key(desk: Desk, key: RefArgument) -> None:
    """Let a pending key sign."""
    async with desk.client() as client:
        found = await client.keys.activate(key)
    _show(desk, found, ("Undo", f"chargepki keys retire {found.ref}"))


@command(app, "retire", undone="The key signs what it signed before.")
async def retire_key(desk: Desk, key: RefArgument) -> None:
    """Let a key sign CRLs and OCSP answers only. It never comes back."""
    async with desk.client() as client:
        found = await client.keys.retire(key)
    _show(desk, found, ("Undo", "not possible: another key takes over"))


@command(app, "destroy", undone="Nothing was destroyed.")
async def destroy_key(
    desk: Desk,
    key: RefArgument,
    confirm: Annotated[str, typer.Option(metavar="LABEL", help="the key's label, to say that you mean it")] = "",
) -> None:
    """Erase a key in the vault, for ever."""
    async with desk.client() as client:
        found = await client.keys.get(key)
        if confirm != found.label:
            message = f"you named {confirm!r}; this is {found.label!r}" if confirm else "destroying a key wants its label"
            raise Refused.because("cli.confirm", message, hint=f"add --confirm {found.label!r} when you mean it")
        found = await client.keys.destroy(key)
    _show(desk, found)


async def _find_registered(desk: Desk) -> "Sequence[Key] | None":
    """None, and why, where there is no server to ask."""
    from chargepki.client.transport import Unreachable

    try:
        async with desk.client() as client:
            return [key async for key in client.keys.list()]
    except Unreachable as error:
        desk.out.talk(f"{error}: this is what the vault of this machine holds")
    except Refused as refusal:
        if refusal.findings[0].code != "client.token":
            raise
        desk.out.talk("no server is known here: this is what the vault of this machine holds")
    return None


async def _list_vault(desk: Desk) -> None:
    handles = await _read_vault(desk)
    if desk.is_json:
        desk.out.json(
            [
                {
                    "ref": handle.ref,
                    "spec": handle.spec,
                    "label": handle.label,
                    "is_exportable": handle.is_exportable,
                    "spki_sha256": hashlib.sha256(handle.spki).hexdigest(),
                }
                for handle in handles
            ]
        )
        return
    rows = [
        (h.ref, h.spec, h.label, "exportable" if h.is_exportable else "stays", hashlib.sha256(h.spki).hexdigest()[:16]) for h in handles
    ]
    desk.out.table(("KEY", "KIND", "LABEL", "LEAVES", "SPKI SHA-256"), rows, empty="The vault holds no key.", fold=("LABEL",))


async def _read_vault(desk: Desk) -> "Sequence[KeyHandle]":
    import asyncio

    from chargepki.adapters.keys.process import harden_process
    from chargepki.config import load_config
    from chargepki.vaults import close_vault, open_vault

    harden_process()
    vault = await asyncio.to_thread(open_vault, load_config(desk.data))
    try:
        return await vault.list()
    finally:
        close_vault(vault)


def _show(desk: Desk, key: "Key", *more: tuple[str, str]) -> None:
    from chargepki.cli.output import minute

    if desk.is_json:
        desk.out.json(key)
        return
    statement = f"; statement {key.attestation.statement}" if key.attestation else ""
    desk.out.facts(
        ("Key", f"{key.ref}: {key.label}"),
        ("Kind", key.spec),
        ("State", f"{key.state} since {minute(key.changed_at)}"),
        ("Vault", key.vault),
        ("Attested", _spell_attestation(key) + statement),
        ("SPKI", f"sha256:{key.spki_sha256}"),
        ("Made", minute(key.created_at)),
        *more,
    )


def _spell_attestation(key: "Key") -> str:
    if key.attestation is None:
        return "nobody"
    return f"{key.attestation.kind} ({'hardware' if key.attestation.is_hardware else 'software'})"


@command(app, "doctor")
async def doctor(
    desk: Desk,
    key: Annotated[str, typer.Option(metavar="KEY", help="sign with this key instead of one made for the test")] = "",
    final_try: Annotated[bool, typer.Option("--final-try", help="log in although one more wrong PIN locks the token")] = False,
) -> None:
    """Check module, slots, token, PIN, mechanisms, sessions, clock and a signature; exits 1 when something is wrong."""
    from chargepki.adapters.keys.process import harden_process
    from chargepki.core.records import KeyRef

    harden_process()
    checks = [check async for check in _checks(desk, KeyRef(key) if key else None, risks_final_try=final_try)]
    if desk.is_json:
        desk.out.json([{"name": c.name, "is_well": c.is_well, "seen": c.seen, "fix": c.fix} for c in checks])
    else:
        for check in checks:
            desk.out.line(f"{'ok   ' if check.is_well else 'FAIL '} {check.name:<10} {check.seen}")
            if not check.is_well:
                desk.out.line(f"      fix: {check.fix}")
    if not all(check.is_well for check in checks):
        raise typer.Exit(Exit.REFUSED)


async def _checks(desk: Desk, key: "KeyRef | None", *, risks_final_try: bool) -> "AsyncIterator[KeyCheck]":
    """The token's own checks where it is one, then what every vault can be asked."""
    import asyncio

    from chargepki.adapters.clock import SystemClock
    from chargepki.adapters.keys.diagnosis import diagnose_vault, failed
    from chargepki.adapters.keys.pkcs11.diagnosis import diagnose_token
    from chargepki.adapters.keys.pkcs11.vault import Pkcs11Vault
    from chargepki.config import FileKeysSection, Pkcs11Section, load_config
    from chargepki.errors import ChargePkiError
    from chargepki.ports import KeyVault
    from chargepki.vaults import close_vault, open_token, open_vault

    config = load_config(desk.data)
    found: list[KeyVault] = []
    if isinstance(keys := config.keys, Pkcs11Section):

        def open_it() -> Pkcs11Vault:
            return open_token(config, keys, risks_final_try=risks_final_try)

        for check in await asyncio.to_thread(lambda: list(diagnose_token(keys.module, keys.token, open_it, found.append))):
            yield check
    else:
        try:
            found.append(await asyncio.to_thread(open_vault, config))
        except ChargePkiError as error:
            yield failed("open", error)
    for vault in found:
        async for check in diagnose_vault(
            vault, now=SystemClock().now(), key=key, makes_test_key=isinstance(keys, FileKeysSection | Pkcs11Section)
        ):
            yield check
        close_vault(vault)
