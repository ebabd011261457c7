"""The client's machine, event by event: what a server or a moment rarely does."""

from __future__ import annotations

import logging
import random

import pytest

from nat_traversal.client.agent import FINAL_REFUSALS, Agent
from nat_traversal.client.control_link import LinkState
from nat_traversal.client.phases import PathState
from nat_traversal.crypto.proof import is_signed, signed
from nat_traversal.errors import UsageError
from nat_traversal.machine import actions as do
from nat_traversal.machine import events as e
from nat_traversal.machine import notices as note
from nat_traversal.paths.methods.method import HandshakeKeys
from nat_traversal.settings import ClientSettings
from nat_traversal.wire import messages as m
from nat_traversal.wire.datagrams import (
    FRAMES,
    Announce,
    Announced,
    Frame,
    Hello,
    Kind,
    handle_of,
)
from nat_traversal.wire.endpoint import Endpoint
from tests.unit.client.rig import PEER, US, Rig
from tests.unit.counterpart import (
    TOKEN,
    Voice,
    an_announce,
    some_keys,
)

SETTINGS = ClientSettings()

SERVER = Endpoint("192.0.2.2", 6545)


@pytest.mark.parametrize(
    ("host", "peer", "text"),
    [
        ("a", "a", "'a' cannot be its own peer: give the hosts different ids"),
        ("-", "a", "'-' cannot be an id"),
        ("a", "b c", "'b c' cannot be an id"),
    ],
)
def test_ids_are_checked_before_a_server_sees_them(host: str, peer: str, text: str) -> None:
    with pytest.raises(UsageError, match=text):
        Agent(host, peer, rng=random.Random(0))


def test_cold_start_registers_and_announces_in_one_flight() -> None:
    rig = Rig()
    actions = rig.feed(e.ControlOpened())
    assert [type(action) for action in actions] == [do.OpenUdp, do.SendMessage, do.SendDatagram]
    _, register, announce = actions
    assert isinstance(register, do.SendMessage)
    assert isinstance(register.message, m.Register)
    assert isinstance(announce, do.SendDatagram)
    assert isinstance(announce.datagram, Announce)
    assert announce.datagram.handle == handle_of(register.message.key)
    assert is_signed(announce.datagram, register.message.key)
    assert announce.datagram.number == register.message.number + 1
    assert announce.datagram.generation == register.message.generation == 1
    assert announce.destination is None


# The control link


def test_registration_that_is_not_answered_is_tried_again() -> None:
    rig = Rig()
    rig.feed(e.ControlOpened())
    before = len(rig.actions)
    rig.wait(10.0)
    ends = [action for action in rig.actions[before:] if not isinstance(action, do.SendDatagram)]
    assert ends[:2] == [do.CloseControl(), do.CloseUdp(1)]
    (lost,) = rig.notices()
    assert isinstance(lost, note.ServerLost)
    assert lost.reason == "no answer within 10 s"
    rig.wait(1.0)
    assert rig.actions[-1] == do.OpenControl()


def test_answer_to_another_request_registers_nobody() -> None:
    rig = Rig()
    rig.feed(e.ControlOpened())
    rig.receive(m.Registered(7, 2, 20.0))
    assert not rig.notices()
    rig.receive(m.Registered(1, 2, 20.0))
    assert rig.notices() == [note.RegisteredAtServer("host_a", "host_b")]
    rig.receive(m.Registered(1, 2, 20.0))
    assert len(rig.notices()) == 1


def test_server_that_chose_a_version_not_offered_is_left() -> None:
    rig = Rig()
    rig.feed(e.ControlOpened())
    rig.receive(m.Registered(1, 3, 20.0))
    assert rig.notices() == [
        note.ServerRefused(
            "unsupported-version", "the server chose version 3, this client speaks 2"
        )
    ]
    assert rig.is_in(PathState.CLOSED)


@pytest.mark.parametrize("code", [*m.ErrorCode, "something-new"])
def test_refusal_is_final_only_where_the_user_has_to_act(code: str) -> None:
    rig = Rig().registered()
    rig.receive(m.Refused(code, "why"))
    if code == m.ErrorCode.UNKNOWN_MESSAGE:
        assert not rig.done(do.CloseControl)
    elif code in FINAL_REFUSALS:
        assert rig.notices()[-1] == note.ServerRefused(code, "why")
        assert rig.is_in(PathState.CLOSED)
        assert rig.agent.deadline() is None
    else:
        lost = rig.notices()[-1]
        assert isinstance(lost, note.ServerLost)
        assert lost.reason == "why"
        assert lost.retry_in is not None
    assert {"id-in-use", "bad-id", "unsupported-version"} == FINAL_REFUSALS


