"""The control channel, through a network that loses, repeats and reorders."""

from __future__ import annotations

import random

import pytest

from nat_traversal.errors import WireError
from nat_traversal.paths.control_channel import ChannelSettings, ControlChannel


def test_a_message_arrives_and_is_acknowledged() -> None:
    ours, theirs = ControlChannel(), ControlChannel()
    (sent,) = ours.send(b"hello", 0.0)
    bodies, (answer,) = theirs.arrived(sent, 0.1)
    assert bodies == [b"hello"]
    assert not ours.is_idle
    assert ours.arrived(answer, 0.2) == ([], [])
    assert (ours.is_idle, ours.deadline) == (True, None)


def test_a_repetition_is_acknowledged_and_not_delivered_again() -> None:
    ours, theirs = ControlChannel(), ControlChannel()
    (sent,) = ours.send(b"hello", 0.0)
    theirs.arrived(sent, 0.1)
    assert ours.deadline == ChannelSettings().repeat_first
    (again,) = ours.due(ours.deadline)
    bodies, (answer,) = theirs.arrived(again, 0.5)
    assert bodies == []
    ours.arrived(answer, 0.6)
    assert ours.is_idle


def test_pauses_double_up_to_a_bound() -> None:
    ours = ControlChannel()
    ours.send(b"hello", 0.0)
    times = []
    for _ in range(7):
        assert ours.deadline is not None
        times.append(ours.deadline)
        assert ours.due(times[-1] - 0.001) == []
        assert len(ours.due(times[-1])) == 1
    pauses = [
        round(later - earlier, 6) for earlier, later in zip([0.0, *times], times, strict=False)
    ]
    assert pauses == [0.3, 0.6, 1.2, 2.4, 3.0, 3.0, 3.0]


@pytest.mark.parametrize("seed", range(20))
def test_each_is_delivered_once_and_in_order_whatever_the_network_does(seed: int) -> None:
    rng = random.Random(seed)
    ends = ControlChannel(), ControlChannel()
    wanted = [[b"%d %d" % (end, number) for number in range(30)] for end in (0, 1)]
    got: list[list[bytes]] = [[], []]
    on_the_way: list[tuple[int, bytes]] = []

    def send(end: int, messages: list[bytes]) -> None:
        for message in messages:
            copies = rng.choice([0, 1, 1, 2])
            on_the_way.extend([(1 - end, message)] * copies)

    for end, channel in enumerate(ends):
        for body in wanted[end]:
            send(end, channel.send(body, 0.0))
    now = 0.0
    while not all(channel.is_idle for channel in ends):
        now += 0.1
        assert now < 1000
        rng.shuffle(on_the_way)
        for end, message in [on_the_way.pop() for _ in range(len(on_the_way))]:
            bodies, replies = ends[end].arrived(message, now)
            got[1 - end] += bodies
            send(end, replies)
        for end, channel in enumerate(ends):
            send(end, channel.due(now))
    assert got == wanted


def test_a_short_message_is_malformed() -> None:
    with pytest.raises(WireError, match="shorter than its header"):
        ControlChannel().arrived(b"\0\0\0", 0.0)
