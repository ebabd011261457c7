"""An allocation at a TURN server on real sockets: what becomes of each answer, and that nothing is left behind."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aioice.stun import ATTRIBUTES_BY_TYPE, COOKIE, Method
from cryptography.hazmat.primitives.serialization import Encoding

from nat_traversal import Endpoint
from nat_traversal.aio import turn
from nat_traversal.aio.packet_io import open_udp
from nat_traversal.aio.platform import Platform
from nat_traversal.errors import LocalAddressError
from nat_traversal.machine import events as e
from nat_traversal.wire.endpoint import HostPort
from nat_traversal.wire.turn import TurnServer, TurnUri
from tests.certificates import Authority, Issued
from tests.loopback.support import eventually, unused
from tests.loopback.turn_server import NAME, PASSWORD, RELAYED, turn_server

PEER = Endpoint("198.51.100.2", 40_000)
ELSEWHERE = Endpoint("198.51.100.2", 41_234)
FIRST, SECOND = 0x4000, 0x4001
HASTY, OFTEN = turn.TurnTimings(within=0.05), turn.TurnTimings(refresh=0.01)


@dataclass
class Told:
    events: list[e.Event] = field(default_factory=list)
    came: list[tuple[bytes, Endpoint]] = field(default_factory=list)

    @property
    def reason(self) -> str:
        """Why it is broken, without the server's name."""
        (event,) = self.events
        assert isinstance(event, e.TurnBroken)
        uri, _, reason = event.reason.partition(" ")
        assert uri.startswith(("turn:127.", "turns:127."))
        return reason


@asynccontextmanager
async def an_end(
    at: Endpoint,
    name: str = NAME,
    password: str = PASSWORD,
    *,
    ca: str | None = None,
    peer: Endpoint = PEER,
    platform: Platform | None = None,
    timings: turn.TurnTimings = turn.USUAL,
) -> AsyncIterator[tuple[turn.TurnEnd, Told]]:
    """One that has begun to allocate for `peer`; with `ca`, PEM or empty, by TLS."""
    told = Told()
    by_tls = ca is not None
    uri = TurnUri(HostPort(at.address, at.port), by_tcp=by_tls, tls=by_tls)
    server = TurnServer(uri, name, password, ca or "")
    end = turn.TurnEnd(
        *(7, server, platform or Platform()),
        on_event=told.events.append,
        arrived=lambda data, source: told.came.append((data, source)),
        timings=timings,
    )
    end.open((peer,))
    try:
        yield end, told
    finally:
        await end.close()


async def refused(told: Told) -> str:
    await eventually(lambda: told.events, "an answer")
    return told.reason


async def test_it_allocates_lets_the_peer_in_and_gives_back() -> None:
    async with turn_server() as (server, at):
        async with an_end(at) as (end, told):
            await eventually(lambda: told.events, "an address")
            assert told.events == [e.TurnOpened(7, Endpoint(*RELAYED))]
            assert server.bound == {FIRST: (PEER.address, PEER.port)}
            server.deliver(FIRST, b"hello")
            await eventually(lambda: told.came, "a datagram of the peer")
            assert told.came == [(b"hello", PEER)]
            end.send(b"one", ELSEWHERE)
            end.send(b"two", ELSEWHERE)
            await eventually(lambda: len(server.came) == 2, "datagrams to the peer")
            assert server.came == [(SECOND, b"one"), (SECOND, b"two")]
            io = end.towards(ELSEWHERE)
            assert io.send_run(memoryview(b"aabbc"), 2) == 3
            await eventually(lambda: len(server.came) == 5, "a run to the peer")
            assert [data for _, data in server.came[2:]] == [b"aa", b"bb", b"c"]
        assert server.asked[0] == (Method.ALLOCATE, turn.USUAL.lifetime)
        assert server.asked[-1] == (Method.REFRESH, 0)
        assert len(told.events) == 1


@pytest.mark.parametrize(
    ("code", "says"),
    [
        (401, "refuses the name or the password: check the file of --turn-credentials"),
        (403, "may not relay to the other side's address"),
        (437, "the next attempt takes a fresh one"),
        (442, "relays no UDP"),
        (486, "let its operator raise its quota"),
        (508, "is full (508): try again later"),
        (599, "refuses with error 599"),
    ],
)
async def test_each_refusal_is_one_line_with_the_remedy(code: int, says: str) -> None:
    async with turn_server() as (server, at):
        server.refusals[Method.ALLOCATE] = code
        async with an_end(at) as (_, told):
            assert says in await refused(told)


@pytest.mark.parametrize(
    "relayed",
    [
        ("192.0.2.50", 0),
        *((address, 50_000) for address in ("0.0.0.0", "224.0.0.1", "255.255.255.255")),
        *((address, 50_000) for address in ("169.254.0.1", "::", "ff02::1", "fe80::1")),
    ],
)
async def test_a_relayed_address_at_which_nobody_can_be_is_told_and_not_handed_on(
    relayed: tuple[str, int],
) -> None:
    async with turn_server() as (server, at):
        server.relayed = relayed
        async with an_end(at) as (_, told):
            reason = await refused(told)
            assert reason.startswith(f"relays at {Endpoint(*relayed)}, where nobody can be reached")


