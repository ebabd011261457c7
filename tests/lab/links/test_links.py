"""Conditions on links of a standing network: what they let through, and that nothing is left of them."""

# ruff: noqa: PLC0415 - only a sandbox imports Mininet, whose code is full of warnings

from __future__ import annotations

import random
import socket
import subprocess
from statistics import median

import pytest

from nat_traversal.errors import UsageError
from natlab.errors import NetworkError
from natlab.links.conditions import LinkConditions, Way
from natlab.network.addressing import SERVER
from tests.lab import warm
from tests.lab.links.frames import LINK, capture_link, crossings, send_and_wait

_TIMEOUT = 50.0
_DELAY_LINE = "delay line"
"""`natlab.links.apply.Means` by its value. Where none is named, it is what this machine has."""


def _stream() -> tuple[bytes, int]:
    """What came of a TCP transfer over the line, and the length of the longest frame."""
    import threading

    from natlab.links.apply import conditioned
    from natlab.sandbox.netns import in_namespace
    from natlab.topologies.two_nats import two_nats_network

    sent = random.Random(1).randbytes(300_000)
    conditions = LinkConditions(Way(delay=0.005), Way(delay=0.005), mtu=1280)
    with (
        two_nats_network("port-restricted-cone", "none") as network,
        conditioned(network, {LINK: conditions}),
        capture_link(network) as capture,
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
    from natlab.links.apply import Means, conditioned
    from natlab.sandbox.netns import in_namespace
    from natlab.topologies.two_nats import two_nats_network

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
        with conditioned(network, {LINK: LinkConditions(mtu=1400)}) as used:
            assert used.means is Means.PLAIN
            look()
        look()
        with conditioned(network, {LINK: LinkConditions(Way(delay=0.01), mtu=1300)}):
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


def _down_and_up(means: str | None) -> tuple[list[list[int]], list[int]]:
    """What arrived before the link went down, meanwhile, and after it came up; frames in the delay line."""
    from natlab.links.apply import Means, conditioned
    from natlab.sandbox.netns import Command, run_together
    from natlab.topologies.two_nats import two_nats_network

    chosen = Means(means) if means else None
    with (
        two_nats_network("none", "none") as network,
        conditioned(network, {LINK: LinkConditions(Way(delay=0.005))}, means=chosen) as used,
    ):

        def configure(lines: str) -> None:
            run_together([Command(("ip", "-batch", "-"), lines, network.pid("internet"))])

        before = send_and_wait(network, 3, 0.01)
        configure("link set dev internet-a down\n")
        meanwhile = send_and_wait(network, 3, 0.01, expected=0)
        # Going down took the route with it.
        route = "route replace 203.0.113.128/25 via 203.0.113.2\n"
        configure(f"link set dev internet-a up\n{route}")
        _wait_until_inner_interfaces_send()
        after = send_and_wait(network, 3, 0.01)
        return [before, meanwhile, after], [each.received for each in used.carried()[:1]]


def _wait_until_inner_interfaces_send() -> None:
    """The kernel notices on its own time that the other end is up, and drops frames until then."""
    import time

    from natlab.network.interfaces import LINK_TIMEOUT, compute_checksums, wait_until_running

    deadline = time.monotonic() + LINK_TIMEOUT
    inner = [name for _, name in socket.if_nameindex() if name.startswith("link")]
    assert len(inner) == 2, inner
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
        for name in inner:
            wait_until_running(handle, name, deadline)
            compute_checksums(handle, name)


@pytest.mark.parametrize("means", [None, _DELAY_LINE])
def test_a_conditioned_link_goes_down_and_comes_up(means: str | None) -> None:
    arrived, in_the_delay_line = warm.call(_TIMEOUT, _down_and_up, means)
    assert arrived == [[0, 1, 2], [], [0, 1, 2]]
    assert in_the_delay_line in ([9], [])


def _strangers() -> None:
    from natlab.links.apply import conditioned
    from natlab.topologies.two_nats import two_nats_network

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

    from natlab.links.apply import Means, conditioned
    from natlab.topologies.two_nats import two_nats_network

    slow = LinkConditions(Way(delay=0.005))
    with (
        two_nats_network("none", "none") as network,
        conditioned(network, {LINK: slow}, means=Means.DELAY_LINE) as links,
    ):
        assert links.relay is not None
        os.kill(links.relay.pid, signal.SIGKILL)


def test_a_delay_line_that_dies_is_an_error_and_no_silence() -> None:
    with pytest.raises(NetworkError, match=r"something killed the delay line, .* \(signal 9\)$"):
        warm.call(_TIMEOUT, _killed)


def _by_the_kernel() -> tuple[list[int], float, str]:
    """The way that netem takes, with the token bucket of every kernel in netem's place."""
    from natlab.links.netem import redirect
    from natlab.links.splice import End, splice
    from natlab.sandbox.netns import Command, run_together
    from natlab.topologies.two_nats import two_nats_network

    with two_nats_network("port-restricted-cone", "none") as network:
        opened = splice(
            End(network.pid("nat_a"), "nat_a-wan"), End(network.pid("internet"), "internet-a")
        )
        lines = redirect(opened.at_kept, opened.at_renewed)
        lines += redirect(opened.at_renewed, opened.at_kept)
        tbf = f"qdisc replace dev {opened.at_renewed} root tbf rate 10mbit burst 2k limit 1m\n"
        run_together([Command(("tc", "-batch", "-"), lines + tbf)])
        with capture_link(network) as capture:
            arrived = send_and_wait(network, 100, 0.0, 1000)
        times = [frame.time for frame in capture.frames if frame.sniffed_on == "internet-a"]
        opened.close()
        again = send_and_wait(network, 3, 0.01)
    return arrived, times[-1] - times[0], str(again)


def test_the_kernel_carries_frames_between_the_inner_interfaces() -> None:
    arrived, seconds, again = warm.call(_TIMEOUT, _by_the_kernel)
    assert arrived == list(range(100))
    assert seconds > 0.9 * 98 * 1042 * 8 / 10_000_000
    assert again == "[0, 1, 2]"


def _by_netem() -> str:
    from natlab.links.apply import Means, conditioned
    from natlab.topologies.two_nats import two_nats_network

    with two_nats_network("port-restricted-cone", "none") as network:
        try:
            with (
                conditioned(network, {LINK: LinkConditions(Way(delay=0.05))}, means=Means.NETEM),
                capture_link(network) as capture,
            ):
                send_and_wait(network, 100, 0.003)
        except NetworkError as error:
            assert send_and_wait(network, 3, 0.01) == [0, 1, 2]
            return str(error)
        took = [time for times in crossings(capture).values() for time in times]
    return f"{median(took):.3f} s"


def test_netem_is_true_where_the_kernel_has_it_and_else_refused_without_traces() -> None:
    said = warm.call(_TIMEOUT, _by_netem)
    assert said == "0.050 s" or "Specified qdisc kind is unknown" in said


def _bottleneck() -> tuple[list[int], list[int], list[str], float]:
    """What came of small and of large datagrams, the protocols on the wire, and the last one's seconds."""
    from natlab.links.apply import Means, conditioned
    from natlab.topologies.two_nats import two_nats_network

    narrow = LinkConditions(Way(rate=1_000_000, queue=5, black_hole=1280), Way())
    with (
        two_nats_network("port-restricted-cone", "none") as network,
        conditioned(network, {LINK: narrow}) as links,
    ):
        assert links.means is Means.DELAY_LINE
        with capture_link(network) as capture:
            small = send_and_wait(network, 20, 0.0, 1000, expected=5)
            large = send_and_wait(network, 3, 0.01, 1300, expected=0)
        counts = links.carried()[0]
        assert (counts.too_large, counts.overflowed) == (3, 20 - len(small))
    last = max(time for times in crossings(capture).values() for time in times)
    protocols = sorted({str(packet.protocol) for packet in capture.packets})
    return small, large, protocols, last


def test_a_full_queue_drops_and_a_black_hole_says_nothing() -> None:
    small, large, protocols, last = warm.call(_TIMEOUT, _bottleneck)
    assert small[:5] == [0, 1, 2, 3, 4]
    assert len(small) < 20
    assert large == []
    assert "ICMP" not in protocols, protocols
    assert last > 4 * 1042 * 8 / 1_000_000  # the last place of a queue waits for four whole frames
