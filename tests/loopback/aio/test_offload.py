"""Runs of datagrams over real sockets: with the kernel's help, without it, and where it says no."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator

import pytest

from nat_traversal.aio.offload import (
    MOST_SEGMENTS,
    RunReceiver,
    RunSender,
    RunSocket,
    most_in_a_run,
)
from nat_traversal.aio.soft_errors import Lost

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    """Two sockets on loopback, the first connected to the second."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ours,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as theirs,
    ):
        theirs.bind(("127.0.0.1", 0))
        theirs.settimeout(10)
        ours.connect(theirs.getsockname())
        yield ours, theirs


def never(error: OSError, piece: bytes | memoryview) -> None:
    raise AssertionError(f"{error} for {len(piece)} octets")


def not_lost(lost: Lost) -> None:
    raise AssertionError(lost)


def datagrams(receiver: RunReceiver, count: int) -> list[bytes]:
    """The next `count` datagrams, however they come."""
    place, found = memoryview(bytearray(65_535)), list[bytes]()
    while len(found) < count:
        run = receiver.receive_into(place)
        step = run.size or 1
        found += [
            bytes(place[at : min(at + step, run.length)]) for at in range(0, run.length, step)
        ]
        found += [b""] if not run.length else []
    return found


@pytest.mark.parametrize("sending", [True, False])
@pytest.mark.parametrize("receiving", [True, False])
@pytest.mark.parametrize(("size", "last"), [(1, 1), (100, 100), (1200, 7), (1400, 1400)])
def test_every_datagram_arrives_whole_and_in_order(
    pair: Pair, sending: bool, receiving: bool, size: int, last: int
) -> None:
    ours, theirs = pair
    count = most_in_a_run(size)
    whole = [bytes([number % 256]) * size for number in range(count - 1)] + [b"!" * last]
    receiver = RunReceiver(theirs, offload=receiving)
    sender = RunSender(ours, never, offload=sending)
    assert sender.send_run(memoryview(b"".join(whole)), size) == count
    assert datagrams(receiver, count) == whole
    assert sender.send_pieces([memoryview(each) for each in whole[:-1]]) == count - 1
    assert datagrams(receiver, count - 1) == whole[:-1]


def test_an_empty_datagram_is_one(pair: Pair) -> None:
    ours, theirs = pair
    receiver = RunReceiver(theirs)
    assert RunSender(ours, never).send_run(memoryview(b""), 0) == 1
    assert RunSender(ours, never).send_pieces([memoryview(b"")] * 2) == 2
    assert datagrams(receiver, 3) == [b"", b"", b""]


def test_an_unconnected_socket_sends_where_it_is_told(pair: Pair) -> None:
    _, theirs = pair
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        sender = RunSender(free, never)
        assert sender.send_run(memoryview(b"abab"), 2, theirs.getsockname()) == 2
        assert sender.send_run(memoryview(b"x"), 1, theirs.getsockname()) == 1
    assert datagrams(RunReceiver(theirs, offload=False), 3) == [b"ab", b"ab", b"x"]


class Refusing:
    """A socket whose kernel refuses runs with one errno."""

    def __init__(self, sock: socket.socket, number: int) -> None:
        self._sock = sock
        self.number = number
        self.asked = 0
        self.send, self.sendto, self.recvmsg = sock.send, sock.sendto, sock.recvmsg
        self.family, self.setsockopt = sock.family, sock.setsockopt

    def sendmsg(self, *_: object) -> int:
        self.asked += 1
        raise OSError(self.number, "no")


@pytest.mark.parametrize("number", [errno.EIO, errno.EOPNOTSUPP, errno.EINVAL, errno.EMSGSIZE])
def test_where_the_kernel_says_no_they_go_one_by_one(pair: Pair, number: int) -> None:
    ours, theirs = pair
    refusing = Refusing(ours, number)
    sender = RunSender(refusing, never)  # type: ignore[arg-type]
    for _ in range(2):
        assert sender.send_run(memoryview(b"abab"), 2) == 2
    assert datagrams(RunReceiver(theirs), 4) == [b"ab"] * 4
    # All but EIO and EINVAL may have been about an earlier datagram, and is asked again at once.
    # What never works is not asked for another run.
    at_once = {errno.EIO: 1, errno.EINVAL: 1, errno.EOPNOTSUPP: 2, errno.EMSGSIZE: 2}[number]
    runs = 1 if number in {errno.EIO, errno.EOPNOTSUPP} else 2
    assert refusing.asked == at_once * runs


def test_each_datagram_that_did_not_leave_is_told() -> None:
    lost: list[tuple[int | None, int]] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        sender = RunSender(free, lambda error, piece: lost.append((error.errno, len(piece))))
        assert sender.send_run(memoryview(b"ababx"), 2) == 0
    assert lost == [(errno.EDESTADDRREQ, 2), (errno.EDESTADDRREQ, 2), (errno.EDESTADDRREQ, 1)]


def test_a_run_fits_what_the_kernel_takes() -> None:
    assert most_in_a_run(1) == most_in_a_run(0) == MOST_SEGMENTS
    assert most_in_a_run(1400) * 1400 <= 65_507
    assert most_in_a_run(65_507) == 1


class _Bare(socket.socket):
    """A socket of a system that sends no runs."""

    runs = 0

    def sendmsg(self, *_: object) -> int:
        self.runs += 1
        raise OSError(errno.EIO, "not here")


def test_a_path_s_socket_goes_on_one_by_one_where_no_runs_can_be_sent(pair: Pair) -> None:
    _, theirs = pair
    with _Bare(socket.AF_INET, socket.SOCK_DGRAM) as bare:
        bare.connect(theirs.getsockname())
        ours = RunSocket(bare, never, not_lost)
        for payloads in ([b"one", b"two"], [b"six", b"ten"]):
            assert ours.send(payloads) == 2
            assert [theirs.recv(100) for _ in payloads] == payloads
        assert bare.runs == 1, "it was tried once"


def test_a_path_s_socket_sends_each_length_as_a_run_and_receives_them_in_order(pair: Pair) -> None:
    sender, receiver = pair
    payloads = [b"a" * 10] * 3 + [b"b" * 20] + [b""] + [b"c" * 10] * 100
    receiver.setblocking(False)
    ours, theirs = (RunSocket(sock, never, not_lost) for sock in (sender, receiver))
    assert ours.send(payloads) == len(payloads)
    found: list[bytes] = []
    is_last = False
    while not is_last:
        batch = theirs.receive()
        assert len(batch.frames) < theirs.batch_size + MOST_SEGMENTS
        found += map(bytes, batch.frames)
        is_last = batch.is_last
    assert found == payloads