@pytest.mark.parametrize("way", ["127.0.0.1", "192.0.2.9"])
async def test_a_relayed_address_on_loopback_is_good_where_the_server_is(
    way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Way:
        def getpeername(self) -> tuple[str, int]:
            return way, 3478

    monkeypatch.setattr(turn.TurnEnd, "kernel_socket", Way())
    async with turn_server() as (server, at):
        server.relayed = ("127.0.0.1", 50_000)
        async with an_end(at) as (_, told):
            await eventually(lambda: told.events, "an answer")
            is_good = told.events == [e.TurnOpened(7, Endpoint("127.0.0.1", 50_000))]
            assert is_good is (way == "127.0.0.1")
            assert is_good or told.reason.startswith("relays at 127.0.0.1:50000, where nobody can")


async def test_a_stale_nonce_is_no_refusal() -> None:
    async with turn_server() as (server, at):
        server.refusals[Method.CHANNEL_BIND] = 438
        async with an_end(at) as (_, told):
            assert "takes every nonce for stale (438)" in await refused(told)
        binds = [method for method, _ in server.asked if method is Method.CHANNEL_BIND]
        assert len(binds) == 2, "asked again with the new nonce"


async def test_a_wrong_password_is_told_without_it() -> None:
    async with turn_server() as (_, at), an_end(at, password="wrong") as (_, told):
        assert await refused(told) == (
            "refuses the name or the password: check the file of --turn-credentials"
        )


async def test_a_server_that_wants_credentials_says_so() -> None:
    async with turn_server() as (_, at), an_end(at, name="", password="") as (_, told):
        assert await refused(told) == "wants a name and a password: give --turn-credentials FILE"


async def test_silence_is_told_in_seconds() -> None:
    async with turn_server() as (server, at):
        server.is_mute = True
        async with an_end(at, timings=HASTY) as (_, told):
            assert (await refused(told)).startswith("does not answer: check --turn")


async def test_a_server_that_is_not_there_is_told() -> None:
    async with an_end(unused(), timings=HASTY) as (_, told):
        assert (await refused(told)).startswith("does not answer: check --turn")


async def test_permissions_are_refreshed_before_they_end() -> None:
    assert turn.USUAL.refresh < 300, "RFC 8656 section 9"
    async with turn_server() as (server, at), an_end(at, timings=OFTEN):
        binds = [(Method.CHANNEL_BIND, None)]
        await eventually(lambda: server.asked.count(binds[0]) >= 3, "the channel anew")
        assert list(server.bound) == [FIRST]


async def test_a_refresh_that_is_refused_ends_it() -> None:
    async with turn_server() as (server, at), an_end(at, timings=OFTEN) as (_, told):
        await eventually(lambda: told.events, "an address")
        server.refusals[Method.CHANNEL_BIND] = 403
        await eventually(lambda: len(told.events) == 2, "the end")
        assert isinstance(told.events[1], e.TurnBroken)


async def test_a_lifetime_of_nothing_is_not_asked_for_again_and_again() -> None:
    async with turn_server() as (server, at):
        server.lifetime = 0
        async with an_end(at) as (end, told):
            await eventually(lambda: told.events, "an address")
            server.deliver(FIRST, b"some turns of the loop")
            await eventually(lambda: told.came, "the datagram")
            end.send(b"a fence", PEER)  # it comes to the server behind all that was due before
            await eventually(lambda: server.came, "the fence")
            assert [seconds for method, seconds in server.asked if method is Method.REFRESH] == []


@pytest.mark.parametrize("kind", sorted(ATTRIBUTES_BY_TYPE))
async def test_an_attribute_of_a_wrong_length_from_anybody_is_ignored(kind: int) -> None:
    broken: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: broken.append(context))
    async with turn_server() as (server, at), an_end(at) as (_, told):
        await eventually(lambda: told.events, "an address")
        for octets in (0, 1, 2, 3, 5, 9):
            value = bytes(octets + -octets % 4)
            head = struct.pack("!HHI12s", 0x0103, 4 + len(value), COOKIE, bytes(12))
            server.send(head + struct.pack("!HH", kind, octets) + value)
        server.deliver(FIRST, b"hello")
        await eventually(lambda: told.came, "a datagram of the peer")
        assert broken == []


async def test_one_that_is_closed_while_it_asks_says_nothing() -> None:
    async with turn_server() as (server, at):
        server.is_mute = True
        async with an_end(at) as (_, told):
            await asyncio.sleep(0)
        assert told.events == []


