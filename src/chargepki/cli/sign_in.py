"""chargepki login, logout, whoami, step-up; session list and end; account set-password and totp."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from chargepki.cli import session_file
from chargepki.cli.desk import Desk, command, noun
from chargepki.errors import Conflict, Finding, NeedsStepUp, NotAuthenticated, Refused

if TYPE_CHECKING:
    from chargepki.client import Client
    from chargepki.client.sign_in import DeviceStart, SessionSecret

NOBODY = "-"  # a client needs a token; below /sign-in none is looked at

sessions = noun("session", "Where people are signed in: list, end.")
account = noun("account", "Your own account: password, second factor.")


def register(app: typer.Typer) -> None:
    """The verbs without a noun, and the two nouns."""
    command(app, "login", undone="You are not signed in.")(login)
    command(app, "logout", undone="The session stands.")(logout)
    command(app, "whoami")(whoami)
    command(app, "step-up", undone="Nothing was proved.")(step_up)
    app.add_typer(sessions)
    app.add_typer(account)


async def login(
    desk: Desk,
    oidc: Annotated[bool, typer.Option("--oidc", help="through the organisation's OpenID provider")] = False,
    local: Annotated[bool, typer.Option("--local", help="with a password and a code of this platform")] = False,
    provider: Annotated[str, typer.Option(help="which OpenID provider, where there are several")] = "",
    username: Annotated[str, typer.Option(help="asked for unless said")] = "",
    invitation: Annotated[bool, typer.Option("--invitation", help="ask for the invitation that links the provider's account")] = False,
) -> None:
    """Sign in; the session is kept for this server."""
    async with _stranger(desk) as client:
        ways = await client.sign_in.ways()
        names = [way.name for way in ways.oidc]
        if oidc or provider or (names and not local and not username):
            secret = await _sign_in_with_provider(desk, client, _choose(names, provider), ask_secret("Invitation: ") if invitation else "")
        else:
            secret = await _sign_in_locally(client, username)
    _keep(desk, secret)


async def logout(desk: Desk) -> None:
    """End this session, here and at the server."""
    url = desk.server().url
    kept = session_file.lookup(url)
    if kept is None:
        raise NotAuthenticated(Finding("cli.session.none", f"you are not signed in at {url}", hint="chargepki login"))
    try:
        async with desk.client() as client:
            await client.user_sessions.end(kept.session)
    except (NotAuthenticated, Conflict):  # it has ended already
        pass
    session_file.drop(url)
    _tell(desk, {"session": kept.session, "state": "ended"}, ("Signed out", f"{kept.username} at {url}"))


async def whoami(desk: Desk) -> None:
    """Say who the server takes you for."""
    async with desk.client() as client:
        identity = await client.tokens.whoami()
    if desk.is_json:
        desk.out.json(identity)
        return
    kept = None if desk.token_file else session_file.lookup(desk.server().url)
    desk.out.facts(
        ("You are", f"{kept.username} ({identity.actor})" if kept else identity.actor),
        ("Signed in", f"until {kept.expires_at:%Y-%m-%d %H:%MZ}" if kept else "with a token"),
        ("Server", desk.server().url),
    )


async def step_up(desk: Desk) -> None:
    """Show the second factor again: privileged acts ask for a fresh one."""
    async with desk.client() as client:
        done = await client.account.step_up(ask_code())
    if desk.is_json:
        desk.out.json(done)
        return
    desk.out.facts(("Proved", f"until {done.stepped_up_until:%H:%MZ}" if done.stepped_up_until else ""))


@command(sessions, "list")
async def list_sessions(desk: Desk, person: Annotated[str, typer.Option(help="another person's: per_...")] = "") -> None:
    """List where you are signed in."""
    from chargepki.cli.output import minute

    async with desk.client() as client:
        listed = [session async for session in client.user_sessions.list(person)]
    if desk.is_json:
        desk.out.json(listed)
        return
    rows = [(s.id, minute(s.created_at), minute(s.last_seen_at), minute(s.expires_at), s.method, s.client) for s in listed]
    desk.out.table(
        ("SESSION", "SINCE", "LAST SEEN", "UNTIL", "BY", "FROM"),
        rows,
        empty="Nobody is signed in.",
        fold=("FROM", "BY"),
        shed=("UNTIL", "BY"),
    )


@command(sessions, "end", undone="Nothing was ended.")
async def end_session(
    desk: Desk,
    id: Annotated[str, typer.Argument(metavar="[ID]", help="ses_...")] = "",
    person: Annotated[str, typer.Option(help="all sessions of this person: per_...")] = "",
) -> None:
    """End a session, at once."""
    if bool(id) == bool(person):
        raise Refused.because("cli.session.which", "name one session, or a person", hint="chargepki session list")
    async with desk.client() as client:
        await (client.user_sessions.end(id) if id else client.user_sessions.end_all(person))
    _tell(desk, {"object": id or person, "state": "ended"}, ("Ended", id or f"all sessions of {person}"))


@command(account, "set-password", undone="The password is as it was.")
async def set_password(
    desk: Desk, invitation: Annotated[bool, typer.Option("--invitation", help="take up an invitation; it is asked for")] = False
) -> None:
    """Take up an invitation, or change the password you have."""
    if invitation:
        async with _stranger(desk) as client:
            typed, chosen = ask_secret("Invitation: "), ask_new_password()
            try:
                secret = await client.sign_in.with_invitation(typed, chosen)
            except NeedsStepUp:  # somebody who works here already
                secret = await client.sign_in.with_invitation(typed, chosen, ask_code())
        _keep(desk, secret)
        if not desk.is_json:
            desk.out.facts(("Next", "chargepki account totp"))
        return
    old, new = ask_secret("Password: "), ask_new_password()
    async with desk.client() as client:
        await client.account.set_password(old, new, ask_code("Code (empty without a second factor): "))
    session_file.drop(desk.server().url)
    _tell(desk, {"state": "changed"}, ("Changed", "your password; every session of yours has ended"), ("Next", "chargepki login"))


@command(account, "totp", undone="Your second factor is as it was.")
async def enrol_totp(desk: Desk) -> None:
    """Set up a second factor: an authenticator app on a telephone."""
    async with desk.client() as client:
        offer = await client.account.offer_totp()
        show_qr(offer.uri)
        desk.out.talk("Scan this with an authenticator app, or type the secret:")
        desk.out.talk(offer.secret)  # on a line of its own: half a secret is none
        await client.account.enrol_totp(ask_secret("Password: "), offer.handle, ask_code("First code of the app: "))
    _tell(desk, {"state": "set up"}, ("Set up", "your second factor; codes count from now on"))


@command(account, "link", undone="Nobody was linked.")
async def link(
    desk: Desk,
    person: Annotated[str, typer.Argument(metavar="PERSON", help="the user name, or per_...")],
    issuer: Annotated[str, typer.Option(help="the OpenID provider, as the configuration names it")],
    subject: Annotated[str, typer.Option(help="who they are there; their refused sign-in says it")],
) -> None:
    """Link a person to their account at an OpenID provider."""
    async with desk.client() as client:
        linked = await client.account.link(person, issuer=issuer, subject=subject)
    if desk.is_json:
        desk.out.json(linked)
        return
    desk.out.facts(("Linked", f"{linked.person} to {linked.subject} of {linked.issuer}"))


# ------------------------------------------------------------------------------------------------------------------- inside


def _stranger(desk: Desk) -> "Client":
    from chargepki.client import Client

    server = desk.server()
    return Client(server.url, NOBODY, server.ca_file)


def _choose(names: list[str], wanted: str) -> str:
    if wanted and wanted in names:
        return wanted
    if not wanted and len(names) == 1:
        return names[0]
    known = ", ".join(names) or "none; sign in with --local"
    raise Refused.because("cli.login.provider", "which OpenID provider?", hint=f"--provider NAME; known: {known}")


async def _sign_in_with_provider(desk: Desk, client: "Client", provider: str, invitation: str) -> "SessionSecret":
    def show(start: "DeviceStart") -> None:
        desk.out.talk(f"Open {start.verification_uri} and enter the code  {start.user_code}")
        if start.verification_uri_complete:
            show_qr(start.verification_uri_complete)
        desk.out.talk(f"Waiting, at most {start.expires_seconds // 60} minutes ... Only go on if you started this yourself.")

    return await client.sign_in.with_device(provider, show, invitation=invitation)


async def _sign_in_locally(client: "Client", username: str) -> "SessionSecret":
    name = username or str(typer.prompt("User name", err=True))
    password = ask_secret("Password: ")
    return await client.sign_in.with_password(name, password, ask_code("Code (empty without a second factor): "))


def _keep(desk: Desk, secret: "SessionSecret") -> None:
    url = desk.server().url
    session_file.keep(url, session_file.Kept(secret.session, secret.username, secret.secret, secret.expires_at))
    desk.undone = ""
    fresh = f"{secret.stepped_up_until:%H:%MZ}" if secret.stepped_up_until else "not shown yet: chargepki step-up"
    shown = {"session": secret.session, "person": secret.person, "username": secret.username, "expires_at": secret.expires_at}
    _tell(
        desk,
        shown,
        ("Signed in", f"as {secret.username} at {url}, until {secret.expires_at:%Y-%m-%d %H:%MZ}"),
        ("Factor", fresh),
        ("Undo", "chargepki logout"),
    )


def _tell(desk: Desk, value: object, *facts: tuple[str, str]) -> None:
    if desk.is_json:
        desk.out.json(value)
    else:
        desk.out.facts(*facts)


def ask_secret(prompt: str) -> str:
    """A secret, unseen. Never a flag: command lines are seen by others and kept in histories. From a pipe, one line each."""
    import getpass

    if sys.stdin.isatty():
        return getpass.getpass(prompt, stream=sys.stderr).strip()
    line = sys.stdin.readline(4096)
    if not line:
        raise Refused.because("cli.secret.missing", "there is no terminal to ask at, and nothing on stdin", hint="run it in a terminal")
    return line.rstrip("\n")


def ask_code(prompt: str = "Code: ") -> str:
    return "".join(c for c in ask_secret(prompt) if c.isdecimal())


def ask_new_password() -> str:
    first = ask_secret("New password (12 characters or more): ")
    if sys.stdin.isatty() and ask_secret("Again: ") != first:
        raise Refused.because("cli.password.differs", "the two passwords differ")
    return first


def show_qr(text: str) -> None:
    """On a terminal only: a QR code in a log would be a secret in a log."""
    if sys.stderr.isatty():
        import segno

        segno.make(text, micro=False).terminal(out=sys.stderr, compact=True)
