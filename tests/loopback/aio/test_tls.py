"""TLS on real sockets: who is let in, what an attacker gets, and what each failure says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import pytest

from nat_traversal import (
    ClientSettings,
    ClientTlsSettings,
    Endpoint,
    ServerSettings,
    ServerUnreachableError,
    connect,
    serve,
)
from nat_traversal.aio.packet_io import endpoint_of
from nat_traversal.machine import notices as note
from nat_traversal.tls import fingerprint_text
from nat_traversal.wire import messages as m
from tests.certificates import Authority
from tests.loopback.aio.tls_keys import Keys
from tests.loopback.hosts import Host, a_server
from tests.loopback.scripted import Wire, register
from tests.loopback.support import DEADLINE, eventually

DISCARD = [Endpoint("127.0.0.1", 9)]


@dataclass
class Tap:
    """A relay on the way to a server, which keeps what passes and may change it."""

    endpoint: Endpoint
    to_server: bytearray = field(default_factory=bytearray)
    to_client: bytearray = field(default_factory=bytearray)
    change: Callable[[bytes], bytes] = bytes
    """Applied to what goes to the server."""


@asynccontextmanager
async def a_tap(server: Endpoint) -> AsyncIterator[Tap]:
    tasks: list[asyncio.Task[None]] = []
    writers: list[asyncio.StreamWriter] = []

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(*server.sockaddr)
        writers.extend((writer, far_writer))

        async def pump(
            source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, up: bool
        ) -> None:
            while data := await source.read(65_536):
                (tap.to_server if up else tap.to_client).extend(data)
                sink.write(tap.change(data) if up else data)
            sink.write_eof()

        tasks.append(asyncio.ensure_future(pump(reader, far_writer, up=True)))
        tasks.append(asyncio.ensure_future(pump(far_reader, writer, up=False)))

    listener = await asyncio.start_server(accept, "127.0.0.1", 0)
    tap = Tap(endpoint_of(listener.sockets[0].getsockname()))
    try:
        yield tap
    finally:
        listener.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for writer in writers:
            writer.transport.abort()
        await asyncio.sleep(0)


async def a_pair_connects(server: Endpoint, tls: ClientTlsSettings | None) -> None:
    async with (
        Host(server, "host_a", "host_b", listen="127.0.0.1", tls=tls) as a,
        Host(server, "host_b", "host_a", connect=DISCARD, tls=tls) as b,
    ):
        await a.connected()
        await b.connected()


async def reason(server: Endpoint, tls: ClientTlsSettings | None) -> str:
    """Why a client says that it cannot use this server."""
    with pytest.raises(ServerUnreachableError) as caught:
        async with connect(str(server), local_id="host_a", remote_id="host_b", tls=tls):
            pass
    return str(caught.value)


@pytest.mark.parametrize("way", ["ca", "fingerprint"])
async def test_a_pair_connects_and_nothing_that_it_tells_the_server_is_in_clear(
    keys: Keys, way: str
) -> None:
    async with a_server(tls=keys.server()) as (server, _), a_tap(server.endpoint) as tap:
        async with Host(
            tap.endpoint, "host_a", "host_b", listen="127.0.0.1", tls=keys.clients()[way]
        ) as a:
            await a.notices.wait(note.RegisteredAtServer)
        assert server.fingerprint is not None
        assert server.fingerprint.hex() == keys.issued.fingerprint
        await a_pair_connects(server.endpoint, keys.clients()[way])
    for octets in (tap.to_server, tap.to_client):
        assert len(octets) > 100
        for clear in (b"host_a", b"host_b", b"regist", b'"type"'):
            assert clear not in octets


async def test_the_python_api_speaks_tls(keys: Keys) -> None:
    async with (
        await serve("127.0.0.1", 0, tls=keys.server()) as server,
        asyncio.timeout(DEADLINE),
        AsyncExitStack() as stack,
    ):
        trusting = ClientTlsSettings(ca=keys.ca)
        name = f"localhost:{server.endpoint.port}"
        one, other = await asyncio.gather(
            *(
                stack.enter_async_context(
                    connect(name, local_id=local, remote_id=remote, tls=trusting)
                )
                for local, remote in (("a", "b"), ("b", "a"))
            )
        )
        one.send(b"x")
        assert await other.receive() == b"x"


class TestImpostor:
    """Somebody with another certificate answers in the server's place."""

    async def test_it_learns_nothing_and_the_client_names_the_fingerprint_it_saw(
        self, keys: Keys
    ) -> None:
        other = Authority.new().issue("127.0.0.1")
        async with (
            a_server(tls=keys.server(other)) as (impostor, notices),
            a_tap(impostor.endpoint) as tap,
        ):
            why = await reason(tap.endpoint, keys.clients()["fingerprint"])
            assert fingerprint_text(bytes.fromhex(other.fingerprint)) in why
            assert "somebody else answers" in why
            trusting = ClientTlsSettings(fingerprint=other.fingerprint)
            await a_pair_connects(impostor.endpoint, trusting)  # the fence
            assert {notice.id for notice in notices.of(note.HostRegistered)} == {"host_a", "host_b"}
            assert len(notices.of(note.HostRegistered)) == 2

    async def test_a_certificate_of_an_unknown_authority_is_not_trusted(self, keys: Keys) -> None:
        other = Authority.new().issue("127.0.0.1")
        async with a_server(tls=keys.server(other)) as (impostor, notices):
            for tls in (ClientTlsSettings(ca=keys.ca), ClientTlsSettings()):
                why = await reason(impostor.endpoint, tls)
                assert "signed by no CA that this side trusts: give --ca FILE, or --server-f" in why
            await a_pair_connects(
                impostor.endpoint, ClientTlsSettings(fingerprint=other.fingerprint)
            )
            assert len(notices.of(note.HostRegistered)) == 2

    @pytest.mark.parametrize(
        ("names", "days", "why"),
        [
            (
                ("127.0.0.1",),
                (-9, -1),
                "has expired: the server needs a new one, if this host's clock is right",
            ),
            (("127.0.0.1",), (1, 9), "is not valid yet: check the clocks of both hosts"),
            (("127.0.0.2", "server.example"), (-1, 9), "is not for '127.0.0.1': give --server a"),
            ((), (-1, 9), "is not for '127.0.0.1'"),
        ],
        ids=["expired", "not-yet", "other-names", "no-name"],
    )
    async def test_a_certificate_that_does_not_fit_is_refused_in_words(
        self, keys: Keys, names: tuple[str, ...], days: tuple[int, int], why: str
    ) -> None:
        issued = keys.authority.issue(*names, days=days)
        async with a_server(tls=keys.server(issued)) as (server, _):
            said = await reason(server.endpoint, ClientTlsSettings(ca=keys.ca))
            assert said.startswith("the server's certificate ")
            assert why in said
            # to know the certificate itself is enough
            await a_pair_connects(
                server.endpoint, ClientTlsSettings(fingerprint=issued.fingerprint)
            )

    async def test_one_flipped_bit_of_a_record_ends_the_connection(self, keys: Keys) -> None:
        often = ServerSettings(heartbeat=0.1, silence_heartbeats=100)
        async with (
            a_server(settings=often, tls=keys.server()) as (server, notices),
            a_tap(server.endpoint) as tap,
        ):
            async with Host(
                tap.endpoint, "host_a", "host_b", connect=DISCARD, tls=keys.clients()["ca"]
            ) as a:
                await a.notices.wait(note.RegisteredAtServer)
                tap.change = lambda data: data[:-1] + bytes([data[-1] ^ 1])
                await a.notices.wait(note.ServerLost)
            assert await notices.wait(note.HostLeft) == note.HostLeft("host_a")


