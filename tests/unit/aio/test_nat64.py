"""The prefix of a NAT64 from the system's resolver, and the sockets of a client that has IPv6 alone. The lab has a real one
(`tests/lab/matrix/test_neighbours.py`)."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from nat_traversal.aio.client import Client
from nat_traversal.aio.client_config import ClientConfig
from nat_traversal.aio.datapath import DataPath
from nat_traversal.aio.nat64 import Edge, Nat64Finder
from nat_traversal.aio.open_socket import OpenSocket
from nat_traversal.aio.packet_io import open_udp
from nat_traversal.aio.platform import Platform
from nat_traversal.aio.roaming import Roaming
from nat_traversal.aio.soft_errors import Lost
from nat_traversal.aio.traffic import Traffic
from nat_traversal.errors import NameUnresolvedError
from nat_traversal.machine import actions as do
from nat_traversal.machine import events as e
from nat_traversal.machine.counters import Counters
from nat_traversal.settings import ClientSettings
from nat_traversal.wire.addresses import octets_of
from nat_traversal.wire.datagrams import Announced, Kind, encode
from nat_traversal.wire.endpoint import Endpoint, HostPort
from nat_traversal.wire.nat64 import NAME, Nat64, Prefix
from tests.loopback.aio.test_client import a_forwarder
from tests.unit.counterpart import two_ends

SERVER = Endpoint("2001:db8:64::c000:202", 6545)
WAY = Nat64(Prefix(octets_of("2001:db8:64::"), 96), SERVER)
LITERAL = Endpoint("192.0.2.2", 6545)
"""The same by its IPv4 address."""
ELSEWHERE = Endpoint("2001:db8:64::c633:6403", 9)
PEER, THERE = Endpoint("198.51.100.2", 7), Endpoint("2001:db8:64::c633:6402", 7)
DATAGRAM = Announced(1, Endpoint("203.0.113.2", 7))


class Resolver:
    """It answers once it is `ready`."""

    def __init__(self, *addresses: str, error: Exception | None = None) -> None:
        self.asked: list[tuple[HostPort, tuple[int, ...]]] = []
        self.ready = asyncio.Event()
        self.answer = [Endpoint(address, 9) for address in addresses]
        self.error = error

    async def __call__(self, name: HostPort, *, families: Sequence[int]) -> list[Endpoint]:
        self.asked.append((name, tuple(families)))
        await self.ready.wait()
        if self.error is not None:
            raise self.error
        return self.answer


OF_THE_LAB = ("2001:db8:64::c000:aa", "2001:db8:64::c000:ab")


@asynccontextmanager
async def a_finder(
    resolver: Resolver,
    settings: ClientSettings | None = None,
    *,
    ipv4: bool = False,
    ipv6: bool = True,
) -> AsyncIterator[Nat64Finder]:
    platform = Platform(resolve=resolver, has_ipv4=lambda: ipv4, has_ipv6=lambda: ipv6)
    made = Nat64Finder(platform, settings)
    try:
        yield made
    finally:
        await made.close()


def way_of(finder: Nat64Finder) -> Nat64 | None:
    return finder.edge.way


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_the_prefix_by_which_the_server_is_reached_is_the_way() -> None:
    resolver = Resolver("2001:db8:65::c000:aa", *OF_THE_LAB)
    async with a_finder(resolver) as finder:
        await finder.connects([Endpoint("192.0.2.3", 6545), SERVER])
        finder.reached(SERVER)
        assert way_of(finder) is None, "its addresses look like no NAT64's: nothing waits"
        resolver.ready.set()
        await turns()
        assert resolver.asked == [(HostPort(NAME, 9), (6,))]
        assert way_of(finder) == WAY
        finder.reached(Endpoint("2001:db8:5::2", 6545))
        assert way_of(finder) is None, "the server is reached by IPv6 itself"


async def test_the_connection_waits_where_the_server_s_addresses_look_like_a_nat64_s() -> None:
    resolver = Resolver(*OF_THE_LAB)
    async with a_finder(resolver) as finder:
        begun = asyncio.ensure_future(finder.connects([Endpoint("192.0.2.2", 6545), SERVER]))
        await turns()
        assert not begun.done()
        resolver.ready.set()
        await begun
        finder.reached(SERVER)
        assert way_of(finder) == WAY
        assert len(resolver.asked) == 1


async def test_an_answer_before_the_server_is_reached_counts_too() -> None:
    resolver = Resolver(*OF_THE_LAB)
    resolver.ready.set()
    async with a_finder(resolver) as finder:
        await finder.connects([SERVER])
        await turns()
        assert way_of(finder) is None
        finder.reached(SERVER)
        assert way_of(finder) == WAY


@pytest.mark.parametrize(
    ("addresses", "ipv4", "ipv6"),
    [
        ([SERVER], True, True),
        ([LITERAL], True, True),
        ([LITERAL], False, False),
        ([Endpoint("127.0.0.1", 1)], False, True),
        ([Endpoint("169.254.0.1", 1)], False, True),
        ([Endpoint("192.0.0.170", 1)], False, True),
        ([Endpoint("::1", 1)], False, True),
        ([Endpoint("fe80::1", 1)], False, True),
        ([], False, True),
    ],
)
async def test_nobody_is_asked_where_no_nat64_can_be_of_use(
    addresses: list[Endpoint], ipv4: bool, ipv6: bool
) -> None:
    resolver = Resolver(*OF_THE_LAB)
    async with a_finder(resolver, ipv4=ipv4, ipv6=ipv6) as finder:
        assert await finder.connects(addresses) == addresses
        assert not finder.lacks_prefix
        finder.reached(SERVER)
        await turns()
        assert resolver.asked == []
        assert finder.edge.outside(PEER) == PEER


async def test_a_network_with_ipv4_ends_it() -> None:
    resolver = Resolver(*OF_THE_LAB)
    resolver.ready.set()
    routes: list[str] = []
    finder = Nat64Finder(Platform(resolve=resolver, has_ipv4=lambda: bool(routes)))
    await finder.connects([SERVER])
    finder.reached(SERVER)
    await turns()
    assert way_of(finder) == WAY
    routes.append("default")
    await finder.connects([SERVER])
    assert way_of(finder) is None
    await finder.close()


@pytest.mark.parametrize(
    "error", [NameUnresolvedError("no", is_temporary=False), OSError(errno.EIO, "no"), None]
)
async def test_without_a_prefix_all_goes_on_as_before(error: Exception | None) -> None:
    resolver = Resolver("2001:db8:5::2", error=error)  # no address of that name
    resolver.ready.set()
    async with a_finder(resolver) as finder:
        await finder.connects([Endpoint("192.0.2.2", 6545), SERVER])
        finder.reached(SERVER)
        assert way_of(finder) is None
        assert (finder.edge.outside(PEER), finder.edge.inside(THERE)) == (PEER, THERE)


@pytest.mark.parametrize(
    ("error", "stays"),
    [
        (NameUnresolvedError("gone", is_temporary=False), False),
        (NameUnresolvedError("offline", is_temporary=True), True),
        (OSError(errno.EIO, "broken"), True),
    ],
)
async def test_a_resolver_that_fails_later_says_nothing_against_the_prefix(
    error: Exception, stays: bool
) -> None:
    resolver = Resolver(*OF_THE_LAB)
    resolver.ready.set()
    addresses = [Endpoint("192.0.2.2", 6545), SERVER]
    async with a_finder(resolver) as finder:
        await finder.connects(addresses)
        finder.reached(SERVER)
        resolver.error = error
        await finder.connects(addresses)
        assert way_of(finder) == (WAY if stays else None)
        assert len(resolver.asked) == 2


async def test_a_silent_resolver_holds_up_nothing_for_long() -> None:
    async with a_finder(Resolver(), ClientSettings(nat64_within=0.01)) as finder:
        await asyncio.wait_for(finder.connects([Endpoint("192.0.2.2", 6545), SERVER]), 10)
        assert way_of(finder) is None


async def test_a_client_that_ends_meanwhile_asks_no_more() -> None:
    resolver = Resolver(*OF_THE_LAB)
    async with a_finder(resolver) as finder:
        await finder.connects([SERVER])
        await turns()
        await finder.connects([SERVER])
        await turns()
    assert len(resolver.asked) == 1, "one question is out"
    assert not [each for each in asyncio.all_tasks() if each is not asyncio.current_task()]


class Recorder(socket.socket):
    """It sends nothing, and has what is put in it."""

    sent: list[tuple[bytes, Any]]
    at: Any = None
    waiting: list[tuple[bytes, Any]]

    def sendto(self, data: Any, *address: Any) -> int:
        self.sent.append((bytes(data), address[-1]))
        return len(data)

    def sendmsg(self, buffers: Any, *rest: Any) -> int:
        self.sent.append((b"".join(map(bytes, buffers)), rest[-1]))
        return 1

    def connect(self, address: Any) -> None:
        self.at = address

    def recvfrom(self, *_: Any) -> tuple[bytes, Any]:
        if not self.waiting:
            raise BlockingIOError
        return self.waiting.pop()


def recorder(family: socket.AddressFamily = socket.AF_INET6) -> Recorder:
    at = Endpoint("::" if family == socket.AF_INET6 else "0.0.0.0", 0)
    made = Recorder(fileno=open_udp(at, 4096).detach())
    made.sent, made.waiting = [], []
    return made


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    """It has one socket, number 1, and the server's address; its resolver has not answered."""
    resolver = Resolver(*OF_THE_LAB)
    platform = Platform(resolve=resolver, has_ipv4=lambda: False, open_udp=lambda at, _: _of(at))
    config = ClientConfig(HostPort("server.lab", 6545), "host_a", "host_b")
    made = Client(config, a_forwarder(), lambda _: None, platform=platform)
    made._server.udp = SERVER
    await made._server.nat64.connects([SERVER])
    made._server.nat64.reached(SERVER)
    made._carry_out(do.OpenUdp(1))
    await asyncio.sleep(0)
    yield made
    for generation in list(made.sockets):
        made._carry_out(do.CloseUdp(generation))
    await made.close()


