"""chargepki station: the inventory."""

from typing import TYPE_CHECKING, Annotated

import typer

from chargepki.cli.desk import Desk, command, noun

if TYPE_CHECKING:
    from chargepki.client.stations import Station

app = noun("station", "Charging stations: list, add, show, update, password, token, trigger, events, sessions.")

IdArgument = Annotated[str, typer.Argument(metavar="ID", help="the station's OCPP identity: CS-17")]


@command(app, "list")
async def list_stations(
    desk: Desk,
    text: Annotated[str, typer.Option(help="a part of the id or of the serial number")] = "",
    operator: Annotated[str, typer.Option(help="only this operator's")] = "",
    state: Annotated[str, typer.Option(help="registered, active, suspended or decommissioned")] = "",
    limit: Annotated[int, typer.Option(min=1, help="at most so many")] = 100,
) -> None:
    """List stations by id."""
    from chargepki.cli.output import minute

    found: list[Station] = []
    async with desk.client() as client:
        async for station in client.stations.list(text=text, operator=operator, state=state):
            found.append(station)
            if len(found) == limit:
                break
    if desk.is_json:
        desk.out.json(found)
        return
    rows = [(s.id, s.serial_number, s.operator, s.state, s.security_profile, _seen(s, minute(s.last_seen))) for s in found]
    empty = "There is no such station. Add one: chargepki station add CS-17 --serial SN-0017 --operator demo-cpo"
    desk.out.table(
        ("STATION", "SERIAL NUMBER", "OPERATOR", "STATE", "PROFILE", "SEEN"),
        rows,
        empty=empty,
        shed=("PROFILE", "OPERATOR", "SEEN", "SERIAL NUMBER"),
    )


@command(app, "add", undone="Nothing was added.")
async def add_station(
    desk: Desk,
    id: IdArgument,
    serial: Annotated[str, typer.Option(metavar="SN", help="its serial number: the CN of its certificate")],
    operator: Annotated[str, typer.Option(metavar="NAME", help="its operator: the O of its certificate")],
    csr_tolerant: Annotated[bool, typer.Option("--csr-tolerant", help="accept the known quirks of field devices in its CSRs")] = False,
    include_root: Annotated[bool, typer.Option("--include-root", help="send the root with its chain")] = False,
) -> None:
    """Add a station to the inventory."""
    async with desk.client() as client:
        station = await client.stations.add(
            id=id, serial_number=serial, operator=operator, csr_tolerant=csr_tolerant, include_root=include_root
        )
    if desk.is_json:
        desk.out.json(station)
        return
    desk.out.facts(
        ("Added", f"{station.id} (serial number {station.serial_number}, operator {station.operator})"),
        ("Next", f"chargepki station password {station.id}"),
        ("or", f"chargepki station token {station.id}"),
        ("Undo", f"chargepki station update {station.id} --state decommissioned"),
    )


@command(app, "show")
async def show_station(desk: Desk, id: IdArgument) -> None:
    """Show one station and its certificates."""
    from chargepki.cli.output import day, minute

    async with desk.client() as client:
        station = await client.stations.get(id)
        if desk.is_json:
            desk.out.json(station)
            return
        certificates = [c async for c in client.certificates.list(station=id, state="valid")]
    _show(desk, station, minute(station.last_seen))
    for certificate in certificates:
        desk.out.facts(("Has", f"{certificate.profile} until {day(certificate.not_after)} ({certificate.id})"))


@command(app, "update", undone="Nothing was changed.")
async def update_station(
    desk: Desk,
    id: IdArgument,
    state: Annotated[str | None, typer.Option(help="registered, active, suspended or decommissioned")] = None,
    security_profile: Annotated[str | None, typer.Option(help="the lowest it may connect with: 2 (Basic) or 3 (mutual TLS)")] = None,
    csr_tolerant: Annotated[bool | None, typer.Option("--csr-tolerant/--csr-strict", help="how its CSRs are read")] = None,
    include_root: Annotated[bool | None, typer.Option("--include-root/--without-root", help="how its chain is sent")] = None,
) -> None:
    """Change a station; what is not said stays."""
    from chargepki.cli.output import minute

    async with desk.client() as client:
        station = await client.stations.update(
            id, state=state, security_profile=security_profile, csr_tolerant=csr_tolerant, include_root=include_root
        )
    if desk.is_json:
        desk.out.json(station)
        return
    desk.out.line(f"Changed  {station.id} (version {station.version})")
    _show(desk, station, minute(station.last_seen))


