"""Errors that a socket tells late: each is counted for the datagram that it is about, and costs no other one."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from nat_traversal.aio.offload import RunSocket, tray_for_reading
from nat_traversal.aio.soft_errors import SOFT, Lost
from tests.features import linux_only
from tests.loopback.support import unused

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

KINDS = sorted(SOFT)
NAMES = [errno.errorcode[number] for number in KINDS]


class _Late(socket.socket):
    """A socket on which one call fails with what ICMP told of an earlier datagram, or each call of one size."""

    pending = 0
    own = 0
    own_size = 0

    def _stumble(self, size: int) -> None:
        if self.pending:
            number, self.pending = self.pending, 0
            raise OSError(number, os.strerror(number))
        if size == self.own_size:
            raise OSError(self.own, os.strerror(self.own))

    def send(self, data: ReadableBuffer, flags: int = 0) -> int:
        self._stumble(memoryview(data).nbytes)
        return super().send(data, flags)

    def sendmsg(self, *_: object) -> int:
        raise OSError(errno.EINVAL, "these are longer than the MTU")


class Sending:
    """A sender, by itself or with runs, and what it has told."""

    def __init__(self, kind: str, sock: socket.socket) -> None:
        self.failed: list[tuple[int | None, bytes]] = []
        self.lost: list[Lost] = []
        self.io = RunSocket(
            sock, tray_for_reading(), self._failed, self.lost.append, offload=kind == "runs"
        )

    def _failed(self, error: OSError, data: memoryview) -> None:
        self.failed.append((error.errno, bytes(data)))

    def send(self, datagrams: list[bytes]) -> int:
        return self.io.send_parts([memoryview(each) for each in datagrams])


@pytest.fixture
def peer() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as theirs:
        theirs.bind(("127.0.0.1", 0))
        theirs.settimeout(10)
        yield theirs


@pytest.fixture
def late(peer: socket.socket) -> Iterator[_Late]:
    with _Late(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(peer.getsockname())
        sock.setblocking(False)
        yield sock


@pytest.mark.parametrize("sender", ["plain", "runs"])
@pytest.mark.parametrize("number", KINDS, ids=NAMES)
def test_an_error_about_an_earlier_datagram_costs_none_of_a_burst(
    peer: socket.socket, late: _Late, sender: str, number: int
) -> None:
    sending = Sending(sender, late)
    assert sending.send([b"earlier"]) == 1
    late.pending = number
    assert sending.send([b"a", b"b", b"c"]) == 3
    assert [peer.recv(100) for _ in range(4)] == [b"earlier", b"a", b"b", b"c"]
    assert (sending.failed, [each.error for each in sending.lost]) == ([], [number])


@pytest.mark.parametrize("sender", ["plain", "runs"])
@pytest.mark.parametrize(
    "number", [each for each in KINDS if each != errno.ECONNREFUSED], ids=errno.errorcode.get
)
def test_a_datagram_s_own_error_is_told_once_and_costs_no_other_one(
    peer: socket.socket, late: _Late, sender: str, number: int
) -> None:
    sending = Sending(sender, late)
    late.own, late.own_size = number, 3
    assert sending.send([b"a", b"own", b"c"]) == 2
    assert [peer.recv(100) for _ in range(2)] == [b"a", b"c"]
    assert (sending.failed, sending.lost) == ([(number, b"own")], [])


@pytest.mark.parametrize("sender", ["plain", "runs"])
def test_both_kinds_at_once_are_told_apart(peer: socket.socket, late: _Late, sender: str) -> None:
    sending = Sending(sender, late)
    late.own, late.own_size, late.pending = errno.EMSGSIZE, 3, errno.EHOSTUNREACH
    assert sending.send([b"own", b"c"]) == 1
    assert peer.recv(100) == b"c"
    assert sending.failed == [(errno.EMSGSIZE, b"own")]
    assert sending.lost == [Lost(errno.EHOSTUNREACH)]


@pytest.mark.parametrize("sender", ["plain", "runs"])
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@linux_only
def test_the_kernel_s_queue_tells_each_datagram_that_was_refused(sender: str, host: str) -> None:
    port = unused().port
    address = unused().address if host != "::1" else host
    family = socket.AF_INET6 if host == "::1" else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.connect((address, port))
        sock.setblocking(False)
        sending = Sending(sender, sock)
        assert sending.send([b"1", b"2", b"3", b"4"]) == 4
        # Over loopback each is refused before the next leaves, and the last is still untold.
        refused = [Lost(errno.ECONNREFUSED, address, start) for start in (b"1", b"2", b"3")]
        if sender == "runs":
            assert sending.send([b"5"]) == 1
            refused = [Lost(errno.ECONNREFUSED, address, b"1", count=4)]
        assert sending.lost == refused
        assert sending.failed == []


@linux_only
def test_a_reader_hears_what_no_send_was_told() -> None:
    closed = unused()
    told: list[Lost] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(closed.sockaddr)
        sock.setblocking(False)
        io = RunSocket(
            sock, tray_for_reading(), lambda error, _: pytest.fail(str(error)), told.append
        )
        io.send_run(memoryview(b"x"), 1)
        batch = io.receive()
        assert (batch.runs, batch.is_last) == ([], False)
        assert io.receive().is_last
    assert told == [Lost(errno.ECONNREFUSED, closed.address, b"x")]


def test_a_datagram_that_no_packet_holds_is_told_with_its_own_error(late: _Late) -> None:
    sending = Sending("plain", late)
    assert sending.send([bytes(65_508), b"x"]) == 1
    assert [(number, len(data)) for number, data in sending.failed] == [(errno.EMSGSIZE, 65_508)]
    assert sending.lost == []


@pytest.mark.parametrize(
    ("lost", "words"),
    [
        (Lost(errno.ECONNREFUSED), "Connection refused"),
        (Lost(errno.EHOSTUNREACH, "10.9.0.2"), "No route to host, says 10.9.0.2"),
        (
            Lost(errno.EHOSTUNREACH, "10.9.0.2", is_forbidden=True),
            "forbidden by a firewall, says 10.9.0.2",
        ),
        (
            Lost(errno.EMSGSIZE, "192.0.2.1", carries=1400),
            "Message too long: the longest IP packet there has 1400 octets, says 192.0.2.1",
        ),
    ],
)
def test_people_are_told_why_and_by_whom(lost: Lost, words: str) -> None:
    assert str(lost) == words


@linux_only
def test_a_run_that_fails_for_an_earlier_datagram_leaves_as_a_run() -> None:
    """ENOPROTOOPT is also what a kernel without runs says: the late one must not end them for good."""
    closed = unused()
    told: list[Lost] = []
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as theirs,
    ):
        sock.connect(closed.sockaddr)
        sock.setblocking(False)
        sender = RunSocket(
            sock, tray_for_reading(), lambda error, _: pytest.fail(str(error)), told.append
        )
        sender.send_run(memoryview(b"early"), 5)
        theirs.bind(closed.sockaddr)
        theirs.settimeout(10)
        assert sender.send_run(memoryview(b"aabb"), 2) == 2
        assert [theirs.recv(9) for _ in range(2)] == [b"aa", b"bb"]
        assert sender.sends_runs
    assert told == [Lost(errno.ECONNREFUSED, closed.address, b"early")]