def _of(at: Endpoint) -> Recorder:
    assert at.family == 6
    return recorder()


def resolver_of(client: Client) -> Resolver:
    found = client._platform.resolve
    assert isinstance(found, Resolver)
    return found


def the_socket(client: Client) -> Recorder:
    found = client.sockets[1].sock
    assert isinstance(found, Recorder)
    return found


async def answered(client: Client) -> None:
    resolver_of(client).ready.set()
    await turns()


def to_peer(**words: Any) -> do.SendDatagram:
    return do.SendDatagram(DATAGRAM, PEER, 1, **words)


async def test_a_datagram_to_an_ipv4_host_leaves_by_the_prefix(client: Client) -> None:
    await answered(client)
    client._carry_out(do.SendDatagram(DATAGRAM, None, 1))
    client._carry_out(to_peer())
    client._carry_out(to_peer(hops=3))
    assert the_socket(client).sent == [
        (encode(DATAGRAM), SERVER.sockaddr),
        *[(encode(DATAGRAM), THERE.sockaddr)] * 2,
    ]


async def test_what_comes_from_within_the_prefix_is_known_by_its_ipv4_address(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    await answered(client)
    fed: list[e.Event] = []
    monkeypatch.setattr(client, "feed", fed.append)
    for source in (THERE, SERVER, Endpoint("2001:db8:b:1::2", 7)):
        the_socket(client).waiting = [(encode(DATAGRAM), (*source.sockaddr, 0, 0))]
        client._readable(client.sockets[1], the_socket(client))
    told = [each.source for each in fed if isinstance(each, e.DatagramArrived)]
    assert told == [PEER, SERVER, Endpoint("2001:db8:b:1::2", 7)]


@pytest.fixture
def edge() -> Edge:
    made = Edge()
    made.way = WAY
    return made


def test_a_socket_of_ipv4_sends_as_it_is(edge: Edge) -> None:
    with recorder(socket.AF_INET) as ipv4, recorder() as ipv6:
        assert (edge.outside(PEER, ipv4), edge.outside(PEER, ipv6)) == (PEER, THERE)


async def test_a_router_s_word_is_known_by_its_ipv4_address(edge: Edge) -> None:
    told: list[str] = []
    with recorder() as sock:
        opened = OpenSocket(1, sock, edge)
        opened.send_limited(b"1", PEER, 3, lambda event: told.append(event.teller))
        assert sock.sent == [(b"1", THERE.sockaddr)]
        assert opened.tracer is not None
        for teller in (THERE.address, "2001:db8:a:1::1"):
            opened.tracer._lost(Lost(errno.EHOSTUNREACH, teller, is_expired=True))
    assert told == [PEER.address, "2001:db8:a:1::1"]


async def test_a_path_is_connected_by_the_prefix_and_its_peer_s_moves_too(edge: Edge) -> None:
    ours, theirs = two_ends()
    frames = theirs.sealer
    events: list[e.Event] = []
    with recorder() as sock:
        path = DataPath(
            *(sock, do.UsePath(1, PEER, ours)),
            forwarder=a_forwarder(),
            traffic=Traffic(Counters()),
            settings=ClientSettings(),
            clock=asyncio.get_running_loop(),
            on_frame=lambda *_: None,
            on_event=events.append,
            on_other=lambda _: None,
            edge=edge,
        )
        assert (sock.at, path.remote) == (THERE.sockaddr, PEER)
        roaming = Roaming(sock, path, ClientSettings(), events.append)
        real, ear = roaming._ear, recorder()
        assert real is not None
        roaming._ear = ear
        ear.waiting = [(frames.seal(Kind.PING, bytes(8)), (*ELSEWHERE.sockaddr, 0, 0))]
        roaming.overhear(ear)
        moved = Endpoint("198.51.100.3", 9)
        assert events[0] == e.PeerElsewhere(moved, Kind.PING, 1)
        roaming.send(Kind.PONG, bytes(8), moved)
        assert [to for _, to in ear.sent] == [ELSEWHERE.sockaddr]
        roaming.redirect(moved)
        assert (sock.at, path.remote) == (ELSEWHERE.sockaddr, moved)
        for each in (real, ear):
            asyncio.get_running_loop().remove_reader(each)
            each.close()
        roaming._ear = None
        roaming.close()
        path.close()