class TestOneSideOnly:
    """TLS on one side, none on the other: both say so."""

    async def test_a_client_in_clear_is_refused_in_clear(self, keys: Keys) -> None:
        async with (
            a_server(tls=keys.server()) as (server, notices),
            await Wire.to(server.endpoint) as wire,
        ):
            wire.send(register("host_a", "host_b"))
            refused = await wire.until(m.Refused)
            assert refused.code == m.ErrorCode.BAD_MESSAGE
            assert (
                refused.text == "this server speaks TLS: give --server-fingerprint, --ca or --tls"
            )
            await wire.ended()
            assert notices == [note.HostRefused(None, refused.code, refused.text)]

    async def test_a_client_with_tls_says_that_the_server_has_none(self) -> None:
        async with a_server() as (server, notices):
            said = await reason(server.endpoint, ClientTlsSettings())
            assert said.startswith("the server speaks no TLS: start it with --tls, or leave")
            refused = await notices.wait(note.HostRefused)
            assert refused.text.startswith("the other end speaks TLS, and this one does not")

    async def test_a_client_in_clear_recognises_a_server_that_answers_in_tls(self) -> None:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readline()
            writer.write(bytes.fromhex("15030300020246"))  # alert: protocol version
            writer.close()

        listener = await asyncio.start_server(answer, "127.0.0.1", 0)
        try:
            said = await reason(endpoint_of(listener.sockets[0].getsockname()), None)
        finally:
            listener.close()
        assert said.startswith("the other end speaks TLS, and this one does not")


