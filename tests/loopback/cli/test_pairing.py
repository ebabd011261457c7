"""`invite` and `accept`: two hosts that know nothing of each other become peers, once, by one line."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from nat_traversal import Endpoint
from tests.loopback import warm
from tests.loopback.cli.words import SERVER, listening
from tests.loopback.command import Command
from tests.loopback.programs import Program, Service
from tests.loopback.support import unused

INVITE = ("nat-traversal", "invite", "--json")
ACCEPT = ("nat-traversal", "accept", "--json")

HASTY = ("--set", "verdict-within=0.3s", "--set", "further-within=0.3s")
"""A server's: it ends the attempt of two whose keys differ once six rounds have opened nothing."""


@asynccontextmanager
async def a_server(*words: str) -> AsyncIterator[Endpoint]:
    async with Command.run(*SERVER, "--port", "0", *words) as running:
        yield Endpoint("127.0.0.1", (await listening(running)).port)


@pytest.fixture
async def server() -> AsyncIterator[Endpoint]:
    async with a_server() as running:
        yield running


@asynccontextmanager
async def invited(
    server: Endpoint, home: Path, *words: str, cold: bool = False
) -> AsyncIterator[tuple[Command, str]]:
    """An inviter with its own state, and the line that it printed."""
    soon = () if cold else ("--set=pair-again=200ms",)
    command = (*INVITE, "--server", str(server), "--id", "home", *soon, *words)
    state = {"XDG_STATE_HOME": str(home)}
    async with Command.run(*command, cold=cold, typed=None, **state) as inviter:
        line = (await inviter.event("invitation"))["line"]
        yield inviter, line


async def test_two_hosts_become_peers_by_one_line_and_it_works_once(
    server: Endpoint, tmp_path: Path
) -> None:
    """The commands start as a user starts them; in the other tests, warm."""
    with Service() as service, Program() as program:
        local = unused()
        connect, listen = ("--connect", str(service.endpoint)), ("--listen", str(local))
        words = (*connect, "-r", "friend")
        async with invited(server, tmp_path / "a", *words, cold=True) as (home, line):
            state = str(tmp_path / "b")
            async with Command.run(
                *(*ACCEPT, *listen), cold=True, typed=line, XDG_STATE_HOME=state
            ) as friend:
                keys = [(await each.event("paired"))["key"] for each in (home, friend)]
                for each in (home, friend):
                    await each.line("has the key that this side knows")
                assert await program.ask(b"hello", local) == b"hello"
                assert await friend.end(signal.SIGTERM) == 0
            next_time = [told for told in friend.told if told.startswith("the next time")]
            assert f"--peer-key {keys[1]}" in next_time[0]

            # somebody who has read the line since then is no guest
            later = str(tmp_path / "c")
            async with Command.run(*ACCEPT, *listen, typed=line, XDG_STATE_HOME=later) as thief:
                await thief.line("trying again")
                assert await thief.end(signal.SIGINT) == 0
            assert "paired" not in {event["event"] for event in thief.events}
            assert await home.end(signal.SIGTERM) == 0
    secret = line.partition("#")[2]
    for each in (home, friend, thief):
        assert secret not in "".join(each.told)


async def test_a_guest_without_the_secret_is_none_and_the_invitation_still_works(
    tmp_path: Path,
) -> None:
    listen = ("--listen", str(unused()))
    async with (
        a_server(*HASTY) as server,
        invited(server, tmp_path / "a", "--connect", "127.0.0.1:9") as (home, line),
    ):
        address, _, secret = line.partition("#")
        guessed = f"{address}#{'A' * len(secret)}"
        state = str(tmp_path / "b")
        async with Command.run(*ACCEPT, *listen, typed=guessed, XDG_STATE_HOME=state) as stranger:
            await stranger.line("trying again")
            assert await stranger.end(signal.SIGINT) == 0
        state = str(tmp_path / "c")
        async with Command.run(*ACCEPT, *listen, typed=line, XDG_STATE_HOME=state) as friend:
            paired = [await each.event("paired") for each in (home, friend)]
            assert await friend.end(signal.SIGTERM) == 0
        assert await home.end(signal.SIGTERM) == 0
    assert "paired" not in {event["event"] for event in stranger.events}
    assert [each["peer"] for each in paired] == [
        line.partition("peer=")[2].partition("&")[0],
        "home",
    ]
    # the server met each host with the identity that it has now
    assert [event["event"] for event in home.events].count("paired") == 1


