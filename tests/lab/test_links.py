"""Conditions on links of a standing network: how true they are, and that nothing is left of them.

Times are read from captures at both ends of one link, stamped by the kernel with one clock.
"""

# ruff: noqa: PLC0415 - only a sandbox imports Mininet, whose code is full of warnings

from __future__ import annotations

import random
import socket
import subprocess
from collections import Counter
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import pytest

from lab.addressing import SERVER
from lab.delayline import DelayLine
from lab.errors import NetworkError
from lab.link_conditions import LinkConditions, Way
from nat_traversal.errors import UsageError
from tests.lab import warm
from tests.lab.patience import measured_until

if TYPE_CHECKING:
    from lab.capture import Capture
    from lab.links import Carried
    from lab.network import TwoNatsNetwork

_TIMEOUT = 50.0
_LINK = ("nat_a", "internet")
_ENDS = {"nat_a-wan": "nat_a", "internet-a": "internet"}
_PORT = 4000
_MORE, _GIVE_UP = 0.2, 5.0
_DELAY_LINE = "delay line"
"""`lab.links.Method` by its value. Where none is named, it is what this machine has."""


def _capture(network: TwoNatsNetwork) -> Capture:
    from lab.capture import Capture, Tap

    return Capture([Tap(network.pid(node), interface) for interface, node in _ENDS.items()])


def _send_and_wait(
    network: TwoNatsNetwork, count: int, gap: float, size: int = 60, expected: int | None = None
) -> list[int]:
    """Datagrams from host_a to the server, one every `gap` s; the numbers of those that arrived, in
    that order. Once `expected` are there (None: all), more may come for as long as `_MORE`."""
    import select
    import time

    from lab.netns import udp_socket

    with ExitStack() as stack:
        pid = network.pid("host_a")
        sender = stack.enter_context(udp_socket(pid, network.address("host_a")))
        receiver = stack.enter_context(udp_socket(network.pid("server"), str(SERVER.ip), _PORT))
        receiver.setblocking(False)
        arrived: list[int] = []

        def take(seconds: float) -> bool:
            readable, _, _ = select.select([receiver], [], [], seconds)
            if readable:
                arrived.append(int.from_bytes(receiver.recv(9000)[:4], "big"))
            return bool(readable)

        start = time.monotonic()
        for number in range(count):
            while (left := start + number * gap - time.monotonic()) > 0:
                take(left)
            sender.sendto(number.to_bytes(4, "big") + bytes(size - 4), (str(SERVER.ip), _PORT))
        wanted = count if expected is None else expected
        while take(_MORE if len(arrived) >= wanted else _GIVE_UP):
            pass
        return arrived


def _crossings(capture: Capture) -> dict[int, list[float]]:
    """Datagram number to the seconds that each of its arrivals at the router took."""
    left: dict[int, float] = {}
    took: dict[int, list[float]] = {}
    for packet in capture.packets:
        if packet.destination.port != _PORT:
            continue
        number = int.from_bytes(packet.payload[:4], "big")
        if packet.point == "nat_a-wan" and packet.outgoing:
            left[number] = packet.time
            took[number] = []
        elif packet.point == "internet-a" and not packet.outgoing:
            took[number].append(packet.time - left[number])
    return took


def _measured(
    conditions: LinkConditions | None, count: int, gap: float, method: str | None = None
) -> list[float]:
    from lab.links import Method, conditioned
    from lab.network import two_nats_network

    with two_nats_network("port-restricted-cone", "none") as network, ExitStack() as stack:
        if conditions is not None:
            chosen = Method(method) if method else None
            stack.enter_context(conditioned(network, {_LINK: conditions}, method=chosen))
        with _capture(network) as capture:
            _send_and_wait(network, count, gap)
        return [time for times in _crossings(capture).values() for time in times]


