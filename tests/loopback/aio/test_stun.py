"""STUN from a server: real clients of RFC 8489 and RFC 3489, and what strangers get beside it."""

from __future__ import annotations

import asyncio
import socket

import pytest

from nat_traversal import Endpoint, ServerSettings, UsageError, serve
from nat_traversal.aio.packet_io import open_udp
from nat_traversal.errors import LocalAddressError
from nat_traversal.wire import stun
from tests.loopback.hosts import a_server
from tests.loopback.scripted import announce
from tests.loopback.support import DEADLINE, eventually

REQUEST = bytes.fromhex("000100002112a442") + bytes(range(12))


async def output_of(*words: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    async with asyncio.timeout(DEADLINE):
        out, _ = await process.communicate()
    return out.decode()


async def test_debians_client_of_rfc_3489_sees_its_own_address() -> None:
    async with a_server() as (server, _):
        said = await output_of("stun", str(server.endpoint), "1", "-v")
        assert "mappedAddr=127.0.0.1:" in said, said


async def test_debians_client_of_rfc_3489_mistakes_no_answer_for_one_from_another_address() -> None:
    """It hears nothing to the requests that want a change, and says so; any answer would make it say "Open"."""
    async with a_server() as (server, _):
        said = await output_of("stun", str(server.endpoint))
        assert "Primary: Firewall" in said, said


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_coturns_client_of_rfc_8489_sees_its_own_address(host: str) -> None:
    async with a_server(host) as (server, _):
        port = str(server.endpoint.port)
        said = await output_of("turnutils_natdiscovery", "-m", "-p", port, host)
        assert "UDP reflexive addr" in said, said


def ask(sock: socket.socket, data: bytes) -> bytes | None:
    sock.send(data)
    try:
        return sock.recv(2048)
    except BlockingIOError:
        return None


async def test_a_client_like_pystun3_is_told_its_mapped_address() -> None:
    """It sends 16 octets of a transaction, reads MAPPED-ADDRESS, and knows no cookie."""
    async with a_server() as (server, _):
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            sock.connect(server.endpoint.sockaddr)
            sock.send(b"\0\1\0\0" + b"0123456789abcdef")
            async with asyncio.timeout(DEADLINE):
                got = await loop.sock_recv(sock, 2048)
            port = sock.getsockname()[1].to_bytes(2, "big")
            assert got == b"\1\1\0\x0c0123456789abcdef" + bytes(
                [0, 1, 0, 8, 0, 1, *port, 127, 0, 0, 1]
            )


async def test_strangers_get_an_answer_to_stun_within_their_budget_and_to_nothing_else() -> None:
    settings = ServerSettings(stun_per_source=4)
    async with a_server(settings=settings) as (server, _):
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            sock.connect(server.endpoint.sockaddr)
            strange = [
                b"",
                b"x" * 86,
                announce(),
                b"\1\1" + REQUEST[2:],
                b"\xc2" * 46,
                b"HELLO" * 9,
            ]
            for data in [*strange, *[REQUEST] * 9]:
                sock.send(data)
            await eventually(lambda: server.counters["stun-shed"] == 6, "all has been read")
            answers: list[bytes] = []
            while len(answers) < 3:
                async with asyncio.timeout(DEADLINE):
                    answers.append(await loop.sock_recv(sock, 2048))
            here = Endpoint(*sock.getsockname())
            right = stun.encode(stun.BindingResponse(stun.decode(REQUEST), here))
            assert answers == [right] * 3
            with pytest.raises(BlockingIOError):
                sock.recv(2048)


OTHER = Endpoint("127.0.0.2", 0)


async def test_debians_client_of_rfc_3489_finds_the_alternate_address() -> None:
    """It calls a host open whose answers come from another address and port."""
    async with await serve("127.0.0.1", 0, alternate=OTHER) as server:
        said = await output_of("stun", str(server.endpoint))
        assert "Primary: Open" in said, said


async def test_a_port_that_is_taken_beside_the_alternate_is_left_for_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    taken: list[Endpoint] = []

    def first_is_taken(local: Endpoint, *, only_v6: bool) -> socket.socket:
        if local.address == "127.0.0.1" and not taken:
            taken.append(local)
            raise LocalAddressError(f"{local} is taken", in_use=True)
        return open_udp(local, only_v6=only_v6)

    monkeypatch.setattr("nat_traversal.aio.stun.open_udp", first_is_taken)
    async with await serve("127.0.0.1", 0, alternate=OTHER) as server:
        port = str(server.endpoint.port)
        said = await output_of("turnutils_natdiscovery", "-m", "-p", port, "127.0.0.1")
        assert "NAT with Endpoint Independent Mapping!" in said, said
    assert len(taken) == 1
    for left in (taken[0], Endpoint("127.0.0.2", taken[0].port)):
        open_udp(left).close()


async def test_coturns_client_of_rfc_5780_sees_mapping_and_filtering() -> None:
    async with await serve("127.0.0.1", 0, alternate=OTHER) as server:
        port = str(server.endpoint.port)
        said = await output_of("turnutils_natdiscovery", "-m", "-f", "-p", port, "127.0.0.1")
        assert "NAT with Endpoint Independent Mapping!" in said, said
        assert "NAT with Endpoint Independent Filtering!" in said, said


@pytest.mark.parametrize(
    ("host", "alternate", "what"),
    [
        ("0.0.0.0", "127.0.0.2", "give --host with its one own IPv4 address"),
        (("127.0.0.1", "127.0.0.3"), "127.0.0.2", "give --host with its one own IPv4 address"),
        ("::1", "127.0.0.2", "give --host with its one own IPv4 address"),
        ("127.0.0.1", "127.0.0.1", "has to differ from 127.0.0.1"),
        ("127.0.0.1", "192.0.2.77", "this host has no such address"),
    ],
)
async def test_an_alternate_that_cannot_be_is_refused_in_one_line_and_leaves_nothing(
    host: str | tuple[str, ...], alternate: str, what: str
) -> None:
    with pytest.raises(UsageError, match=what) as refused:
        await serve(host, 0, alternate=Endpoint(alternate, 0))
    assert "\n" not in str(refused.value)