@command(app, "password", undone="The old password stays.")
async def set_password(desk: Desk, id: IdArgument) -> None:
    """Give a station a fresh Basic password; it is shown once, on stdout."""
    async with desk.client() as client:
        made = await client.stations.set_password(id)
    if desk.is_json:
        desk.out.json(made)
        return
    desk.out.talk(f"The Basic password of {made.station}, shown this once; the one before is void:")
    desk.out.line(made.password)


@command(app, "token", undone="No token was made.")
async def create_enrolment_token(
    desk: Desk,
    id: IdArgument,
    profile: Annotated[str, typer.Option(help="the profile of the one certificate it buys")] = "ocpp/station",
    hours: Annotated[int, typer.Option(min=1, help="valid for so many hours")] = 72,
) -> None:
    """Make a one-time token for one certificate; it is shown once, on stdout."""
    from chargepki.cli.output import minute

    async with desk.client() as client:
        token = await client.stations.create_enrolment_token(id, profile=profile, valid_hours=hours)
    if desk.is_json:
        desk.out.json(token)
        return
    desk.out.talk(f"One {token.profile} certificate for {token.station}, until {minute(token.expires_at)}, shown this once:")
    desk.out.line(token.secret)
    desk.out.talk("Use it as the bearer token of POST /api/v1/certificates, or as --token-file of chargepki cert request.")


@command(app, "trigger", undone="The station was not asked.")
async def trigger_certificate(desk: Desk, id: IdArgument) -> None:
    """Ask a connected station for a fresh CSR."""
    async with desk.client() as client:
        trigger = await client.stations.trigger_certificate(id)
    if desk.is_json:
        desk.out.json(trigger)
        return
    desk.out.facts(("Asked", f"{trigger.station} answered {trigger.answer}"), ("Next", f"chargepki cert list --station {trigger.station}"))


@command(app, "events")
async def list_security_events(desk: Desk, id: IdArgument, limit: Annotated[int, typer.Option(min=1, help="at most so many")] = 50) -> None:
    """List a station's security events, newest first."""
    from chargepki.cli.output import minute

    found = []
    async with desk.client() as client:
        async for event in client.stations.security_events(id):
            found.append(event)
            if len(found) == limit:
                break
    if desk.is_json:
        desk.out.json(found)
        return
    rows = [(minute(e.at), e.type, "critical" if e.is_critical else "", e.tech_info) for e in found]
    desk.out.table(("TIME", "EVENT", "", "DETAIL"), rows, empty=f"{id} has reported no security event.", fold=("DETAIL",))


@command(app, "sessions")
async def list_sessions(desk: Desk) -> None:
    """List the stations that are connected now."""
    from chargepki.cli.output import minute

    async with desk.client() as client:
        sessions = await client.stations.sessions()
    if desk.is_json:
        desk.out.json(sessions)
        return
    rows = [(s.station, s.ocpp_version, s.security_profile, s.remote, minute(s.since), s.certificate or "") for s in sessions]
    desk.out.table(
        ("STATION", "OCPP", "PROFILE", "FROM", "SINCE", "CERTIFICATE"),
        rows,
        empty="No station is connected.",
        shed=("CERTIFICATE", "FROM", "SINCE"),
    )


def _show(desk: Desk, station: "Station", seen: str) -> None:
    desk.out.facts(
        ("Station", station.id),
        ("State", station.state),
        ("Serial", f"{station.serial_number} (CN)"),
        ("Operator", f"{station.operator} (O)"),
        ("Device", " ".join(part for part in (station.vendor, station.model, station.firmware) if part)),
        ("OCPP", station.ocpp_version),
        ("Security", f"profile {station.security_profile} or higher; {'has a' if station.has_password else 'no'} Basic password"),
        ("Chain", "with the root" if station.include_root else "without the root"),
        ("CSR", "read tolerantly" if station.csr_tolerant else "read strictly"),
        ("Seen", _seen(station, seen)),
    )


def _seen(station: "Station", seen: str) -> str:
    return "connected now" if station.is_connected else seen or "never"
