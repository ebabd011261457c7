"""The server's orders at a client's machine, and HELLOs that overtake them."""

from __future__ import annotations

import pytest

from nat_traversal.client.phases import PathState
from nat_traversal.machine import actions as do
from nat_traversal.machine import events as e
from nat_traversal.machine import notices as note
from nat_traversal.wire import messages as m
from nat_traversal.wire.datagrams import Announce, Hello
from nat_traversal.wire.endpoint import Endpoint
from tests.unit.client.rig import PEER, SETTINGS, US, Rig, an_early_hello

# Orders


def test_order_for_a_fresh_socket_replaces_the_used_one() -> None:
    rig = Rig().punching()
    rig.receive(m.OpenSocket(2))
    assert [action.generation for action in rig.done(do.OpenUdp)] == [1, 2]
    assert [action.generation for action in rig.done(do.CloseUdp)] == [1]
    assert rig.is_in(PathState.ANNOUNCING)


def test_order_for_a_socket_that_is_announced_already_repeats_the_announce() -> None:
    """The client opened it by itself; the order was on its way."""
    rig = Rig().registered()
    (action,) = rig.receive(m.OpenSocket(1))
    assert isinstance(action, do.SendDatagram)
    assert isinstance(action.datagram, Announce)
    assert action.datagram.generation == 1


def test_order_below_the_own_number_opens_a_higher_one_and_the_path_goes_on() -> None:
    rig = Rig().established()
    rig.receive(m.OpenSocket(1))
    assert rig.generation() == 2
    assert not [told for told in rig.notices() if isinstance(told, note.PathLost)]
    assert not rig.done(do.CloseUdp)
    assert rig.agent.peers["host_b"].has_path


def test_once_client_ends_when_its_path_is_taken_away() -> None:
    rig = Rig(once=True).established()
    rig.receive(m.OpenSocket(2))
    assert rig.is_in(PathState.CLOSED)
    assert rig.agent.deadline() is None


def test_socket_numbers_wrap() -> None:
    rig = Rig(last=65_534).registered()
    assert rig.generation() == 65_535
    rig.receive(rig.round())
    rig.receive(m.OpenSocket(1))
    assert rig.generation() == 1


def test_second_start_in_one_round_is_ignored() -> None:
    rig = Rig().punching()
    for other in (rig.round(m.Role.B, attempt=2, token=bytes(16)), rig.round(m.Role.A)):
        assert rig.receive(other) == []
        assert rig.is_in(PathState.PUNCHING)


@pytest.mark.parametrize(
    "order",
    [
        m.SendHello(1, 2, 1, 1),  # another attempt
        m.SendHello(1, 1, 2, 1),  # another round
        m.SendHello(1, 1, 1, 2),  # the other role's
        m.SendHello(1, 1, 1, 3),  # too early
    ],
)
def test_order_that_makes_no_sense_is_neither_obeyed_nor_acknowledged(order: m.SendHello) -> None:
    assert Rig().punching().receive(order) == []


def test_hello_2_that_comes_after_the_order_of_hello_3_is_told_once() -> None:
    """Else the server might end a round whose proof is on its way."""
    rig = Rig().punching()
    rig.receive(m.SendHello(7, 1, 1, 1))
    rig.receive(m.SendHello(8, 1, 1, 3))
    assert rig.messages()[-2:] == [m.HelloSent(7), m.HelloSent(8)]
    for _ in range(2):
        rig.hear(rig.voice.hello(2, to=US))
    assert rig.messages()[-3:] == [m.HelloSent(7), m.HelloSent(8), m.HelloSent(8, heard=True)]


def test_order_before_a_round_is_ignored() -> None:
    assert Rig().registered().receive(m.SendHello(1, 1, 1, 1)) == []


def test_verdict_on_another_attempt_is_ignored_in_a_round() -> None:
    rig = Rig().punching()
    assert rig.receive(m.Failed(2, "no-path", "why")) == []
    rig.receive(m.Failed(1, "no-path", "why"))
    assert rig.is_in(PathState.IDLE)


def test_verdict_ends_a_path_that_the_other_side_never_confirmed() -> None:
    rig = Rig().established()
    rig.receive(m.Failed(1, "no-path", "why"))
    lost, failed = rig.notices()[-2:]
    assert lost == note.PathLost("the other side never confirmed the path")
    assert isinstance(failed, note.AttemptFailed)


def test_start_before_the_registration_is_answered_reports_nothing() -> None:
    """No server does so; the machine must hold all the same."""
    rig = Rig()
    rig.feed(e.ControlOpened())
    rig.receive(rig.round())
    rig.receive(m.SendHello(1, 1, 1, 1))
    rig.hear(rig.hello(2))
    rig.hear(rig.confirm())
    assert rig.is_in(PathState.ESTABLISHED)
    assert not [message for message in rig.messages() if isinstance(message, m.Established)]


# A HELLO that overtakes the server's word


def test_hello_that_overtook_the_start_of_its_round_counts() -> None:
    elsewhere = Endpoint("198.51.100.2", 41_111)
    rig = Rig().registered()
    start = rig.round(m.Role.B)
    for hello in (an_early_hello(bytes(16)), rig.hello(1)):
        assert not rig.hear(hello, elsewhere)
    rig.receive(start)
    heard = [notice for notice in rig.notices() if isinstance(notice, note.HelloCameIn)]
    assert heard == [note.HelloCameIn(1, 1, elsewhere)]
    sent, _, _ = rig.receive(m.SendHello(1, 1, 1, 2))
    assert isinstance(sent, do.SendDatagram)
    assert sent.destination == elsewhere
    assert isinstance(sent.datagram, Hello)
    assert sent.datagram.heard


def test_only_the_newest_early_hellos_are_kept_and_none_for_another_socket() -> None:
    for others, told in ((SETTINGS.early_hellos, 0), (SETTINGS.early_hellos - 1, 1)):
        rig = Rig().registered()
        start = rig.round(m.Role.B)
        for hello in [rig.hello(1), *[an_early_hello(bytes(16))] * others]:
            rig.hear(hello)
        rig.receive(start)
        heard = [notice for notice in rig.notices() if isinstance(notice, note.HelloCameIn)]
        assert heard == [note.HelloCameIn(1, 1, PEER)] * told

    rig = Rig().registered()
    rig.round(m.Role.B)
    rig.hear(rig.hello(1))
    rig.receive(m.OpenSocket(2))
    rig.receive(rig.round(m.Role.B))
    assert not [notice for notice in rig.notices() if isinstance(notice, note.HelloCameIn)]