@pytest.mark.measures_time
@pytest.mark.parametrize("delay", [0.001, 0.005, 0.04, 0.15])
def test_the_delay_is_true_to_a_millisecond_or_two_percent(delay: float) -> None:
    plain = median(warm.call(_TIMEOUT, _measured, None, 300, 0.003))
    conditions = LinkConditions(Way(delay=delay))
    tolerance = max(0.001, 0.02 * delay)

    def late(measured: list[float]) -> float:
        return abs(median(measured) - plain - delay)

    measured = measured_until(
        lambda measured: late(measured) < tolerance,
        lambda: warm.call(_TIMEOUT, _measured, conditions, 300, 0.003),
    )
    assert len(measured) == 300
    assert min(measured) >= delay
    assert late(measured) < tolerance


def _round_trips() -> list[float]:
    """From the router to the NAT and back, where the two directions differ."""
    from lab.links import conditioned
    from lab.netns import in_namespace
    from lab.network import two_nats_network

    conditions = LinkConditions(Way(delay=0.03), Way(delay=0.01))
    with (
        two_nats_network("none", "none") as network,
        conditioned(network, {_LINK: conditions}),
        _capture(network) as capture,
        in_namespace(network.pid("internet")),
    ):
        subprocess.run(
            ["ping", "-q", "-c", "100", "-i", "0.01", "203.0.113.2"],
            check=True,
            stdout=subprocess.DEVNULL,
        )
    sides: dict[tuple[str, int], list[float]] = {}
    for frame in capture.frames:
        sides.setdefault((frame.sniffed_on, frame.direction), []).append(frame.time)
    asked, asked_there = sides["internet-a", 2], sides["nat_a-wan", 1]
    answered, answered_here = sides["nat_a-wan", 2], sides["internet-a", 1]
    return [
        median(b - a for a, b in zip(one, other, strict=True))
        for one, other in ((asked, asked_there), (answered, answered_here), (asked, answered_here))
    ]


@pytest.mark.measures_time
def test_each_direction_has_its_own_delay() -> None:
    asked = (0.01, 0.03, 0.04)

    def late(measured: list[float]) -> float:
        return max(abs(real - wanted) for real, wanted in zip(measured, asked, strict=True))

    measured = measured_until(
        lambda measured: late(measured) < 0.001, lambda: warm.call(_TIMEOUT, _round_trips)
    )
    assert late(measured) < 0.001


@pytest.mark.measures_time
def test_every_frame_gets_the_jitter_that_the_seed_gives_it() -> None:
    way = Way(delay=0.02, jitter=0.005)
    conditions = LinkConditions(way, seed=3)
    line = DelayLine(way, "3/nat_a>internet")
    expected = []
    for number in range(200):
        line.accept(b"", number * 10**9)
        due = line.next_due
        assert due is not None
        expected.append(due / 1e9 - number)
        line.release(due)

    def late(took: list[float]) -> float:
        return abs(median(real - asked for real, asked in zip(took, expected, strict=True)))

    took = measured_until(
        lambda took: late(took) < 0.001,
        lambda: warm.call(_TIMEOUT, _measured, conditions, 200, 0.012, _DELAY_LINE),
    )
    assert late(took) < 0.001
    assert max(expected) - min(expected) > 0.009


def _fates(
    way: Way, expected: int, method: str | None = _DELAY_LINE, seed: int = 5
) -> tuple[list[int], list[Carried]]:
    from lab.links import Method, conditioned
    from lab.network import two_nats_network

    chosen = Method(method) if method else None
    with (
        two_nats_network("port-restricted-cone", "none") as network,
        conditioned(network, {_LINK: LinkConditions(way, seed=seed)}, method=chosen) as used,
    ):
        arrived = _send_and_wait(network, 400, 0.002, expected=expected)
        assert used.untruths() == []
        return arrived, used.carried()