def test_refused_message_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig().registered()
    with caplog.at_level(logging.WARNING, "nat_traversal.client.agent"):
        rig.receive(m.Refused("unknown-message", "unknown message type 'x'"))
    assert caplog.messages == [
        "the server does not know a message of ours: unknown message type 'x'"
    ]


def test_garbled_connection_is_closed() -> None:
    rig = Rig().registered()
    actions = rig.feed(e.ControlGarbled("noise"))
    assert actions[0] == do.CloseControl()
    assert rig.notices()[-1] == note.ServerLost("noise", rig.agent.deadline())


def test_heartbeat_is_answered_with_its_number() -> None:
    rig = Rig().registered()
    assert rig.receive(m.Heartbeat(77)) == [do.SendMessage(m.HeartbeatAnswer(77))]


@pytest.mark.parametrize(
    "message",
    [m.HeartbeatAnswer(1), m.UnknownMessage("x"), m.HelloSent(1), m.Retry(1, b""), m.Decline(1)],
)
def test_messages_without_meaning_for_a_client_are_ignored(
    message: m.Message | m.UnknownMessage,
) -> None:
    assert Rig().registered().receive(message) == []


# The end


@pytest.mark.parametrize("state", ["connecting", "registered", "punching", "established", "paused"])
def test_stop_ends_everything_from_every_state(state: str) -> None:
    rig = Rig()
    if state == "registered":
        rig.registered()
    elif state == "punching":
        rig.punching()
    elif state == "established":
        rig.established()
    elif state == "paused":
        rig.registered()
        rig.receive(m.Failed(1, "no-path", "why"))
        assert rig.agent.deadline() is not None
    rig.feed(e.StopRequested())
    assert rig.is_in(PathState.CLOSED)
    assert rig.agent.deadline() is None
    assert len(rig.done(do.OpenUdp)) == len(rig.done(do.CloseUdp))
    assert rig.done(do.CloseControl) == [do.CloseControl()]
    assert rig.agent.link.state is LinkState.CLOSED
    before = len(rig.actions)
    for event in (e.TimerFired(), e.StopRequested(), e.ControlBroken("late"), e.ControlOpened()):
        assert rig.feed(event) == []
    assert len(rig.actions) == before


def test_stop_while_pausing_for_the_server_has_nothing_to_close() -> None:
    rig = Rig()
    rig.feed(e.ControlBroken("refused"))
    rig.feed(e.StopRequested())
    assert not rig.done(do.CloseControl)
    assert rig.agent.deadline() is None


def test_once_client_that_wakes_after_everything_expired_tells_one_end() -> None:
    """The host slept: the path's timer and the control link's are due at once."""
    rig = Rig(once=True).established()
    before = len(rig.notices())
    rig.now = 1000.0
    rig.feed(e.TimerFired())
    assert rig.notices()[before:] == [note.PathLost("the other side has stopped answering")]
    assert rig.done(do.CloseControl) == [do.CloseControl()]
    assert rig.agent.deadline() is None


def test_datagram_by_an_unknown_socket_is_ignored_in_every_state() -> None:
    hello = e.DatagramArrived(an_early_hello(TOKEN), PEER, generation=9)
    for rig in (Rig(), Rig().registered(), Rig().punching(), Rig().established()):
        assert rig.feed(hello) == []


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


def test_order_below_the_own_number_opens_a_higher_one() -> None:
    rig = Rig().established()
    rig.receive(m.OpenSocket(1))
    assert rig.generation() == 2
    assert rig.notices()[-1] == note.PathLost("the other side asked for a new path")


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
    rig.wait(15.0)
    (question,) = (each for each in rig.messages() if isinstance(each, m.Heartbeat))
    rig.receive(m.HeartbeatAnswer(question.transaction))
    rig.wait(SETTINGS.consent - 17.0)
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


def an_early_hello(token: bytes) -> Hello:
    """Of a round that this host does not know."""
    (key,) = some_keys("stranger")
    return Voice(HandshakeKeys(key, key, key, b"conn"), token).hello(1, to=US)


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


def test_peer_that_wants_another_host_is_told_at_once() -> None:
    rig = Rig().registered()
    rig.receive(m.PeerStatus(m.PeerState.ABSENT, elsewhere=True))
    assert rig.notices()[-1] == note.PeerElsewhere("host_b", "host_a")


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
    assert [type(each) for each in rig.feed(e.Woke())] == [do.SendMessage]
    assert isinstance(rig.messages()[-1], m.Heartbeat)
    rig.wait(SETTINGS.answer_within)
    assert isinstance(rig.notices()[-1], note.ServerLost)


def test_a_host_that_wakes_up_asks_for_its_next_attempt_at_once() -> None:
    rig = Rig().punching()
    rig.receive(m.Failed(1, m.Verdict.NO_PATH, "why"))
    rig.feed(e.Woke())
    rig.wait(0.0)
    assert isinstance(rig.messages()[-1], m.Retry)
