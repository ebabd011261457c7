"""Announcing one socket: how often, until when, and what is told."""

from __future__ import annotations

import pytest

from nat_traversal.client.announcer import KEPT_NUMBERS, AnnounceKey, Announcer
from nat_traversal.crypto.proof import is_signed, signed
from nat_traversal.machine import actions as do
from nat_traversal.machine import notices as note
from nat_traversal.machine.sockets import UdpSocket
from nat_traversal.settings import ClientSettings
from nat_traversal.wire.datagrams import Announce, Announced, handle_of
from nat_traversal.wire.endpoint import Endpoint
from tests.unit.counterpart import altered, some_keys

SETTINGS = ClientSettings()

KEY, OTHER_KEY = some_keys("client", "stranger")
MAPPED = Endpoint("203.0.113.2", 40_000)


class Rig:
    """An announcer that is served at each of its deadlines."""

    def __init__(self) -> None:
        self.announcer = Announcer(AnnounceKey(KEY), UdpSocket(3), SETTINGS)
        self.sent_at: list[float] = []
        self.sent: list[Announce] = []
        self.told: list[note.Notice] = []
        self.carry_out(0.0, *self.announcer.announce(0.0))

    def run_to(self, end: float, *, server_answers: bool = True) -> None:
        while (at := self.announcer.deadline) is not None and at <= end:
            self.carry_out(at, *self.announcer.due(at, server_answers=server_answers))

    def answer(self, now: float, announce: Announce | None = None) -> None:
        answered = announce or self.sent[-1]
        self.hear(now, signed(Announced(answered.number, MAPPED), KEY))

    def hear(self, now: float, answer: Announced) -> None:
        self.carry_out(now, *self.announcer.answered(answer, now))

    def carry_out(self, now: float, *actions: do.Action) -> None:
        for action in actions:
            if isinstance(action, do.Tell):
                self.told.append(action.notice)
            else:
                assert isinstance(action, do.SendDatagram)
                assert isinstance(action.datagram, Announce)
                assert (action.destination, action.generation) == (None, 3)
                self.sent.append(action.datagram)
                self.sent_at.append(now)


def test_pauses_double_to_the_most_while_nothing_is_answered() -> None:
    rig = Rig()
    rig.run_to(20.0)
    assert rig.sent_at == [0.0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5]
    assert [announce.number for announce in rig.sent] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert {(announce.handle, announce.generation) for announce in rig.sent} == {
        (handle_of(KEY), 3)
    }
    assert [announce for announce in rig.sent if not is_signed(announce, KEY)] == []


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
    assert rig.told == [note.MappingLearned(MAPPED, 3)]


def test_only_the_last_announces_can_be_answered_and_each_once() -> None:
    rig = Rig()
    rig.run_to(12.0)
    rig.answer(12.0, rig.sent[0])
    assert note.MappingLearned(MAPPED, 3) not in rig.told
    assert rig.announcer.deadline == 15.5
    rig.answer(12.0, rig.sent[-2])
    assert rig.announcer.deadline == 12.0 + SETTINGS.announce_keepalive
    rig.answer(13.0, rig.sent[-2])
    assert rig.announcer.deadline == 12.0 + SETTINGS.announce_keepalive


def test_silence_is_told_again_and_again_but_not_each_time() -> None:
    rig = Rig()
    rig.run_to(20.0)
    assert rig.told == [note.AnnounceUnanswered(7.5), note.AnnounceUnanswered(8.0)]


def test_silence_counts_from_the_first_announce_without_an_answer() -> None:
    rig = Rig()
    rig.run_to(3.5)
    rig.answer(4.0)
    rig.told.clear()
    rig.run_to(4.0 + SETTINGS.announce_keepalive + SETTINGS.udp_silence - 0.1)
    assert not rig.told
    rig.run_to(4.0 + SETTINGS.announce_keepalive + 8.0)
    assert rig.told == [note.AnnounceUnanswered(7.5)]


def test_udp_is_not_blamed_while_the_server_does_not_answer_at_all() -> None:
    rig = Rig()
    rig.run_to(60.0, server_answers=False)
    assert not rig.told


def test_stopped_announcer_stays_stopped_when_a_late_answer_comes() -> None:
    rig = Rig()
    rig.announcer.stop()
    rig.answer(0.1)
    assert rig.announcer.deadline is None
    assert rig.told == [note.MappingLearned(MAPPED, 3)]


def test_numbers_go_on_from_socket_to_socket() -> None:
    """Else an announce of an earlier socket could be played again."""
    key = AnnounceKey(KEY)
    numbers: list[int] = []
    for generation in (1, 2):
        announcer = Announcer(key, UdpSocket(generation), SETTINGS)
        for _ in range(2):
            (action,) = announcer.announce(0.0)
            assert isinstance(action, do.SendDatagram)
            assert isinstance(action.datagram, Announce)
            numbers.append(action.datagram.number)
    assert numbers == [1, 2, 3, 4]
    assert key.number == 4


def test_only_so_many_of_the_newest_announces_can_be_answered() -> None:
    rig = Rig()
    rig.run_to(12.0)
    for announce in rig.sent[:-KEPT_NUMBERS]:
        rig.answer(12.0, announce)
    assert rig.announcer.mapped is None
    rig.answer(12.0, rig.sent[-KEPT_NUMBERS])
    assert rig.announcer.mapped == MAPPED


@pytest.mark.parametrize("peer", [(), (Endpoint("198.51.100.2", 40_000),)])
def test_answer_with_any_field_changed_is_not_accepted(peer: tuple[Endpoint, ...]) -> None:
    rig = Rig()
    rig.run_to(3.5)
    genuine = signed(Announced(rig.sent[-1].number, MAPPED, peer), KEY)
    forgeries = [*altered(genuine), signed(genuine, OTHER_KEY)]
    assert len(forgeries) > 20
    for forged in forgeries:
        before = rig.announcer.deadline
        rig.hear(4.0, forged)
        assert (rig.told, rig.announcer.mapped, rig.announcer.deadline) == ([], None, before), (
            forged
        )
    rig.hear(4.0, genuine)
    assert rig.told == [note.MappingLearned(MAPPED, 3)]


def test_answer_to_an_announce_that_was_never_made_is_not_accepted() -> None:
    rig = Rig()
    rig.hear(0.1, signed(Announced(2, MAPPED), KEY))
    assert rig.told == []


def test_key_does_not_show() -> None:
    key = AnnounceKey(KEY)
    shown = repr(key) + repr(key.announce(1))
    assert KEY.hex() not in shown
    assert repr(KEY) not in shown