class TestSlowHandshake:
    """Those who begin TLS and do not go on cost the others nothing."""

    async def test_silent_ones_are_capped_and_delay_nobody(self, keys: Keys) -> None:
        settings = ServerSettings(connections=20, unregistered_per_source=200, connects_in_all=1000)
        async with a_server(settings=settings, tls=keys.server()) as (server, _):
            silent = [await Wire.to(server.endpoint) for _ in range(60)]
            half = [await Wire.to(server.endpoint) for _ in range(60)]
            for wire in half:
                wire.writer.write(b"\x16\x03\x01\x02\x00\x01")
            await a_pair_connects(server.endpoint, keys.clients()["ca"])
            assert len(server.connections) <= 20
            assert server.counters["refused-server-full"] >= 100
            for wire in silent + half:
                await wire.__aexit__()

    @pytest.mark.parametrize("said", [b"", b"\x16", b"\x16\x03\x01\x02\x00\x01"])
    async def test_a_handshake_has_as_long_as_a_registration(self, keys: Keys, said: bytes) -> None:
        settings = ServerSettings(register_within=0.02)
        async with (
            a_server(settings=settings, tls=keys.server()) as (server, notices),
            await Wire.to(server.endpoint) as wire,
        ):
            wire.writer.write(said)
            assert await wire.next() is None  # nothing is said in clear
            assert (await notices.wait(note.HostRefused)).code == m.ErrorCode.TOO_SLOW
            await eventually(lambda: not server.connections, "the server forgets it")

    async def test_a_broken_handshake_is_no_news(self, keys: Keys) -> None:
        async with a_server(tls=keys.server()) as (server, notices):
            async with await Wire.to(server.endpoint) as wire:
                wire.writer.write(b"\x16\x03\x01\x00\x04junk")
                async with asyncio.timeout(DEADLINE):
                    alert = await wire.reader.read()
                assert alert[0] == 0x15
                await eventually(lambda: not server.connections, "the server forgets it")
            assert notices == []

    async def test_a_server_that_never_answers_in_tls_is_left(self, keys: Keys) -> None:
        accepted = asyncio.Event()

        async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            accepted.set()
            await reader.read()
            writer.close()

        listener = await asyncio.start_server(mute, "127.0.0.1", 0)
        where = endpoint_of(listener.sockets[0].getsockname())
        try:
            async with Host(
                where,
                "host_a",
                "host_b",
                connect=DISCARD,
                settings=ClientSettings(answer_within=0.05),
                tls=keys.clients()["ca"],
            ) as a:
                lost = await a.notices.wait(note.ServerLost)
                assert lost.reason == "no answer within 0.05 s"
                await eventually(accepted.is_set, "the server has accepted a connection")
        finally:
            listener.close()