def test_loss_duplication_and_order_are_those_of_the_seed() -> None:
    """Frame by frame: what the delay line's core says of this seed is what arrives."""
    way = Way(delay=0.01, loss=0.1, reorder=0.1, duplicate=0.1)
    line = DelayLine(way, "5/nat_a>internet")
    expected: Counter[int] = Counter()
    for number in range(400):
        line.accept(number.to_bytes(4, "big"), number * 10**9)
        expected.update(int.from_bytes(f, "big") for f in line.release((number + 1) * 10**9 - 1))
    arrived, carried = warm.call(_TIMEOUT, _fates, way, expected.total())
    assert Counter(arrived) == expected
    assert carried[0].received == 400
    assert carried[0].lost == line.counts.lost > 0
    assert carried[0].reordered == line.counts.reordered > 0
    assert carried[0].duplicated == line.counts.duplicated > 0
    overtaken = sum(later < earlier for earlier, later in pairwise(arrived))
    assert 0 < overtaken <= line.counts.reordered


def test_what_happens_to_a_frame_depends_on_the_seed_and_nothing_else() -> None:
    way = Way(delay=0.01, loss=0.2, reorder=0.1, duplicate=0.2)
    runs = [warm.call(_TIMEOUT, _fates, way, 300, None, seed)[0] for seed in (5, 5, 6)]
    first, again, other = map(Counter, runs)
    assert first == again != other
    # Four standard deviations to either side: the delay line loses 80 and doubles 64. In netem a frame
    # that is lost and doubled arrives once, and its copies get lost too: 64 and 51.
    for arrived in (first, other):
        assert 35 < 400 - len(arrived) < 112
        assert 24 < sum(times == 2 for times in arrived.values()) < 93
    assert all(any(b < a for a, b in pairwise(run)) for run in runs)


def test_loss_of_one_direction_leaves_the_other_whole() -> None:
    arrived, carried = warm.call(_TIMEOUT, _fates, Way(loss=1.0), 0)
    assert arrived == []
    assert (carried[0].received, carried[0].lost) == (400, 400)
    assert sorted(warm.call(_TIMEOUT, _fates, Way(), 400)[0]) == list(range(400))


def _burst(rate: int, count: int, size: int) -> float:
    """Bits per second at which a burst arrives: by the median time that half of it takes."""
    from lab.links import conditioned
    from lab.network import two_nats_network

    conditions = LinkConditions(Way(rate=rate))
    with (
        two_nats_network("port-restricted-cone", "none") as network,
        conditioned(network, {_LINK: conditions}),
        _capture(network) as capture,
    ):
        _send_and_wait(network, count, 0.0, size)
    came = [
        frame
        for frame in capture.frames
        if frame.sniffed_on == "internet-a" and frame.direction == 1
    ]
    assert len(came) == count
    half = count // 2
    bits = half * len(came[0]) * 8
    return bits / median(came[k + half].time - came[k].time for k in range(half))


@pytest.mark.measures_time
@pytest.mark.parametrize(("rate", "count"), [(1_000_000, 50), (20_000_000, 500)])
def test_a_burst_arrives_at_the_rate(rate: int, count: int) -> None:
    wanted = pytest.approx(rate, rel=0.02)
    measured = measured_until(
        lambda measured: measured == wanted,
        lambda: warm.call(_TIMEOUT, _burst, rate, count, 1000),
    )
    assert measured == wanted


def _stream() -> tuple[bytes, int]:
    """What came of a TCP transfer over the line, and the length of the longest frame."""
    import threading

    from lab.links import conditioned
    from lab.netns import in_namespace
    from lab.network import two_nats_network

    sent = random.Random(1).randbytes(300_000)
    conditions = LinkConditions(Way(delay=0.005), Way(delay=0.005), mtu=1280)
    with (
        two_nats_network("port-restricted-cone", "none") as network,
        conditioned(network, {_LINK: conditions}),
        _capture(network) as capture,
    ):
        with in_namespace(network.pid("server")):
            listener = socket.create_server((str(SERVER.ip), 7000))
        with in_namespace(network.pid("host_a")):
            client = socket.socket()
        with listener, client:
            client.settimeout(20)
            client.connect((str(SERVER.ip), 7000))
            accepted, _ = listener.accept()

            def send() -> None:
                client.sendall(sent)
                client.shutdown(socket.SHUT_WR)

            thread = threading.Thread(target=send)
            thread.start()
            received = b""
            with accepted:
                accepted.settimeout(20)
                while data := accepted.recv(65536):
                    received += data
            thread.join()
    return received, max(len(frame) for frame in capture.frames)


