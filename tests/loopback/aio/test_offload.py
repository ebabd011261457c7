"""Runs of datagrams over real sockets: with the kernel's help, without it, and where it says no."""

from __future__ import annotations

import errno
import logging
import os
import random
import socket
from collections.abc import Callable, Iterator

import pytest

from nat_traversal.aio.offload import (
    MOST_SEGMENTS,
    TRY_AGAIN,
    RunSocket,
    most_in_a_run,
    runs_of,
    tray_for_reading,
)
from nat_traversal.aio.packet_io import BATCH
from nat_traversal.aio.soft_errors import Lost
from tests.features import linux_only

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    """Two sockets on loopback, the first connected to the second."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ours,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as theirs,
    ):
        theirs.bind(("127.0.0.1", 0))
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        theirs.setblocking(False)
        ours.connect(theirs.getsockname())
        yield ours, theirs


def never(error: OSError, piece: memoryview) -> None:
    raise AssertionError(f"{error} for {len(piece)} octets")


def not_lost(lost: Lost) -> None:
    raise AssertionError(lost)


def on(
    sock: socket.socket,
    *,
    offload: bool = True,
    connected: bool = True,
    failed: Callable[[OSError, memoryview], None] = never,
) -> RunSocket:
    return RunSocket(
        sock, tray_for_reading(), failed, not_lost, offload=offload, connected=connected
    )


def received(io: RunSocket, most: int = BATCH) -> list[bytes]:
    """Every datagram that is there, however they come."""
    found: list[bytes] = []
    is_last = False
    while not is_last:
        batch = io.receive(most)
        assert batch.total == sum(run.total for run in batch.runs) <= most + MOST_SEGMENTS
        assert len(batch.origins) == len(batch.runs)
        for run in batch.runs:
            parts = run.parts()
            assert len(parts) == run.total
            assert {len(part) for part in parts[:-1]} <= {run.size}
            found += map(bytes, parts)
        is_last = batch.is_last
    return found


@pytest.mark.parametrize("sending", [True, False])
@pytest.mark.parametrize("receiving", [True, False])
@pytest.mark.parametrize(("size", "last"), [(1, 1), (100, 100), (1200, 7), (1400, 1400)])
def test_every_datagram_arrives_whole_and_in_order(
    pair: Pair, sending: bool, receiving: bool, size: int, last: int
) -> None:
    ours, theirs = pair
    count = 2 * most_in_a_run(size)
    whole = [bytes([number % 256]) * size for number in range(count - 1)] + [b"!" * last]
    receiver, sender = on(theirs, offload=receiving), on(ours, offload=sending)
    assert sender.send_run(memoryview(b"".join(whole)), size) == count
    assert received(receiver) == whole
    assert sender.send_parts([memoryview(each) for each in whole]) == count
    assert received(receiver) == whole


@pytest.mark.parametrize("sending", [True, False])
@pytest.mark.parametrize("receiving", [True, False])
@pytest.mark.parametrize("most", [1, 7, BATCH])
def test_datagrams_of_any_sizes_stay_apart(
    pair: Pair, sending: bool, receiving: bool, most: int
) -> None:
    ours, theirs = pair
    rng = random.Random(1)
    whole = [
        rng.randbytes(rng.choice([0, 1, 2, 2, 2, 300, rng.randrange(2000)])) for _ in range(400)
    ]
    sender = on(ours, offload=sending)
    assert sender.send_parts([memoryview(each) for each in whole]) == len(whole)
    assert received(on(theirs, offload=receiving), most) == whole


def test_senders_stay_apart_and_are_told(pair: Pair) -> None:
    _, theirs = pair
    socks = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(3)]
    for sock in socks:
        sock.connect(theirs.getsockname())
    for index in (0, 0, 1, 2, 2, 1, 1):
        socks[index].send(b"%d" % index)
    batch = on(theirs, connected=False).receive()
    names = [sock.getsockname() for sock in socks]
    assert [
        (names.index(source), run.total)
        for run, (source, _) in zip(batch.runs, batch.origins, strict=True)
    ] == [(0, 2), (1, 1), (2, 2), (1, 2)]
    for sock in socks:
        sock.close()


@linux_only
def test_a_long_run_of_the_kernel_s_ends_a_batch_and_short_ones_do_not(pair: Pair) -> None:
    """So many are company enough: the next hop gets them before the next ones are read."""
    ours, theirs = pair
    sender, receiver = on(ours), on(theirs)
    for _ in range(2):
        sender.send_run(memoryview(bytes(4000)), 100)
    assert [receiver.receive().total for _ in range(2)] == [40, 40]
    for _ in range(2):
        sender.send_run(memoryview(bytes(250)), 100)
    batch = receiver.receive()
    assert ([run.total for run in batch.runs], batch.is_last) == ([3, 3], True)


def test_an_empty_datagram_is_one(pair: Pair) -> None:
    ours, theirs = pair
    assert on(ours).send_run(memoryview(b""), 0) == 1
    assert on(ours).send_parts([memoryview(b"")] * 2) == 2
    assert received(on(theirs)) == [b"", b"", b""]


def test_an_unconnected_socket_sends_where_it_is_told(pair: Pair) -> None:
    _, theirs = pair
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        sender = on(free, connected=False)
        assert sender.send_run(memoryview(b"abab"), 2, theirs.getsockname()) == 2
        assert sender.send_run(memoryview(b"x"), 1, theirs.getsockname()) == 1
    assert received(on(theirs, offload=False)) == [b"ab", b"ab", b"x"]


class Refusing(socket.socket):
    """A socket whose kernel refuses runs with one errno."""

    number = errno.EIO
    asked = 0

    def sendmsg(self, *_: object) -> int:
        self.asked += 1
        raise OSError(self.number, "no")


@pytest.mark.parametrize("number", [errno.EIO, errno.EOPNOTSUPP, errno.EINVAL, errno.EMSGSIZE])
@linux_only
def test_where_the_kernel_says_no_they_go_one_by_one(
    pair: Pair, number: int, caplog: pytest.LogCaptureFixture
) -> None:
    _, theirs = pair
    with Refusing(socket.AF_INET, socket.SOCK_DGRAM) as refusing, caplog.at_level(logging.DEBUG):
        refusing.connect(theirs.getsockname())
        refusing.number = number
        sender = on(refusing)
        for _ in range(3):
            assert sender.send_run(memoryview(b"abab"), 2) == 2
        assert received(on(theirs)) == [b"ab"] * 6
        # All but EIO and EINVAL may have been about an earlier datagram, and is asked again at once.
        at_once = {errno.EIO: 1, errno.EINVAL: 1, errno.EOPNOTSUPP: 2, errno.EMSGSIZE: 2}[number]
        assert refusing.asked == at_once, "no other run was tried"
        never_again = number in {errno.EIO, errno.EOPNOTSUPP}
        assert sender.sends_runs != never_again
        assert caplog.text.count("no runs of datagrams here") == never_again


@linux_only
def test_datagrams_longer_than_the_mtu_go_one_by_one_for_a_while_and_shorter_ones_in_runs(
    pair: Pair,
) -> None:
    _, theirs = pair
    with Refusing(socket.AF_INET, socket.SOCK_DGRAM) as refusing:
        refusing.connect(theirs.getsockname())
        refusing.number = errno.EINVAL
        sender = on(refusing)
        for _ in range(TRY_AGAIN):
            sender.send_run(memoryview(b"abab"), 2)
        assert refusing.asked == 1
        sender.send_run(memoryview(b"ab"), 1)
        assert refusing.asked == 2, "these are shorter"
        sender.send_run(memoryview(b"abab"), 2)
        for _ in range(TRY_AGAIN):
            sender.send_run(memoryview(b"abab"), 2)
        assert refusing.asked == 3, "perhaps they have become short enough"


def test_where_the_kernel_puts_no_datagrams_together_they_are_read_one_by_one(
    pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    class Old(socket.socket):
        def setsockopt(self, *words: object) -> None:
            if words[:2] == (socket.IPPROTO_UDP, 104):
                raise OSError(errno.ENOPROTOOPT, os.strerror(errno.ENOPROTOOPT))

    ours, theirs = pair
    with Old(fileno=os.dup(theirs.fileno())) as old, caplog.at_level(logging.DEBUG):
        receiver = on(old)
        assert not receiver.receives_runs
        assert caplog.text.count("the kernel puts no datagrams together") == 1
        on(ours).send_run(memoryview(b"aabbc"), 2)
        assert received(receiver) == [b"aa", b"bb", b"c"]


def test_each_datagram_that_did_not_leave_is_told() -> None:
    lost: list[tuple[int | None, int]] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        sender = on(free, failed=lambda error, piece: lost.append((error.errno, len(piece))))
        assert sender.send_run(memoryview(b"ababx"), 2) == 0
    assert lost == [(errno.EDESTADDRREQ, 2), (errno.EDESTADDRREQ, 2), (errno.EDESTADDRREQ, 1)]


def test_a_run_fits_what_the_kernel_takes() -> None:
    assert most_in_a_run(1) == most_in_a_run(0) == MOST_SEGMENTS
    assert most_in_a_run(1400) * 1400 <= 65_507
    assert most_in_a_run(65_507) == 1


def test_a_shorter_datagram_ends_a_run_and_belongs_to_it() -> None:
    sizes = [5, 5, 3, 5, 6, 6, 0, 0, 2, 1, 1]
    runs = runs_of([memoryview(bytes(size)) for size in sizes])
    assert [[len(part) for part in run] for run in runs] == [
        [5, 5, 3],
        [5],
        [6, 6],
        [0, 0],
        [2, 1],
        [1],
    ]
