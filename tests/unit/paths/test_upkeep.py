"""A path's upkeep: probes for its size, messages that must arrive, fresh keys."""

from __future__ import annotations

import random

import pytest

from nat_traversal.machine import actions as do
from nat_traversal.machine import notices as note
from nat_traversal.machine.sockets import NominatedPair, UdpSocket
from nat_traversal.paths.upkeep import Upkeep, path_mtu
from nat_traversal.wire import messages as m
from nat_traversal.wire.datagrams import Kind
from nat_traversal.wire.endpoint import Endpoint
from tests.unit.counterpart import Counterpart, opened

PEER = Endpoint("198.51.100.2", 40_000)
HOUR = 3600.0


class Ends:
    """Both ends of one path, and a wire between them that carries frames of `most` octets."""

    def __init__(self, most: int = 1_472, mtu: int = 0) -> None:
        self.most = most
        hosts = Counterpart("host_a", "host_b"), Counterpart("host_b", "host_a", seed=8)
        start = hosts[0].start(m.Role.A, PEER)
        hosts[0].voice(start, hosts[1].offer)
        start = hosts[1].start(m.Role.B, PEER)
        hosts[1].voice(start, hosts[0].offer)
        self.epochs = [host.epochs(other.connection) for host, other in (hosts, hosts[::-1])]
        self.ends = [
            Upkeep(
                NominatedPair(UdpSocket(1), PEER, other.connection),
                epochs,
                path_mtu(4, 0.0, mtu),
                random.Random(1),
            )
            for epochs, other in zip(self.epochs, hosts[::-1], strict=True)
        ]
        self.lost: list[Kind] = []
        """Frames of these kinds are lost, each once."""
        self.told: list[list[do.Action]] = [[], []]

    def run_to(self, end: float) -> None:
        """Serve both at their deadlines; everything arrives at once."""
        while (now := min(each.deadline for each in self.ends)) <= end:
            for index in (0, 1):
                self.carry_out(index, self.ends[index].due(now, 0.0), now)

    def carry_out(self, index: int, actions: list[do.Action], now: float) -> None:
        for action in actions:
            if not isinstance(action, do.SendFrame):
                self.told[index].append(action)
                continue
            frame = self.epochs[index].sealer.seal(action.kind, action.plain)
            if action.kind in self.lost:
                self.lost.remove(action.kind)
            elif len(frame) <= self.most:
                for kind, plain in opened(self.epochs[1 - index], frame, now=now):
                    self.arrived(1 - index, kind, plain, now)

    def arrived(self, index: int, kind: Kind, plain: bytes, now: float) -> None:
        end = self.ends[index]
        if kind is Kind.PING:
            answer = do.SendFrame(Kind.PONG, plain[:8], 1)
            self.carry_out(index, [answer], now)
        elif kind is Kind.PONG:
            answered = end.answered(plain, now)
            assert answered is not None, "only probes were sent"
            self.carry_out(index, answered, now)
        else:
            self.carry_out(index, end.control(plain, now, 0.0), now)

    def passes(self, index: int, now: float) -> bool:
        """Whether a program's frame from that end is opened at the other."""
        frame = self.epochs[index].sealer.seal(Kind.DATA, b"x")
        return opened(self.epochs[1 - index], frame, now=now) == [(Kind.DATA, b"x")]


@pytest.mark.parametrize("most", [548, 1_000, 1_252, 1_392, 1_472, 9_000])
def test_the_size_that_passes_is_found_and_told(most: int) -> None:
    ends = Ends(most)
    ends.run_to(60.0)
    for end, told in zip(ends.ends, ends.told, strict=True):
        assert min(most, 1_472) - 8 <= end.size <= min(most, 1_472)
        assert told[-2:] == [do.SizeFrames(1, end.size), do.Tell(note.PathSized(1, end.size))]
        assert [type(each) for each in told].count(do.Tell) == 1, "people are told once"


def test_a_given_size_is_the_only_one_that_is_asked_for() -> None:
    ends = Ends(mtu=1_400)
    ends.run_to(60.0)
    assert [end.size for end in ends.ends] == [1_372, 1_372]


def test_a_path_that_carries_only_small_frames_is_of_no_use() -> None:
    ends = Ends(most=300)
    assert not ends.ends[0].is_too_narrow
    ends.run_to(60.0)
    assert [end.is_too_narrow for end in ends.ends] == [True, True]


def test_what_this_host_s_own_network_refuses_is_not_asked_for_again() -> None:
    ends = Ends()
    ends.ends[0].refused(1_400, 0.0)
    ends.run_to(60.0)
    assert ends.ends[0].size < 1_400
    assert ends.ends[1].size == 1_472


def test_a_size_that_stops_passing_while_it_is_used_is_given_up() -> None:
    ends = Ends()
    ends.run_to(30.0)
    ends.most = 1_300
    for second in range(30, 60):
        ends.ends[0].larger_sent(float(second))
        ends.run_to(float(second))
    assert ends.ends[0].size <= 1_300


def test_keys_are_renewed_each_hour_and_no_frame_is_lost() -> None:
    ends = Ends()
    for hour in range(1, 4):
        ends.run_to(hour * HOUR + 5.0)
        assert [each.epoch for each in ends.epochs] == [hour, hour]
        for index in (0, 1, 0):
            assert ends.passes(index, hour * HOUR + 5.0)


def test_a_lost_word_about_keys_is_repeated() -> None:
    ends = Ends()
    ends.run_to(HOUR - 1.0)
    ends.lost = [Kind.CONTROL] * 3
    ends.run_to(HOUR + 30.0)
    assert ends.lost == []
    assert [each.epoch for each in ends.epochs] == [1, 1]
    assert ends.passes(0, HOUR + 30.0)
    assert ends.passes(1, HOUR + 30.0)


@pytest.mark.parametrize("message", [b"", b"\0\1\0", b"\0\1\0\0nonsense", b"\0\1\0\0" + bytes(39)])
def test_a_message_that_makes_no_sense_changes_nothing(message: bytes) -> None:
    ends = Ends()
    for action in ends.ends[0].control(message, 1.0, 0.0):
        assert isinstance(action, do.SendFrame)
        assert action.kind is Kind.CONTROL
    assert ends.epochs[0].epoch == 0
    ends.run_to(HOUR + 30.0)
    assert ends.passes(0, HOUR + 30.0)


def test_a_pong_that_answers_no_probe_is_left_to_others() -> None:
    assert Ends().ends[0].answered(b"12345678", 1.0) is None
