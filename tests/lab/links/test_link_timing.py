"""How true the conditions on links are. Other tests beside it would disturb the times that are measured here.

Times are read from captures at both ends of one link, stamped by the kernel with one clock.
"""

# ruff: noqa: PLC0415 - only a sandbox imports Mininet, whose code is full of warnings

from __future__ import annotations

import subprocess
from collections import Counter
from contextlib import ExitStack
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING

import pytest

from natlab.links.conditions import LinkConditions, Way
from natlab.links.delayline import DelayLine
from natlab.network.addressing import SERVER
from tests.lab import warm
from tests.lab.links.frames import LINK, capture_link, crossings, send_and_wait
from tests.lab.patience import measured_mostly

if TYPE_CHECKING:
    from natlab.links.apply import Carried

pytestmark = pytest.mark.measures_time

_TIMEOUT = 50.0
_DELAY_LINE = "delay line"
"""`natlab.links.apply.Means` by its value. Where none is named, it is what this machine has."""


def _measured(
    conditions: LinkConditions | None, count: int, gap: float, means: str | None = None
) -> list[float]:
    from natlab.links.apply import Means, conditioned
    from natlab.topologies.two_nats import two_nats_network

    with two_nats_network("port-restricted-cone", "none") as network, ExitStack() as stack:
        if conditions is not None:
            chosen = Means(means) if means else None
            stack.enter_context(conditioned(network, {LINK: conditions}, means=chosen))
        with capture_link(network) as capture:
            send_and_wait(network, count, gap)
        return [time for times in crossings(capture).values() for time in times]


@pytest.mark.parametrize("delay", [0.001, 0.005, 0.04, 0.15])
def test_the_delay_is_true_to_a_millisecond_or_two_percent(delay: float) -> None:
    plain = median(warm.call(_TIMEOUT, _measured, None, 300, 0.003))
    conditions = LinkConditions(Way(delay=delay))
    tolerance = max(0.001, 0.02 * delay)

    def late(measured: list[float]) -> float:
        return abs(median(measured) - plain - delay)

    measured = measured_mostly(
        lambda measured: late(measured) < tolerance,
        lambda: warm.call(_TIMEOUT, _measured, conditions, 300, 0.003),
    )
    assert len(measured) == 300
    assert min(measured) >= delay
    assert late(measured) < tolerance


def _round_trips() -> list[float]:
    """From the router to the NAT and back, where the two directions differ."""
    from natlab.links.apply import conditioned
    from natlab.sandbox.netns import in_namespace
    from natlab.topologies.two_nats import two_nats_network

    conditions = LinkConditions(Way(delay=0.03), Way(delay=0.01))
    with (
        two_nats_network("none", "none") as network,
        conditioned(network, {LINK: conditions}),
        capture_link(network) as capture,
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


def test_each_direction_has_its_own_delay() -> None:
    asked = (0.01, 0.03, 0.04)

    def late(measured: list[float]) -> float:
        return max(abs(real - wanted) for real, wanted in zip(measured, asked, strict=True))

    measured = measured_mostly(
        lambda measured: late(measured) < 0.001, lambda: warm.call(_TIMEOUT, _round_trips)
    )
    assert late(measured) < 0.001


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

    took = measured_mostly(
        lambda took: late(took) < 0.001,
        lambda: warm.call(_TIMEOUT, _measured, conditions, 200, 0.012, _DELAY_LINE),
    )
    assert late(took) < 0.001
    assert max(expected) - min(expected) > 0.009


def _fates(
    way: Way, expected: int, means: str | None = _DELAY_LINE, seed: int = 5
) -> tuple[list[int], list[Carried]]:
    from natlab.links.apply import Means, conditioned
    from natlab.topologies.two_nats import two_nats_network

    chosen = Means(means) if means else None
    with (
        two_nats_network("port-restricted-cone", "none") as network,
        conditioned(network, {LINK: LinkConditions(way, seed=seed)}, means=chosen) as used,
    ):
        arrived = send_and_wait(network, 400, 0.002, expected=expected)
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
    assert [run for run in runs if not any((b < a for a, b in pairwise(run)))] == []


def test_loss_of_one_direction_leaves_the_other_whole() -> None:
    arrived, carried = warm.call(_TIMEOUT, _fates, Way(loss=1.0), 0)
    assert arrived == []
    assert (carried[0].received, carried[0].lost) == (400, 400)
    assert sorted(warm.call(_TIMEOUT, _fates, Way(), 400)[0]) == list(range(400))


def _burst(rate: int, count: int, size: int) -> float:
    """Bits per second at which a burst arrives: by the median time that half of it takes."""
    from natlab.links.apply import conditioned
    from natlab.topologies.two_nats import two_nats_network

    conditions = LinkConditions(Way(rate=rate))
    with (
        two_nats_network("port-restricted-cone", "none") as network,
        conditioned(network, {LINK: conditions}),
        capture_link(network) as capture,
    ):
        send_and_wait(network, count, 0.0, size)
    came = [
        frame
        for frame in capture.frames
        if frame.sniffed_on == "internet-a" and frame.direction == 1
    ]
    assert len(came) == count
    half = count // 2
    bits = half * len(came[0]) * 8
    return bits / median(came[k + half].time - came[k].time for k in range(half))


@pytest.mark.parametrize(("rate", "count"), [(1_000_000, 50), (20_000_000, 500)])
def test_a_burst_arrives_at_the_rate(rate: int, count: int) -> None:
    wanted = pytest.approx(rate, rel=0.02)
    measured = measured_mostly(
        lambda measured: measured == wanted,
        lambda: warm.call(_TIMEOUT, _burst, rate, count, 1000),
    )
    assert measured == wanted


def _other_links(link: tuple[str, str], conditions: LinkConditions) -> tuple[list[int], float]:
    """Whether all arrives, and the least that the server's answer to host_a's ping takes."""
    from natlab.links.apply import conditioned
    from natlab.sandbox.netns import in_namespace
    from natlab.topologies.two_nats import two_nats_network

    with (
        two_nats_network("full-cone", "none") as network,
        conditioned(network, {link: conditions}),
    ):
        arrived = send_and_wait(network, 5, 0.01)
        with in_namespace(network.pid("host_a")):
            done = subprocess.run(
                ["ping", "-q", "-c", "5", "-i", "0.05", str(SERVER.ip)],
                check=True,
                capture_output=True,
                text=True,
            )
    return arrived, float(done.stdout.partition("min/avg/max/mdev = ")[2].partition("/")[0])


@pytest.mark.parametrize(
    "link",
    [("host_a", "nat_a"), ("nat_a", "host_a"), ("internet", "nat_a"), ("server", "internet")],
)
def test_any_link_whichever_end_is_named_first(link: tuple[str, str]) -> None:
    conditions = LinkConditions(Way(delay=0.02), Way(delay=0.01))
    arrived, shortest = measured_mostly(
        lambda measured: measured[1] < 31,
        lambda: warm.call(_TIMEOUT, _other_links, link, conditions),
    )
    assert arrived == [0, 1, 2, 3, 4]
    assert 30 <= shortest < 31