def test_tcp_crosses_whole_in_frames_of_the_mtu() -> None:
    received, longest = warm.call(_TIMEOUT, _stream)
    assert received == random.Random(1).randbytes(300_000)
    assert longest == 1280 + 14


def _state() -> list[str]:
    from lab.links import Method, conditioned
    from lab.netns import in_namespace
    from lab.network import two_nats_network

    def ip(*words: str) -> str:
        done = subprocess.run(["ip", *words], capture_output=True, text=True, check=True)
        return done.stdout

    states = []
    with two_nats_network("none", "full-cone") as network:

        def look() -> None:
            lines = [ip("-br", "link")]
            for node in ("nat_a", "internet"):
                with in_namespace(network.pid(node)):
                    lines += [ip("-br", "link"), ip("address"), ip("route")]
                    lines.append(ip("neighbor", "show", "nud", "permanent"))
            states.append("\n".join(lines).replace("\\", ""))

        look()
        with conditioned(network, {_LINK: LinkConditions(mtu=1400)}) as used:
            assert used.method is Method.PLAIN
            look()
        look()
        with conditioned(network, {_LINK: LinkConditions(Way(delay=0.01), mtu=1300)}):
            look()
        look()
    return states


def test_nothing_is_left_of_the_conditions() -> None:
    before, plain, after_plain, delayed, after = warm.call(_TIMEOUT, _state)
    assert before == after_plain == after
    assert "mtu 1400" in plain
    assert "mtu 1300" in delayed
    assert "link1-a" in delayed
    assert "PERMANENT" in delayed


def _down_and_up(method: str | None) -> list[bool]:
    from lab.links import Method, conditioned
    from lab.netns import Command, run_together
    from lab.network import two_nats_network

    reached = []
    chosen = Method(method) if method else None
    with (
        two_nats_network("none", "none") as network,
        conditioned(network, {_LINK: LinkConditions(Way(delay=0.005))}, method=chosen) as used,
    ):
        for states, expected in (((), 3), (("down",), 0), (("up",), 3)):
            for state in states:
                lines = f"link set dev internet-a {state}\n"
                if state == "up":  # going down took the route with it
                    lines += "route replace 203.0.113.128/25 via 203.0.113.2\n"
                command = Command(("ip", "-batch", "-"), lines, network.pid("internet"))
                run_together([command])
            arrived = _send_and_wait(network, 3, 0.01, expected=expected)
            reached.append(arrived == [0, 1, 2])
        assert [each.received for each in used.carried()[:1]] in ([9], [])
    return reached


@pytest.mark.parametrize("method", [None, _DELAY_LINE])
def test_a_conditioned_link_goes_down_and_comes_up(method: str | None) -> None:
    assert warm.call(_TIMEOUT, _down_and_up, method) == [True, False, True]


def _strangers() -> None:
    from lab.links import conditioned
    from lab.network import two_nats_network

    with (
        two_nats_network("none", "none") as network,
        conditioned(network, {("host_a", "server"): LinkConditions()}),
    ):
        pass


def test_nodes_that_are_not_neighbours_are_refused() -> None:
    with pytest.raises(UsageError, match="no link between host_a and server: name two neighbours"):
        warm.call(_TIMEOUT, _strangers)


def _killed() -> None:
    import os
    import signal

    from lab.links import Method, conditioned
    from lab.network import two_nats_network

    slow = LinkConditions(Way(delay=0.005))
    with (
        two_nats_network("none", "none") as network,
        conditioned(network, {_LINK: slow}, method=Method.DELAY_LINE),
    ):
        for entry in Path("/proc").glob("[0-9]*/cmdline"):
            if b"lab.link_relay" in entry.read_bytes():
                os.kill(int(entry.parent.name), signal.SIGKILL)


