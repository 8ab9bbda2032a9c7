"""chargepki profile: what can be issued, and narrowing it while the platform runs."""

from typing import TYPE_CHECKING, Annotated, Final

import typer

from chargepki.cli.desk import Desk, command, noun

if TYPE_CHECKING:
    from chargepki.client import Client
    from chargepki.client.authorities import Narrowing, Profile

app = noun("profile", "Certificate profiles: list, show, propose, versions.")

IdArgument = Annotated[str, typer.Argument(metavar="PROFILE", help="ocpp/station")]
_LIMITS: Final = ("validity_days", "validity_days_max", "keys", "organizations", "host_suffixes")


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
async def show_profile(desk: Desk, id: IdArgument) -> None:
    """Show one profile as it is in force: its limits, where they come from, and the clauses it follows."""
    async with desk.client() as client:
        profile = await client.profiles.get(id)
    if desk.is_json:
        desk.out.json(profile)
        return
    subject = ", ".join(rule.type if rule.is_required else f"{rule.type} (optional)" for rule in profile.subject)
    desk.out.facts(
        ("Profile", f"{profile.id} version {profile.effective_version}: {profile.title}"),
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
        ("Limits", _spell_sources(profile)),
        ("Changed", f"{profile.change} times: chargepki profile versions {profile.id}" if profile.change else ""),
    )


@command(app, "versions")
async def list_versions(
    desk: Desk,
    id: Annotated[str, typer.Argument(metavar="PROFILE", help="only of this profile")] = "",
    limit: Annotated[int, typer.Option(min=1, help="at most so many")] = 50,
) -> None:
    """List what profiles were changed to while the platform ran, newest first."""
    from chargepki.cli.output import minute
    from chargepki.client.authorities import ProfileVersion

    found: list[ProfileVersion] = []
    async with desk.client() as client:
        async for version in client.profiles.versions(profile=id):
            found.append(version)
            if len(found) == limit:
                break
    if desk.is_json:
        desk.out.json(found)
        return
    rows = [(v.profile, str(v.number), _spell(v.narrowing), minute(v.created_at), v.created_by, v.proposal or "") for v in found]
    desk.out.table(
        ("PROFILE", "CHANGE", "NARROWED TO", "SINCE", "PROPOSED BY", "PROPOSAL"),
        rows,
        empty="No profile was changed: what is built in holds, within config.toml.",
        fold=("NARROWED TO",),
        shed=("PROPOSED BY", "PROPOSAL"),
    )


@command(app, "propose", undone="Nothing was changed.")
async def propose_change(
    desk: Desk,
    id: IdArgument,
    validity_days: Annotated[int | None, typer.Option(min=1, help="valid for so many days, when nobody says")] = None,
    validity_days_max: Annotated[int | None, typer.Option(min=1, help="valid for so many days at most")] = None,
    keys: Annotated[str, typer.Option(metavar="KIND,...", help="only these kinds of keys: ec-p256,ec-p384")] = "",
    organizations: Annotated[str, typer.Option(metavar="NAME,...", help="only these organizations (O)")] = "",
    host_suffixes: Annotated[str, typer.Option(metavar="NAME,...", help="only hosts that are or lie below these")] = "",
    built_in: Annotated[bool, typer.Option("--built-in", help="begin with what is built in, not with what is in force")] = False,
) -> None:
    """Propose other limits of a profile. What is not named stays as the change in force has it.

    To narrow takes one other person. To allow again what was taken away takes a security officer, a CA officer and a day. Nothing goes
    beyond what is built in, or beyond config.toml.
    """
    from chargepki.client.authorities import Narrowing

    async with desk.client() as client:
        profile = await client.profiles.get(id)
        start = Narrowing() if built_in else await _in_force(client, profile)
        wanted = Narrowing(
            start.validity_days if validity_days is None else validity_days,
            start.validity_days_max if validity_days_max is None else validity_days_max,
            _split(keys) or start.keys,
            _split(organizations) or start.organizations,
            _split(host_suffixes) or start.host_suffixes,
        )
        version = await client.profiles.propose(id, wanted, base=profile.change)
    if desk.is_json:
        desk.out.json(version)
        return
    desk.out.facts(
        ("Changed", f"{version.profile}, change {version.number}: {_spell(version.narrowing)}"),
        ("In force", "at once here, within a second on other nodes"),
        ("Check", f"chargepki profile show {version.profile}"),
        ("Undo", f"chargepki profile propose {version.profile} --built-in"),
    )


async def _in_force(client: "Client", profile: "Profile") -> "Narrowing":
    from chargepki.client.authorities import Narrowing

    if not profile.change:
        return Narrowing()
    async for version in client.profiles.versions(profile=profile.id):
        return version.narrowing
    return Narrowing()


def _split(text: str) -> tuple[str, ...] | None:
    return tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip())) or None


def _spell(narrowing: "Narrowing") -> str:
    values = ((field, getattr(narrowing, field)) for field in _LIMITS)
    said = [f"{field} {', '.join(value) if isinstance(value, tuple) else value}" for field, value in values if value is not None]
    return "; ".join(said) or "what is built in"


def _spell_sources(profile: "Profile") -> str:
    return "; ".join(f"{field} by {profile.source_of(field)}" for field in _LIMITS if profile.source_of(field) != "built-in") or "built-in"
