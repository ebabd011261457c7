"""What a real coturn refuses, each as one line with the remedy; and what it wants asked anew."""

# ruff: noqa: PLC0415 - all workers read this file, and only a sandbox uses aioice, which takes long to read

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from nat_traversal import Endpoint
from nat_traversal.aio.packet_io import open_udp
from nat_traversal.aio.platform import Platform
from nat_traversal.machine import events as e
from nat_traversal.wire.turn import TurnServer, parse_turn
from tests.lab import warm
from tests.lab.pairs import READY_WITHIN

if TYPE_CHECKING:
    from nat_traversal.aio import turn

PEER = Endpoint("198.51.100.2", 40_000)
_ADDRESS, _PORT, _OWN_PORT = "127.0.0.1", 3478, 40_000
_COTURN = (
    *("turnserver", "-n", "-L", _ADDRESS, "-E", _ADDRESS, "-p", str(_PORT), "--relay-threads=1"),
    *("--lt-cred-mech", "--realm=lab", "--user=lab:secret", "--user=other:secret"),
    *("--no-tls", "--no-dtls", "--no-cli", "--log-file=stdout", "--simple-log"),
)
_Story = Callable[[], Coroutine[Any, Any, list[str]]]


def _on_one_port(at: Endpoint, buffer: int) -> socket.socket:
    """A socket for TURN, on the same port as the one before it."""
    return open_udp(replace(at, port=_OWN_PORT), buffer)


@asynccontextmanager
async def _allocation(
    name: str = "lab",
    platform: Platform | None = None,
    peer: Endpoint = PEER,
    timings: turn.TurnTimings | None = None,
) -> AsyncIterator[tuple[turn.TurnEnd, asyncio.Queue[str]]]:
    """One at coturn, and its news: ``opened``, or why it is broken."""
    from nat_traversal.aio import turn

    told: asyncio.Queue[str] = asyncio.Queue()

    def on_event(event: e.Event) -> None:
        told.put_nowait(event.reason if isinstance(event, e.TurnBroken) else "opened")

    server = TurnServer(parse_turn(f"turn:{_ADDRESS}:{_PORT}"), name, "secret")
    end = turn.TurnEnd(
        *(1, server, platform or Platform()),
        on_event=on_event,
        arrived=lambda *_: None,
        timings=timings or turn.USUAL,
    )
    end.open((peer,))
    try:
        yield end, told
    finally:
        await end.close()


async def _news(told: asyncio.Queue[str]) -> str:
    return await asyncio.wait_for(told.get(), READY_WITHIN)


async def _two(first: str, second: str) -> list[str]:
    """The news of two at the same time."""
    async with _allocation(first) as (_, one):
        found = [await _news(one)]
        async with _allocation(second) as (_, other):
            return [*found, await _news(other)]


async def _of_one_name() -> list[str]:
    return await _two("lab", "lab")


async def _of_two_names() -> list[str]:
    return await _two("lab", "other")


async def _one() -> list[str]:
    async with _allocation() as (_, told):
        return [await _news(told)]


async def _for_ipv6() -> list[str]:
    async with _allocation(peer=Endpoint("2001:db8:b::2", 40_000)) as (_, told):
        return [await _news(told)]


async def _from_one_port() -> list[str]:
    """The first process dies, and gives nothing back."""
    async with _allocation(platform=Platform(open_udp=_on_one_port)) as (end, told):
        found = [await _news(told)]
        client = end._client
        assert client is not None
        client.receiver = None
        client.transport.close()
        async with _allocation(platform=Platform(open_udp=_on_one_port)) as (_, other):
            return [*found, await _news(other)]


async def _after_a_stale_nonce() -> list[str]:
    from nat_traversal.aio import turn

    async with _allocation(timings=turn.TurnTimings(refresh=1.5)) as (_, told):
        found = [await _news(told)]
        await asyncio.sleep(4.0)
        return [*found, *(told.get_nowait() for _ in range(told.qsize()))]


def _run(options: tuple[str, ...], story: _Story, directory: Path) -> list[str]:
    from natlab.programs.programs import Programs

    with Programs(directory) as programs:
        coturn = programs.start("turnserver", (*_COTURN, *options), os.getpid())
        coturn.wait_until_bound("udp", _PORT, timeout=READY_WITHIN)
        return asyncio.run(story())


_QUOTA = "gives no further allocation (486): end other clients with this name, or let its operator raise its quotas"
_FULL = "is full (508): try again later, or name another one with --turn"


@pytest.mark.parametrize(
    ("options", "story", "says"),
    [
        (("--user-quota=1",), _of_one_name, ["opened", _QUOTA]),
        (("--user-quota=1",), _of_two_names, ["opened", "opened"]),
        (("--total-quota=1",), _of_two_names, ["opened", _QUOTA]),
        (("--min-port=50000", "--max-port=50000"), _of_two_names, ["opened", _FULL]),
        (
            (),
            _from_one_port,
            ["opened", "still has another allocation for this port (437): the next attempt takes a fresh one"],
        ),
        (
            ("--denied-peer-ip=198.51.100.0-198.51.100.255",),
            _one,
            ["may not relay to the other side's address (403): its operator has to allow that"],
        ),
        ((), _for_ipv6, ["has no address of that IP version (440): name another one with --turn"]),
        (("--stale-nonce=1",), _after_a_stale_nonce, ["opened"]),
    ],
)  # fmt: skip
def test_each_answer_of_coturn_is_one_line_with_the_remedy(
    options: tuple[str, ...], story: _Story, says: list[str], tmp_path: Path
) -> None:
    told = warm.call(60.0, _run, options, story, tmp_path)
    uri = f"turn:{_ADDRESS}:{_PORT}?transport=udp "
    assert told == [each if each == "opened" else uri + each for each in says]
