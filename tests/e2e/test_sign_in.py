"""A person goes the whole way with the command line: invitation, password, second factor, sign-in, sign-out."""

import asyncio
import base64
import json
import os
import re
import sys
import time
from asyncio.subprocess import PIPE
from dataclasses import dataclass
from pathlib import Path

import pytest

from chargepki.core import totp
from chargepki.testing.server import ServerProcess, running_server

PASSWORD = "correct gravel tuesday"


@dataclass
class Terminal:
    """Somebody's computer: it knows the server and its roots, and no token."""

    server: ServerProcess
    home: Path

    async def run(self, *arguments: str, typed: str = "") -> tuple[int, str, str]:
        process = await self.start(*arguments)
        out, err = await process.communicate(typed.encode())
        assert process.returncode is not None
        return process.returncode, out.decode(), err.decode()

    async def start(self, *arguments: str) -> asyncio.subprocess.Process:
        place = ("--data", str(self.home), "--url", self.server.api, "--ca-file", str(self.server.ca_file))
        environment = {**os.environ, "XDG_CONFIG_HOME": str(self.home), "NO_COLOR": "1"}
        command = (sys.executable, "-m", "chargepki", *arguments, *place)
        return await asyncio.create_subprocess_exec(*command, env=environment, stdin=PIPE, stdout=PIPE, stderr=PIPE)

    async def enrol(self) -> bytes:
        """Sets up the second factor as a person does: reads the secret, types its first code."""
        process = await self.start("account", "totp")
        assert process.stderr is not None
        assert process.stdin is not None
        async with asyncio.timeout(120):  # a start of the command takes seconds on a busy machine
            while not (found := re.fullmatch(r"([A-Z2-7]{32})\s*", (await process.stderr.readline()).decode())):
                assert process.returncode is None
        key = base64.b32decode(found[1])
        out, err = await process.communicate(f"{PASSWORD}\n{code(key)}\n".encode())
        assert process.returncode == 0, (out, err)
        return key


def code(key: bytes, steps: int = 0) -> str:
    return totp.code_at(key, int(time.time()) // totp.STEP_SECONDS + steps)


@pytest.mark.clause("RFC 6238 4")
async def test_from_an_invitation_to_a_session_and_out_again(tmp_path: Path) -> None:
    async with running_server(tmp_path / "data") as server:
        (tmp_path / "home").mkdir()
        terminal = Terminal(server, tmp_path / "home")
        async with server.client() as client:
            invited = await client._transport.post("/people", {"username": "anna"})
        assert (await terminal.run("whoami"))[0] != 0, "without a token nobody is anybody"

        status, out, err = await terminal.run("account", "set-password", "--invitation", typed=f"{invited['secret']}\n{PASSWORD}\n")
        assert status == 0, err
        assert PASSWORD not in out + err
        assert "cpss_" not in out + err
        key = await terminal.enrol()

        assert (await terminal.run("logout"))[0] == 0
        assert (await terminal.run("whoami"))[0] != 0
        login = ("login", "--local", "--username", "anna")
        assert (await terminal.run(*login, typed="wrong wrong wrong\n\n"))[0] == 4
        # The code of the step before was used up a moment ago: the next one counts, a little early.
        status, _, err = await terminal.run(*login, typed=f"{PASSWORD}\n{code(key, 1)}\n")
        assert status == 0, err
        who = json.loads((await terminal.run("whoami", "--json"))[1])
        assert who["actor"] == f"person:{invited['person']['id']}"
        sessions = json.loads((await terminal.run("session", "list", "--json"))[1])
        assert [session["method"] for session in sessions] == ["local"]
        assert (await terminal.run("step-up", typed="000000\n"))[0] == 4
        assert (await terminal.run("session", "end", sessions[0]["id"]))[0] == 0
        assert (await terminal.run("whoami"))[0] == 4
