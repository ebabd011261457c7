"""The client's machine, event by event: what a server or a moment rarely does."""

from __future__ import annotations

import logging
import random

import pytest

from nat_traversal.client.agent import FINAL_REFUSALS, Agent
from nat_traversal.client.control_link import LinkState
from nat_traversal.client.phases import PathState
from nat_traversal.crypto.dh import KeyPair
from nat_traversal.crypto.proof import is_signed
from nat_traversal.errors import UsageError
from nat_traversal.machine import actions as do
from nat_traversal.machine import events as e
from nat_traversal.machine import notices as note
from nat_traversal.wire import messages as m
from nat_traversal.wire.datagrams import Announce, handle_of
from tests.unit.client.rig import PEER, Rig, an_early_hello
from tests.unit.counterpart import TOKEN


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


def test_each_connection_has_a_key_of_its_own_and_the_process_keeps_its_own() -> None:
    rig = Rig().registered()
    rig.feed(e.ControlBroken("reset"))
    rig.wait(2.0)
    rig.feed(e.ControlOpened())
    first, second = [each for each in rig.messages() if isinstance(each, m.Register)]
    assert first.key != second.key
    assert first.owner == second.owner != b""
    assert first.offer.instance == second.offer.instance
    announce = rig.done(do.SendDatagram)[-1].datagram
    assert isinstance(announce, Announce)
    assert (announce.number, announce.handle) == (1, handle_of(second.key))


def test_challenge_reaches_the_link_and_its_answer_the_server() -> None:
    rig = Rig()
    rig.feed(e.ControlOpened(certificate=b"c" * 32))
    server = KeyPair.generate(random.Random(9))
    rig.receive(m.Challenge(bytes(16), server.public))
    assert isinstance(rig.messages()[-1], m.Proof)


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
    assert announce.datagram.number == 1
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
    assert {"bad-id", "unsupported-version"} == FINAL_REFUSALS


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


# What is not to be had, and what comes too late


def test_what_comes_after_this_side_has_closed_the_connection_is_ignored() -> None:
    rig = Rig().registered()
    rig.receive(m.GoAway(30.0))
    assert isinstance(rig.done(do.CloseControl)[-1], do.CloseControl)
    late: tuple[e.Event, ...] = (
        e.ControlReached(),
        e.ControlOpened(),
        e.ControlReceived(m.Registered(1, 2, 20.0)),
        e.ControlReceived(m.Refused("id-in-use", "late")),
        e.ControlGarbled("noise"),
        e.ControlBroken("reset"),
    )
    for event in late:
        assert rig.feed(event) == []
    assert rig.agent.link.state is LinkState.PAUSING


def test_announce_that_nothing_answered_is_repeated_soon_after_the_registration() -> None:
    rig = Rig()
    rig.feed(e.ControlOpened())
    rig.now = 0.25
    rig.receive(m.Registered(1, 2, 20.0))
    rig.wait(0.02)
    assert [each.number for each in rig.announces()] == [1, 2]


def test_answered_announce_is_not_repeated_after_the_registration() -> None:
    rig = Rig()
    rig.feed(e.ControlOpened())
    rig.receive(m.Registered(1, 2, 20.0))
    rig.answer_announce()
    rig.wait(1.0)
    assert len(rig.announces()) == 1


def test_announces_that_do_not_leave_are_no_fault_of_the_network() -> None:
    rig = Rig().registered()
    for _ in range(10):
        unsent = rig.done(do.SendDatagram)[-1]
        rig.feed(e.ActionFailed(unsent, "Operation not permitted"))
        rig.wait(1.0)
    told = [each for each in rig.notices() if isinstance(each, note.AnnounceUnanswered)]
    assert {each.reason for each in told} == {"Operation not permitted"}


def test_message_that_cannot_be_sent_ends_the_connection_which_is_made_anew() -> None:
    rig = Rig().registered()
    unsent = do.SendMessage(m.Heartbeat(1))
    assert do.CloseControl() in rig.feed(e.ActionFailed(unsent, "too long"))
    rig.wait(2.0)
    assert len(rig.done(do.OpenControl)) == 2


def test_other_failures_change_nothing() -> None:
    rig = Rig().registered()
    for action in (do.Tell(note.SocketLacking("", 1.0)), do.CloseUdp(1), do.SelectPath(7)):
        assert rig.feed(e.ActionFailed(action, "odd")) == []
    rig.receive(rig.round())
    assert rig.feed(e.ActionFailed(do.OpenUdp(99), "odd")) == []
