"""Datagrams that are too long, refused or for nobody, and sockets that fail: counted, told, and no more."""

from __future__ import annotations

import errno
import random
import socket
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from nat_traversal import Endpoint
from nat_traversal.aio import packet_io as packet_io_module
from nat_traversal.aio import service_flow as service_flow_module
from nat_traversal.aio.datapath import DataPath
from nat_traversal.aio.packet_io import open_udp
from nat_traversal.aio.platform import Platform
from nat_traversal.wire.datagrams import MAX_UDP_PAYLOAD
from tests.features import linux_only
from tests.loopback.hosts import Host, refused, two_hosts
from tests.loopback.programs import Program, Service
from tests.loopback.support import eventually, unused

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

FULL = "this process has no file descriptor left: raise `ulimit -n`, or let it do less"


class TestTrouble:
    """A datagram that cannot be delivered is counted and told, and stops nothing else."""

    async def test_a_closed_target_port_works_as_soon_as_the_service_starts(self) -> None:
        target = unused()
        with Program() as program:
            async with two_hosts(connect=[target]) as (a, b):
                for count in (1, 2, 3):
                    program.send(b"early", a.port)
                    await refused(b, count)
                assert set(b.problems) == {
                    f"nothing listens on {target}: start the service or correct --connect"
                }
                assert b.connector is not None
                assert b.connector.flows == 1
                with Service(*target.sockaddr):
                    assert await program.ask(b"late", a.port) == b"late"
                assert b.connector.flows == 1

    async def test_the_answer_to_an_earlier_datagram_does_not_cost_the_next_one(self) -> None:
        """Without a turn of the loop between: the kernel reports the ICMP error to the next send."""
        target = unused()
        async with two_hosts(connect=[target]) as (_, b):
            assert b.connector is not None
            b.connector.deliver(1, [memoryview(b"early")])
            with Service(*target.sockaddr) as service:
                b.connector.deliver(1, [memoryview(b"late")])
                await eventually(lambda: service.asked, "the service is asked")
                assert service.asked[0][0] == b"late"
            assert b.counters["refused"] == 1

    async def test_a_program_that_has_gone_costs_the_others_nothing(self) -> None:
        with Program() as service, Program() as other:
            async with two_hosts(connect=[service.endpoint]) as (a, _):
                with Program() as gone:
                    gone.send(b"bye", a.port)
                    _, source = await service.receive()
                for _ in range(3):
                    service.send(b"too late", source)
                for _ in range(3):
                    other.send(b"hello", a.port)
                    payload, source = await service.receive()
                    service.send(payload, source)
                    assert await other.receive() == (b"hello", a.port)

    @pytest.mark.parametrize("size", [9000, MAX_UDP_PAYLOAD])
    async def test_a_datagram_too_long_for_the_path_is_cut_to_what_passes(self, size: int) -> None:
        narrow = Platform(open_udp=_narrow_udp)
        with Service() as service, Program() as program:
            async with two_hosts(connect=[service.endpoint], platform=narrow) as (a, b):
                for number in range(3):  # before, while and after the size is found
                    payload = random.Random(number).randbytes(size)
                    assert await program.ask(payload, a.port) == payload
                    assert max(host.path.frame_size for host in (a, b)) <= NARROW
                for path in (a.path, b.path):
                    await eventually(partial(_is_sized, path), "what passes is found")
                assert a.counters.counted() == b.counters.counted() == {"sent": 3, "received": 3}
                assert a.problems == b.problems == []

    async def test_a_datagram_that_the_network_refuses_is_counted_and_told(self) -> None:
        failing = Platform(open_udp=_failing_udp)
        with Service() as service, Program() as program:
            async with two_hosts(connect=[service.endpoint], platform=failing) as (a, _):
                assert isinstance(a.socket.sock, _Failing)
                a.socket.sock.errors.append(OSError(errno.ENOBUFS, "No buffer space"))
                a.path.send(0, True, b"lost")
                assert a.counters.counted() == {"unsendable": 1}
                assert a.problems == ["a datagram to the other side was not sent: No buffer space"]
                assert await program.ask(b"short", a.port) == b"short"

    async def test_a_payload_that_no_datagram_holds_is_counted_at_both_sides(self) -> None:
        """Only a program that speaks IPv6 at the other side can send it."""
        with Program() as service, Program() as program:
            async with two_hosts(connect=[service.endpoint]) as (a, b):
                program.send(b"x", a.port)
                _, source = await service.receive()
                a.path.send(1, True, bytes(65_527))
                await eventually(lambda: b.counters["unsendable"] == 1, "b counts it")
                assert b.problems == [
                    f"a datagram to {service.endpoint} was not sent: Message too long (65527 octets)"
                ]
                b.path.send(1, False, bytes(65_527))
                await eventually(lambda: a.counters["unsendable"] == 1, "a counts it")
                assert a.problems == [
                    f"a reply to {program.endpoint} was not sent: Message too long (65527 octets)"
                ]
                service.send(b"still alive", source)
                assert (await program.receive())[0] == b"still alive"

    async def test_datagrams_are_dropped_and_told_until_a_path_stands(self) -> None:
        async with Host(unused(), "host_a", "host_b", listen="127.0.0.1") as a:
            with Program() as program:
                program.send(b"x", a.port)
                program.send(b"y", a.port)
                await eventually(lambda: a.counters["unsendable"] == 2, "both are counted")
            assert set(a.problems) == {
                "datagrams from local programs are dropped until a path stands"
            }

    async def test_a_datagram_for_no_flow_is_counted_and_harms_nothing(self) -> None:
        with Service() as service, Program() as program:
            async with two_hosts(connect=[service.endpoint]) as (a, b):
                b.path.send(1, False, b"to nobody yet")
                b.path.send(2**32 - 1, False, b"")
                await eventually(lambda: a.counters["unclaimed"] == 2, "a counts them")
                assert await program.ask(b"x", a.port) == b"x"
                assert not program.has_received()

    async def test_a_direction_that_the_other_side_does_not_serve_is_told_there(self) -> None:
        with Service() as service:
            async with two_hosts(connect=[service.endpoint]) as (a, b):
                a.path.send(1, False, b"x")
                await eventually(lambda: b.counters["unclaimed"] == 1, "b counts it")
                b.path.send(1, True, b"x")
                await eventually(lambda: a.counters["unclaimed"] == 1, "a counts it")
                told = "the other side sends datagrams, but this side has no "
                assert (a.problems, b.problems) == ([f"{told}--connect"], [f"{told}--listen"])

    async def test_a_flow_without_a_socket_is_told_and_the_next_one_works(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with Service() as service, Program() as program:
            async with two_hosts(connect=[service.endpoint]) as (a, b):
                with monkeypatch.context() as patch:
                    patch.setattr(service_flow_module, "open_udp", _no_file)
                    program.send(b"x", a.port)
                    await eventually(lambda: b.counters["unsendable"] == 1, "it is counted")
                assert b.problems == [f"no way to {service.endpoint}: {FULL}"]
                assert await program.ask(b"y", a.port) == b"y"

    async def test_a_flow_whose_other_addresses_get_no_socket_is_told(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first, second = unused(), unused()
        async with two_hosts(connect=[first, second]) as (_, b):
            assert b.connector is not None
            b.connector.deliver(1, [memoryview(b"early")])
            with monkeypatch.context() as patch:
                patch.setattr(service_flow_module, "open_udp", _no_file)
                b.connector.deliver(1, [memoryview(b"late")])
            assert b.connector.flows == 0
            assert b.problems == [f"no way to {first} or {second}: {FULL}"]
            with Service(*second.sockaddr) as service:
                b.connector.deliver(1, [memoryview(b"again")])
                await eventually(lambda: service.asked, "the service is asked")

    async def test_a_second_try_that_fails_for_another_reason_is_told(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(service_flow_module, "open_udp", _refusing_udp)
        target = unused()
        async with two_hosts(connect=[target]) as (_, b):
            assert b.connector is not None
            b.connector.deliver(1, [memoryview(b"x")])
            assert (b.counters["refused"], b.counters["unsendable"]) == (1, 1)
            assert f"a datagram to {target} was not sent: No buffer space" in b.problems

    async def test_an_error_of_the_listening_socket_is_no_news(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(packet_io_module, "open_udp", _stumbling_udp)
        with Service() as service, Program() as program:
            async with two_hosts(connect=[service.endpoint]) as (a, _):
                assert await program.ask(b"x", a.port) == b"x"
                assert a.problems == []

    @linux_only
    async def test_an_error_of_a_service_s_socket_ends_neither_flow_nor_client(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with Service() as service, Program() as program:
            async with two_hosts(connect=[service.endpoint]) as (a, b):
                monkeypatch.setattr(service_flow_module, "open_udp", _stumbling_udp)
                assert await program.ask(b"x", a.port) == b"x"
                assert b.counters.counted() == {"sent": 1, "received": 1, "unreachable": 1}
                assert b.problems == [
                    f"a datagram to {service.endpoint} was lost: No route to host"
                ]


NARROW = 1300


def _is_sized(path: DataPath) -> bool:
    return NARROW - 100 < path.frame_size <= NARROW


class _Narrow(socket.socket):
    """A socket whose path carries datagrams of `NARROW` octets at most."""

    def send(self, data: ReadableBuffer, flags: int = 0) -> int:
        if memoryview(data).nbytes > NARROW:
            raise OSError(errno.EMSGSIZE, "Message too long")
        return super().send(data, flags)


class _Failing(socket.socket):
    """A socket that fails to send for each of `errors`."""

    def __init__(self, fileno: int) -> None:
        super().__init__(fileno=fileno)
        self.errors: list[OSError] = []

    def send(self, data: ReadableBuffer, flags: int = 0) -> int:
        if self.errors:
            raise self.errors.pop()
        return super().send(data, flags)


class _Stumbling(socket.socket):
    """A socket that first reports an error that some router caused."""

    stumbled = False

    def recvmsg_into(
        self, buffers: Iterable[WriteableBuffer], ancbufsize: int = 0, flags: int = 0, /
    ) -> tuple[int, list[tuple[int, int, bytes]], int, Any]:
        if not self.stumbled:
            self.stumbled = True
            raise OSError(errno.EHOSTUNREACH, "No route to host")
        return super().recvmsg_into(buffers, ancbufsize, flags)


class _Refusing(socket.socket):
    """A socket that reports an ICMP error, and has no buffer for the second try."""

    refused = False

    def send(self, data: ReadableBuffer, flags: int = 0) -> int:
        if self.refused:
            raise OSError(errno.ENOBUFS, "No buffer space")
        self.refused = True
        raise ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")


def _narrow_udp(local: Endpoint, buffer: int) -> socket.socket:
    return _as(_Narrow, open_udp(local, buffer))


def _failing_udp(local: Endpoint, buffer: int) -> socket.socket:
    return _as(_Failing, open_udp(local, buffer))


def _stumbling_udp(local: Endpoint, buffer: int, **_: bool) -> socket.socket:
    return _as(_Stumbling, open_udp(local, buffer))


def _refusing_udp(local: Endpoint, buffer: int) -> socket.socket:
    return _as(_Refusing, open_udp(local, buffer))


def _no_file(local: Endpoint, buffer: int) -> socket.socket:
    raise OSError(errno.EMFILE, "Too many open files")


def _as(kind: type[socket.socket], sock: socket.socket) -> socket.socket:
    other = kind(fileno=sock.detach())
    other.setblocking(False)
    return other