@pytest.mark.parametrize(
    ("address", "peer", "version"),
    [
        ("127.0.0.1", PEER, 0),
        ("::1", PEER, 0),
        ("127.0.0.1", Endpoint("2001:db8:b::2", 40_000), 2),
        ("::1", Endpoint("2001:db8:b::2", 40_000), 2),
    ],
)
async def test_the_allocation_has_the_ip_version_of_the_peer_whatever_the_way_to_the_server(
    address: str, peer: Endpoint, version: int
) -> None:
    async with turn_server(address) as (server, at), an_end(at, peer=peer) as (_, told):
        await eventually(lambda: told.events, "an address")
        assert told.events == [e.TurnOpened(7, Endpoint(*RELAYED))]
        assert (server.versions, server.bound) == ([version], {FIRST: (peer.address, peer.port)})


async def test_the_next_address_of_the_server_is_taken_where_there_is_no_way_to_the_first() -> None:
    async with turn_server() as (_, at):
        nowhere = Endpoint("255.255.255.255", at.port)  # no socket of ours may broadcast

        async def resolve(*_: object, **__: object) -> list[Endpoint]:
            return [nowhere, at]

        async with an_end(at, platform=Platform(resolve=resolve)) as (_, told):
            await eventually(lambda: told.events, "an address")
            assert told.events == [e.TurnOpened(7, Endpoint(*RELAYED))]


async def test_a_host_without_the_ip_version_takes_the_other_address_or_says_so() -> None:
    def lacks(at: Endpoint, buffer: int) -> socket.socket:
        if at.family == 6:
            raise LocalAddressError("this host has no IPv6", in_use=False)
        return open_udp(at, buffer)

    async with turn_server() as (_, at):

        async def resolve(*_: object, **__: object) -> list[Endpoint]:
            return addresses

        platform = Platform(open_udp=lacks, resolve=resolve)
        addresses = [Endpoint("::1", at.port), at]
        async with an_end(at, platform=platform) as (_, told):
            await eventually(lambda: told.events, "an address")
            assert told.events == [e.TurnOpened(7, Endpoint(*RELAYED))]
        addresses = addresses[:1]
        async with an_end(at, platform=platform) as (_, told):
            assert await refused(told) == "cannot be reached: this host has no IPv6"


async def test_a_name_without_an_address_is_told() -> None:
    told = Told()
    server = TurnServer(TurnUri(HostPort("no-such-name.invalid", 3478)))
    end = turn.TurnEnd(7, server, Platform(), on_event=told.events.append, arrived=lambda *_: None)
    end.open((PEER,))
    await eventually(lambda: told.events, "an answer")
    (event,) = told.events
    assert isinstance(event, e.TurnBroken)
    assert "cannot be found" in event.reason
    await end.close()


@asynccontextmanager
async def a_tls_server(issued: Issued | None, folder: Path) -> AsyncIterator[Endpoint]:
    """With that certificate, or none: it speaks TCP alone."""
    context = None
    if issued is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(
            issued.certificate_file(folder / "turn.pem"), issued.key_file(folder / "turn.key")
        )

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"no TLS\r\n")
        writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=context)
    async with server:
        yield Endpoint(*server.sockets[0].getsockname())


def pem(authority: Authority) -> str:
    return authority.issued.certificate.public_bytes(Encoding.PEM).decode()


@pytest.mark.parametrize(
    ("name", "days", "trusted", "says"),
    [
        ("127.0.0.1", (-1, 10), "none", "is signed by no CA that this side trusts: give --turn-ca"),
        ("127.0.0.1", (-1, 10), "another", "is signed by no CA that this side trusts: give"),
        ("127.0.0.2", (-1, 10), "its own", "is not for '127.0.0.1': give --turn a name that is in"),
        (
            "127.0.0.1",
            (-9, -1),
            "its own",
            "has expired: the server needs a new one, if this host's clock is right",
        ),
        ("127.0.0.1", (1, 9), "its own", "is not valid yet: check the clocks of both hosts"),
    ],
)
async def test_a_certificate_that_is_not_to_be_trusted_is_one_line_with_the_remedy(
    name: str, days: tuple[int, int], trusted: str, says: str, tmp_path: Path
) -> None:
    authority = Authority.new()
    ca = {"none": "", "another": pem(Authority.new()), "its own": pem(authority)}[trusted]
    async with (
        a_tls_server(authority.issue(name, days=days), tmp_path) as at,
        an_end(at, ca=ca) as (_, told),
    ):
        assert (await refused(told)).startswith(f"cannot be trusted: its certificate {says}")


async def test_a_port_without_tls_is_one_line_with_the_remedy(tmp_path: Path) -> None:
    async with a_tls_server(None, tmp_path) as at, an_end(at, ca="") as (_, told):
        assert await refused(told) == (
            "does not answer TLS with TLS (wrong version number): check the port of --turn"
        )


async def test_a_certificate_is_trusted_that_stands_in_the_file_itself(tmp_path: Path) -> None:
    issued = Authority.new().issue("127.0.0.1")
    itself = issued.certificate.public_bytes(Encoding.PEM).decode()
    async with a_tls_server(issued, tmp_path) as at, an_end(at, ca=itself) as (_, told):
        assert (await refused(told)).startswith("has ended the allocation")  # it is no TURN server
