"""A link of 1,280 octets, the least that IPv6 may have: the base size fits, and nothing is longer or in IP fragments."""

from __future__ import annotations

import asyncio
import socket
import subprocess
from contextlib import closing
from dataclasses import dataclass

import pytest

from nat_traversal import ClientSettings, connect
from nat_traversal.aio.server import serve
from tests.lab import warm

pytestmark = pytest.mark.timeout(60)
_TIMEOUT = 50.0
LEAST = 1280
"""RFC 8200 section 5."""
SIZES = [0, 1, 1200, 1400, 9000, 65_507]
_EVERY_PROTOCOL = 3
_IPV6 = 0x86DD
"""ETH_P_ALL and ETH_P_IPV6 of linux/if_ether.h."""


@dataclass(frozen=True, slots=True)
class Seen:
    came: list[int]
    """Octets of the payloads that came back."""
    longest: int
    """Octets of the longest IPv6 packet with UDP."""
    fragments: int


def _cross() -> Seen:
    subprocess.run(["ip", "link", "set", "lo", "up", "mtu", str(LEAST)], check=True)
    with closing(socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM)) as tap:
        tap.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        tap.bind(("lo", _EVERY_PROTOCOL))
        came = asyncio.run(asyncio.wait_for(_story(), _TIMEOUT))
        tap.setblocking(False)
        headers, longest = list[int](), 0
        while True:
            try:
                packet, (_, protocol, *_rest) = tap.recvfrom(70_000)
            except BlockingIOError:
                break
            if protocol == _IPV6:
                headers.append(packet[6])
                if packet[6] == socket.IPPROTO_UDP:
                    longest = max(longest, len(packet))
    return Seen(came, longest, headers.count(socket.IPPROTO_FRAGMENT))


async def _story() -> list[int]:
    """Datagrams leave one by one, so that none is seen before the kernel has cut a run."""
    settings = ClientSettings(offload=0)
    came: list[int] = []
    server = await serve("::1", 0)
    at = str(server.endpoint)
    async with asyncio.TaskGroup() as group:
        over = asyncio.Event()

        async def other() -> None:
            async with connect(at, local_id="b", remote_id="a", settings=settings) as b:
                for _ in range(2 * len(SIZES)):
                    b.send(await b.receive())
                await over.wait()

        echo = group.create_task(other())
        async with connect(at, local_id="a", remote_id="b", settings=settings) as a:
            for size in 2 * SIZES:
                a.send(bytes(size))
                came.append(len(await a.receive()))
            over.set()
            await echo
    await server.close()
    return came


def test_the_base_size_over_ipv6_fits_the_narrowest_link() -> None:
    seen = warm.call(_TIMEOUT, _cross)
    assert seen.came == 2 * SIZES
    assert seen.longest == LEAST
    assert seen.fragments == 0
