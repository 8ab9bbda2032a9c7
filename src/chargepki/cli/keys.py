"""chargepki keys: the key vault that the configuration names, seen from this machine. Works without a server."""

import hashlib
from typing import TYPE_CHECKING, Annotated

import typer

from chargepki.cli.desk import Desk, command, noun
from chargepki.cli.exits import Exit

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from chargepki.adapters.keys.diagnosis import KeyCheck
    from chargepki.core.records import KeyRef

app = noun("keys", "The key vault of this machine: list, doctor.")


@command(app, "list", undone="Nothing was changed.")
async def list_keys(desk: Desk) -> None:
    """List the keys of the vault, oldest first, with the SHA-256 of their public keys."""
    import asyncio

    from chargepki.adapters.keys.process import harden_process
    from chargepki.config import load_config
    from chargepki.vaults import close_vault, open_vault

    harden_process()
    vault = await asyncio.to_thread(open_vault, load_config(desk.data))
    try:
        handles = await vault.list()
    finally:
        close_vault(vault)
    if desk.is_json:
        desk.out.json(
            [
                {
                    "ref": handle.ref,
                    "kind": handle.spec,
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
