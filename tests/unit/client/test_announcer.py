"""Announcing one socket: how often, until when, and what is told."""

from __future__ import annotations

import random

from nat_traversal.client.announcer import Announcer
from nat_traversal.machine import events as e
from nat_traversal.machine.sockets import UdpSocket
from nat_traversal.settings import ClientSettings
from nat_traversal.wire.datagrams import Announce, Announced
from nat_traversal.wire.endpoint import Endpoint

SETTINGS = ClientSettings()

TOKEN = bytes(range(16))
MAPPED = Endpoint("203.0.113.2", 40_000)


class Rig:
    """An announcer that is served at each of its deadlines."""

    def __init__(self) -> None:
        self.announcer = Announcer(TOKEN, UdpSocket(3), SETTINGS, random.Random(0))
        self.sent_at: list[float] = []
        self.sent: list[Announce] = []
        self.told: list[e.Notice] = []
        self.carry_out(0.0, *self.announcer.announce(0.0))

    def run_to(self, end: float, *, server_answers: bool = True) -> None:
        while (at := self.announcer.deadline) is not None and at <= end:
            self.carry_out(at, *self.announcer.due(at, server_answers=server_answers))

    def answer(self, now: float, announce: Announce | None = None) -> None:
        answered = announce or self.sent[-1]
        answer = Announced(answered.transaction, MAPPED)
        self.carry_out(now, *self.announcer.answered(answer, now))

    def carry_out(self, now: float, *actions: e.Action) -> None:
        for action in actions:
            if isinstance(action, e.Tell):
                self.told.append(action.notice)
            else:
                assert isinstance(action, e.SendDatagram)
                assert isinstance(action.datagram, Announce)
                assert (action.destination, action.generation) == (None, 3)
                self.sent.append(action.datagram)
                self.sent_at.append(now)


def test_pauses_double_to_the_most_while_nothing_is_answered() -> None:
    rig = Rig()
    rig.run_to(20.0)
    assert rig.sent_at == [0.0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5]
    assert len({announce.transaction for announce in rig.sent}) == len(rig.sent)
    assert {(announce.token, announce.generation) for announce in rig.sent} == {(TOKEN, 3)}


def test_answered_announces_are_rare_and_a_lost_one_is_repeated_soon() -> None:
    rig = Rig()
    rig.run_to(3.5)
    rig.answer(4.0)
    rig.run_to(4.0 + SETTINGS.announce_keepalive + 1.5)
    assert rig.sent_at[4:] == [19.0, 19.5, 20.5]


def test_mapping_is_told_when_it_is_news() -> None:
    rig = Rig()
    rig.answer(0.1)
    rig.run_to(SETTINGS.announce_keepalive + 1.0)
    rig.answer(SETTINGS.announce_keepalive + 1.0)
    assert rig.told == [e.MappingLearned(MAPPED, 3)]


def test_only_the_last_announces_can_be_answered_and_each_once() -> None:
    rig = Rig()
    rig.run_to(12.0)
    rig.answer(12.0, rig.sent[0])
    assert e.MappingLearned(MAPPED, 3) not in rig.told
    assert rig.announcer.deadline == 15.5
    rig.answer(12.0, rig.sent[-2])
    assert rig.announcer.deadline == 12.0 + SETTINGS.announce_keepalive
    rig.answer(13.0, rig.sent[-2])
    assert rig.announcer.deadline == 12.0 + SETTINGS.announce_keepalive


def test_silence_is_told_again_and_again_but_not_each_time() -> None:
    rig = Rig()
    rig.run_to(20.0)
    assert rig.told == [e.AnnounceUnanswered(7.5), e.AnnounceUnanswered(8.0)]


def test_silence_counts_from_the_first_announce_without_an_answer() -> None:
    rig = Rig()
    rig.run_to(3.5)
    rig.answer(4.0)
    rig.told.clear()
    rig.run_to(4.0 + SETTINGS.announce_keepalive + SETTINGS.udp_silence - 0.1)
    assert not rig.told
    rig.run_to(4.0 + SETTINGS.announce_keepalive + 8.0)
    assert rig.told == [e.AnnounceUnanswered(7.5)]


def test_udp_is_not_blamed_while_the_server_does_not_answer_at_all() -> None:
    rig = Rig()
    rig.run_to(60.0, server_answers=False)
    assert not rig.told


def test_stopped_announcer_stays_stopped_when_a_late_answer_comes() -> None:
    rig = Rig()
    rig.announcer.stop()
    rig.answer(0.1)
    assert rig.announcer.deadline is None
    assert rig.told == [e.MappingLearned(MAPPED, 3)]
