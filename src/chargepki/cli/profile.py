"""chargepki profile: what can be issued."""

from typing import Annotated

import typer

from chargepki.cli.desk import Desk, command, noun

app = noun("profile", "Certificate profiles: list, show.")


@command(app, "list")
async def list_profiles(desk: Desk) -> None:
    """List the profiles this deployment offers."""
    async with desk.client() as client:
        listed = await client.profiles.list()
    if desk.is_json:
        desk.out.json(listed)
        return
    rows = [
        (p.id, p.title, p.subject_kind, f"{p.validity_days} (max {p.validity_days_max})", ", ".join(p.issuers) or "itself") for p in listed
    ]
    desk.out.table(
        ("PROFILE", "TITLE", "SPEAKS FOR", "DAYS", "ISSUED BY"),
        rows,
        empty="This deployment offers no profile.",
        fold=("TITLE", "ISSUED BY"),
        shed=("ISSUED BY", "SPEAKS FOR", "DAYS"),
    )


@command(app, "show")
async def show_profile(desk: Desk, id: Annotated[str, typer.Argument(metavar="PROFILE", help="ocpp/station")]) -> None:
    """Show one profile and the clauses it follows."""
    async with desk.client() as client:
        profile = await client.profiles.get(id)
    if desk.is_json:
        desk.out.json(profile)
        return
    subject = ", ".join(rule.type if rule.is_required else f"{rule.type} (optional)" for rule in profile.subject)
    desk.out.facts(
        ("Profile", f"{profile.id} version {profile.version}: {profile.title}"),
        ("Names", f"{subject}; from the {profile.subject_kind}, never from the CSR"),
        ("Alternative names", "" if profile.san == "none" else profile.san),
        ("Keys", ", ".join(profile.keys)),
        ("Key usage", ", ".join(profile.key_usage)),
        ("RSA key usage", ", ".join(profile.rsa_key_usage or ())),
        ("Extended key usage", ", ".join(profile.extended_key_usage)),
        ("Days", f"{profile.validity_days}, at most {profile.validity_days_max}"),
        ("Issued by", ", ".join(profile.issuers) or "itself"),
        ("Only for", ", ".join((*(profile.organizations or ()), *(f"hosts below {s}" for s in profile.host_suffixes or ())))),
        ("Follows", "; ".join(profile.clauses)),
    )