async def test_of_two_who_accept_at_once_one_is_the_guest_and_the_other_is_told_so(
    server: Endpoint, tmp_path: Path
) -> None:
    async with invited(server, tmp_path / "home", "--connect", "127.0.0.1:9") as (home, line):

        def accepts(name: str) -> AbstractAsyncContextManager[Command]:
            listen = ("--listen", str(unused()))
            return Command.run(*ACCEPT, *listen, typed=line, XDG_STATE_HOME=str(tmp_path / name))

        async with accepts("one") as one, accepts("other") as other:
            refused = [asyncio.ensure_future(each.line("error: ")) for each in (one, other)]
            await asyncio.wait(refused, return_when=asyncio.FIRST_COMPLETED)
            late, guest = (one, other) if refused[0].done() else (other, one)
            for each in refused:
                each.cancel()
            await asyncio.wait(refused)
            assert await late.end() == 5
            await home.line("has the key that this side knows")
            assert await guest.end(signal.SIGTERM) == 0
        assert await home.end(signal.SIGTERM) == 0
    assert late.told[-1].startswith(
        "error: somebody else has accepted this invitation, and is 'guest-"
    )
    assert [event["event"] for event in guest.events].count("paired") == 1
    assert "paired" not in {event["event"] for event in late.events}


async def test_an_invitation_of_this_host_s_own_identity_is_refused_before_it_is_used_up(
    server: Endpoint, tmp_path: Path
) -> None:
    """Both commands typed on one machine, to try it: the pair ended after it had paired, and the line was of no use."""
    words, state = ("--connect", "127.0.0.1:53", "-r", "friend"), str(tmp_path / "a")
    async with invited(server, tmp_path / "a", *words) as (home, line):
        accept = (*ACCEPT, "--listen", str(unused()))
        async with Command.run(*accept, typed=line, XDG_STATE_HOME=state) as same:
            assert await same.end() == 2
        (told,) = same.told
        assert "comes from the identity that this host has" in told
        assert "accept it on another host, or with --identity FILE" in told
        another = ("--identity", str(tmp_path / "another"))
        async with Command.run(*accept, *another, typed=line, XDG_STATE_HOME=state) as friend:
            await friend.line("has the key that this side knows")
            assert await friend.end(signal.SIGTERM) == 0
        assert await home.end(signal.SIGTERM) == 0


CLOCK_SET = """
import time
from nat_traversal.pairing.invitation import Invitation
url, now = Invitation.url, time.time
def printed(self):
    time.time = lambda: now() + 36_000.0
    return url(self)
Invitation.url = printed
"""


async def test_an_invitation_holds_where_its_host_s_clock_is_set_meanwhile(
    server: Endpoint, tmp_path: Path
) -> None:
    words = ("--server", str(server), "--connect", "127.0.0.1:9")
    home_state, state = str(tmp_path / "a"), str(tmp_path / "b")
    async with Command.run(*INVITE, *words, before=CLOCK_SET, XDG_STATE_HOME=home_state) as home:
        line = (await home.event("invitation"))["line"]
        listen = ("--listen", str(unused()))
        async with Command.run(*ACCEPT, *listen, typed=line, XDG_STATE_HOME=state) as friend:
            for each in (home, friend):
                await each.event("paired")
            assert await friend.end(signal.SIGTERM) == 0
        assert await home.end(signal.SIGTERM) == 0


async def test_an_invitation_that_nobody_accepts_ends(server: Endpoint, tmp_path: Path) -> None:
    async with invited(server, tmp_path, "--listen", str(unused())) as (home, _):
        assert await home.end(signal.SIGINT) == 0
    assert not [told for told in home.told if "Traceback" in told]


@pytest.mark.parametrize(
    ("words", "typed", "said"),
    [
        (("--listen", "5300"), "", "error: this is no invitation"),
        (("--listen", "5300"), "nat-traversal://s/home?peer=a#x", "error: this invitation is not whole"),
        ((), "", "error: nothing to forward"),
        (("--listen", "5300", "nat-traversal://s/home#secret"), "", "error: an invitation holds a secret"),
    ],
)  # fmt: skip
async def test_what_is_no_invitation_is_told_in_one_line(
    words: tuple[str, ...], typed: str, said: str, tmp_path: Path
) -> None:
    async with Command.run(*ACCEPT, *words, typed=typed, XDG_STATE_HOME=str(tmp_path)) as guest:
        assert await guest.end() == 2
    assert len(guest.told) == 1
    assert guest.told[0].startswith(said)
    assert "secret" not in guest.told[0].replace("holds a secret", "")
    assert os.listdir(tmp_path) == []  # noqa: PTH208


def test_an_invitation_that_nobody_can_see_is_one_line(tmp_path: Path) -> None:
    """Without stdin and stdout the event loop would get their numbers, and lose its own descriptor with the line."""
    words = ("invite", "--server", str(unused()), "--listen", "5300")
    closed = "import os; os.close(0); os.close(1)"
    done = warm.run(*words, before=closed, XDG_STATE_HOME=str(tmp_path))
    assert (done.returncode, done.stderr) == (
        2,
        "error: it could not be written: stdout takes nothing\n",
    )
