"""One peer at a client's machine: its path beside the control link, and what the two sides serve."""

from __future__ import annotations

import pytest

from nat_traversal.client.phases import PathState
from nat_traversal.crypto.proof import signed
from nat_traversal.machine import actions as do
from nat_traversal.machine import events as e
from nat_traversal.machine import notices as note
from nat_traversal.wire import messages as m
from nat_traversal.wire.datagrams import FRAMES, Announce, Announced, Frame, Kind
from nat_traversal.wire.endpoint import Endpoint
from tests.unit.client.rig import SERVER, SETTINGS, Rig
from tests.unit.counterpart import an_announce

# The path and the control link together


def test_only_the_answer_to_its_own_question_settles_the_doubt_in_the_server() -> None:
    """A message that was on its way already says nothing about now."""
    rig = Rig().established()
    rig.wait(15.0)
    (question,) = (each for each in rig.messages() if isinstance(each, m.Heartbeat))
    rig.receive(m.Heartbeat(7))
    rig.receive(m.HeartbeatAnswer(question.transaction + 1))
    rig.wait(10.0)
    lost = rig.notices()[-1]
    assert isinstance(lost, note.ServerLost)
    assert lost.reason == "no answer within 10 s"
    assert rig.is_in(PathState.ESTABLISHED)


def test_path_that_outlives_the_control_link_is_registered_as_connected() -> None:
    rig = Rig().established()
    rig.feed(e.ControlBroken("reset"))
    rig.wait(1.0)
    rig.feed(e.ControlOpened())
    register = rig.messages()[-1]
    assert isinstance(register, m.Register)
    assert register.generation == 0
    assert not rig.done(do.CloseUdp)


def test_path_lost_while_the_registration_is_on_its_way_is_asked_for_after_it() -> None:
    rig = Rig().established()
    began = rig.now
    while not (asked := [each for each in rig.messages() if isinstance(each, m.Heartbeat)]):
        rig.wait(0.5)
    rig.receive(m.HeartbeatAnswer(asked[-1].transaction))
    rig.wait(began + SETTINGS.consent - 2.0 - rig.now)
    rig.feed(e.ControlBroken("reset"))
    rig.wait(1.0)
    rig.feed(e.ControlOpened())
    rig.wait(1.5)
    assert rig.is_in(PathState.IDLE)
    register = rig.messages()[-1]
    assert isinstance(register, m.Register)
    rig.receive(m.Registered(register.transaction, 2, 20.0))
    assert rig.messages()[-1] == m.Retry(2, rig.offer().public)
    assert rig.is_in(PathState.ANNOUNCING)


def test_peer_that_leaves_in_a_round_makes_a_fresh_socket() -> None:
    rig = Rig().punching()
    rig.receive(m.PeerStatus(m.PeerState.LEFT))
    assert rig.messages()[-1] == m.Retry(2, rig.offer().public)
    assert rig.is_in(PathState.ANNOUNCING)


def test_peer_that_leaves_while_this_host_waits_changes_nothing() -> None:
    rig = Rig().registered()
    rig.receive(m.PeerStatus(m.PeerState.LEFT))
    assert rig.notices()[-1] == note.PeerSeen("host_b", m.PeerState.LEFT)
    assert len(rig.done(do.OpenUdp)) == 1


def test_answer_that_the_start_overtook_is_still_news() -> None:
    rig = Rig().registered()
    announce = rig.done(do.SendDatagram)[-1].datagram
    assert isinstance(announce, Announce)
    rig.receive(rig.round())
    mapped = Endpoint("203.0.113.2", 40_000)
    answer = signed(Announced(announce.number, mapped), rig.key())
    rig.feed(e.DatagramArrived(answer, SERVER, 1))
    assert rig.notices()[-1] == note.MappingLearned(mapped, 1)
    sent = len(rig.done(do.SendDatagram))
    rig.wait(20.0)
    assert len(rig.done(do.SendDatagram)) == sent, "no announces in a round"


def test_frames_without_a_path_are_not_answered() -> None:
    rig = Rig().punching()
    for kind in FRAMES:
        assert rig.feed(e.FrameOpened(kind, bytes(8), 1)) == []
        assert rig.hear(Frame(kind, bytes([kind]) + bytes(60))) == []


def test_frames_of_a_path_are_answered_and_end_it() -> None:
    rig = Rig().established()
    assert rig.feed(e.FrameOpened(Kind.PING, b"12345678", 1)) == [
        do.SendFrame(Kind.PONG, b"12345678", 1)
    ]
    assert rig.feed(e.FrameOpened(Kind.BYE, b"", 2)) == [], "of another socket"
    rig.feed(e.FrameOpened(Kind.BYE, b"", 1))
    assert note.PathLost("the other side closed it") in rig.notices()


def test_answer_that_came_in_by_a_closed_socket_is_ignored() -> None:
    rig = Rig().registered()
    announce = rig.done(do.SendDatagram)[-1].datagram
    assert isinstance(announce, Announce)
    answer = signed(Announced(announce.number, Endpoint("203.0.113.2", 1)), rig.key())
    assert rig.feed(e.DatagramArrived(answer, SERVER, generation=2)) == []
    assert rig.feed(e.DatagramArrived(answer, SERVER, generation=1)) != []