def test_a_delay_line_that_dies_is_an_error_and_no_silence() -> None:
    with pytest.raises(NetworkError, match="the delay line ended with exit status -9"):
        warm.call(_TIMEOUT, _killed)


def _by_the_kernel() -> tuple[list[int], float, str]:
    """The way that netem takes, with the token bucket of every kernel in netem's place."""
    from lab.link_netem import redirect
    from lab.link_splice import End, splice
    from lab.netns import Command, run_together
    from lab.network import two_nats_network

    with two_nats_network("port-restricted-cone", "none") as network:
        opened = splice(
            End(network.pid("nat_a"), "nat_a-wan"), End(network.pid("internet"), "internet-a")
        )
        lines = redirect(opened.at_kept, opened.at_renewed)
        lines += redirect(opened.at_renewed, opened.at_kept)
        tbf = f"qdisc replace dev {opened.at_renewed} root tbf rate 10mbit burst 2k limit 1m\n"
        run_together([Command(("tc", "-batch", "-"), lines + tbf)])
        with _capture(network) as capture:
            arrived = _send_and_wait(network, 100, 0.0, 1000)
        times = [frame.time for frame in capture.frames if frame.sniffed_on == "internet-a"]
        opened.close()
        again = _send_and_wait(network, 3, 0.01)
    return arrived, times[-1] - times[0], str(again)


def test_the_kernel_carries_frames_between_the_inner_interfaces() -> None:
    arrived, seconds, again = warm.call(_TIMEOUT, _by_the_kernel)
    assert arrived == list(range(100))
    assert seconds > 0.9 * 98 * 1042 * 8 / 10_000_000
    assert again == "[0, 1, 2]"


def _by_netem() -> str:
    from lab.links import Method, conditioned
    from lab.network import two_nats_network

    with two_nats_network("port-restricted-cone", "none") as network:
        try:
            with (
                conditioned(network, {_LINK: LinkConditions(Way(delay=0.05))}, method=Method.NETEM),
                _capture(network) as capture,
            ):
                _send_and_wait(network, 100, 0.003)
        except NetworkError as error:
            assert _send_and_wait(network, 3, 0.01) == [0, 1, 2]
            return str(error)
        took = [time for times in _crossings(capture).values() for time in times]
    return f"{median(took):.3f} s"


def test_netem_is_true_where_the_kernel_has_it_and_else_refused_without_traces() -> None:
    said = warm.call(_TIMEOUT, _by_netem)
    assert said == "0.050 s" or "Specified qdisc kind is unknown" in said


def _other_links(link: tuple[str, str], conditions: LinkConditions) -> tuple[list[int], float]:
    """Whether all arrives, and the least that the server's answer to host_a's ping takes."""
    from lab.links import conditioned
    from lab.netns import in_namespace
    from lab.network import two_nats_network

    with (
        two_nats_network("full-cone", "none") as network,
        conditioned(network, {link: conditions}),
    ):
        arrived = _send_and_wait(network, 5, 0.01)
        with in_namespace(network.pid("host_a")):
            done = subprocess.run(
                ["ping", "-q", "-c", "5", "-i", "0.05", str(SERVER.ip)],
                check=True,
                capture_output=True,
                text=True,
            )
    return arrived, float(done.stdout.partition("min/avg/max/mdev = ")[2].partition("/")[0])


@pytest.mark.measures_time
@pytest.mark.parametrize(
    "link",
    [("host_a", "nat_a"), ("nat_a", "host_a"), ("internet", "nat_a"), ("server", "internet")],
)
def test_any_link_whichever_end_is_named_first(link: tuple[str, str]) -> None:
    conditions = LinkConditions(Way(delay=0.02), Way(delay=0.01))
    arrived, shortest = measured_until(
        lambda measured: measured[1] < 31,
        lambda: warm.call(_TIMEOUT, _other_links, link, conditions),
    )
    assert arrived == [0, 1, 2, 3, 4]
    assert 30 <= shortest < 31