def test_datagrams_without_meaning_for_a_waiting_client_are_ignored() -> None:
    rig = Rig().registered()
    rig.round()
    bye = Frame(Kind.BYE, bytes([Kind.BYE]) + bytes(60))
    for datagram in (an_announce(rig.key()), rig.confirm(wanted=True), bye):
        assert rig.hear(datagram) == []


def test_timer_that_fires_early_does_no_harm() -> None:
    rig = Rig().established()
    rig.wait(0.5)
    assert rig.feed(e.TimerFired()) == []


# What the two sides serve


@pytest.mark.parametrize("serves", [m.Serves.LISTEN, m.Serves.CONNECT])
def test_two_hosts_that_serve_the_same_side_are_told_at_once(serves: m.Serves) -> None:
    rig = Rig(serves=serves)
    _, register, _ = rig.feed(e.ControlOpened())
    assert isinstance(register, do.SendMessage)
    assert isinstance(register.message, m.Register)
    assert register.message.serves is serves
    rig.receive(m.Registered(1, 2, 20.0))
    rig.receive(m.PeerStatus(m.PeerState.PRESENT, serves))
    assert rig.notices()[-1] == note.SidesAlike("host_b", serves)


@pytest.mark.parametrize("serves", [each for each in m.Serves if each != "listen"])
def test_two_hosts_that_may_serve_each_other_are_not_troubled(serves: m.Serves) -> None:
    rig = Rig(serves=m.Serves.LISTEN).registered()
    rig.receive(m.PeerStatus(m.PeerState.PRESENT, serves))
    assert rig.notices()[-1] == note.PeerSeen("host_b", m.PeerState.PRESENT)


def test_peer_that_nobody_registers_is_told_after_a_while_and_one_that_came_is_not() -> None:
    rig = Rig().registered()
    rig.receive(m.PeerStatus(m.PeerState.ABSENT))
    rig.wait(SETTINGS.missing_after)
    missing = note.PeerMissing("host_b", "host_a", SETTINGS.missing_after)
    assert rig.notices()[-1] == missing
    rig.receive(m.PeerStatus(m.PeerState.ABSENT))
    rig.receive(m.PeerStatus(m.PeerState.PRESENT))
    rig.wait(2 * SETTINGS.missing_after)
    assert rig.notices().count(missing) == 1


def test_host_that_another_one_wants_is_told_and_nothing_else_changes() -> None:
    rig = Rig().registered()
    status = m.PeerStatus(m.PeerState.ABSENT, asked_by="host_c")
    assert rig.receive(status) == [do.Tell(note.AskedBy("host_c", "host_b"))]


def test_a_service_that_refuses_is_told_to_the_peer_and_the_peer_s_is_told_here() -> None:
    rig = Rig().established()
    assert rig.feed(e.ServiceChanged(False)) == [do.SendMessage(m.ServiceState(False))]
    told = do.Tell(note.ServiceAtPeer("host_b", True))
    assert rig.receive(m.ServiceState(True)) == [told]
    rig.feed(e.ControlBroken("gone"))
    assert rig.feed(e.ServiceChanged(True)) == []


@pytest.mark.parametrize(
    ("via", "mapped", "hidden"),
    [
        ("192.0.2.2", "127.0.0.1", True),
        ("192.0.2.2", "203.0.113.2", False),
        ("127.0.0.1", "127.0.0.1", False),
    ],
)
def test_a_server_that_sees_a_proxy_in_place_of_this_host_is_told_at_once(
    via: str, mapped: str, hidden: bool
) -> None:
    rig = Rig()
    _, register, announce = rig.feed(e.ControlOpened(remote=Endpoint(via, 6545)))
    assert isinstance(register, do.SendMessage)
    assert isinstance(register.message, m.Register)
    assert register.message.via == via
    assert isinstance(announce, do.SendDatagram)
    assert isinstance(announce.datagram, Announce)
    answer = signed(Announced(announce.datagram.number, Endpoint(mapped, 7)), register.message.key)
    rig.feed(e.DatagramArrived(answer, SERVER, generation=1))
    told = [notice for notice in rig.notices() if isinstance(notice, note.AddressHidden)]
    assert told == [note.AddressHidden(Endpoint(mapped, 7), via)] * hidden


def test_a_host_that_wakes_up_pauses_no_longer_and_asks_a_connection_whether_it_lives() -> None:
    rig = Rig()
    for _ in range(6):
        rig.feed(e.ControlBroken("no network"))
        reconnect_at = rig.agent.deadline()
        assert reconnect_at is not None
        rig.wait(reconnect_at - rig.now)
    rig.feed(e.ControlBroken("no network"))
    opened = len(rig.done(do.OpenControl))
    rig.feed(e.Woke())
    rig.wait(0.0)
    assert len(rig.done(do.OpenControl)) == opened + 1
    rig.registered()
    assert [type(each) for each in rig.feed(e.Woke())] == [do.Tell, do.SendMessage]
    assert isinstance(rig.messages()[-1], m.Heartbeat)
    rig.wait(SETTINGS.answer_within)
    assert isinstance(rig.notices()[-1], note.ServerLost)


def test_a_host_that_wakes_up_asks_for_its_next_attempt_at_once() -> None:
    rig = Rig().punching()
    rig.receive(m.Failed(1, m.Verdict.NO_PATH, "why"))
    rig.feed(e.Woke())
    rig.wait(0.0)
    assert isinstance(rig.messages()[-1], m.Retry)
