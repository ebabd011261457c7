"""The rendezvous machine over a store that is not at once: answers late, lost, or about other servers."""

from __future__ import annotations

import random

from nat_traversal.machine import actions as do
from nat_traversal.machine import events as e
from nat_traversal.machine import notices as note
from nat_traversal.server.connections import ServerAction
from nat_traversal.server.rendezvous import Rendezvous, ServerEvent
from nat_traversal.server.store import (
    Claim,
    Claimed,
    Held,
    Holder,
    LookedUp,
    LookUp,
    PeerLeft,
    Publish,
    Release,
    Signalled,
)
from nat_traversal.settings import ServerSettings
from nat_traversal.wire import messages as m
from tests.unit.counterpart import an_offer, some_keys

SETTINGS = ServerSettings()
A = Holder("host_a", "host_b", connection=1)
B = Holder("host_b", "host_a", connection=2)
AGAIN = Holder("host_a", "host_b", connection=3)
"""Another connection that wants the id of `A`."""
ELSEWHERE = Holder("host_a", "host_b", connection=99)


class Server:
    """The machine, with its store played by the test."""

    def __init__(self) -> None:
        self.machine = Rendezvous(rng=random.Random(0), settings=SETTINGS)

    def feed(self, event: ServerEvent, now: float = 0.0) -> list[ServerAction]:
        return self.machine.handle(event, now)

    def register(self, holder: Holder) -> list[ServerAction]:
        self.feed(e.ControlOpened(holder.connection))
        (key,) = some_keys(f"{holder.id} {holder.connection}")
        register = m.Register(1, (2,), holder.id, holder.peer, key, 1, an_offer(holder.id))
        return self.feed(e.ControlReceived(register, holder.connection))

    def admit(self, holder: Holder) -> list[ServerAction]:
        self.register(holder)
        return self.feed(Claimed(holder))


def test_host_is_registered_only_when_the_store_says_so() -> None:
    server = Server()
    assert server.register(A) == [Claim(A, SETTINGS.lease)]
    assert server.machine.registered == set()
    told, accepted, asked = server.feed(Claimed(A))
    assert told == do.Tell(note.HostRegistered("host_a", "host_b"))
    assert accepted == do.SendMessage(m.Registered(1, 2, SETTINGS.heartbeat), 1)
    assert asked == LookUp("host_b", A)
    assert server.machine.registered == {"host_a"}


def test_claim_that_is_granted_to_a_host_that_has_gone_is_given_back() -> None:
    server = Server()
    server.register(A)
    assert server.feed(e.ControlBroken("reset", 1)) == []
    assert server.feed(Claimed(A)) == [Release(A)]


def test_answers_about_hosts_that_have_gone_are_ignored() -> None:
    server = Server()
    assert server.feed(Held(A, ELSEWHERE)) == []
    assert server.feed(LookedUp(A, B)) == []
    assert server.feed(Signalled(A, PeerLeft("host_b"))) == []


def test_id_that_another_server_holds_is_in_use() -> None:
    server = Server()
    server.register(A)
    refused, closed, _ = server.feed(Held(A, ELSEWHERE))
    assert isinstance(refused, do.SendMessage)
    assert isinstance(refused.message, m.Refused)
    assert refused.message.code == m.ErrorCode.ID_IN_USE
    assert closed == do.CloseControl(1)


def test_lease_is_renewed_and_a_grant_of_it_changes_nothing() -> None:
    server = Server()
    server.admit(A)
    at = server.machine.deadline()
    assert at == SETTINGS.heartbeat
    (ping,) = server.feed(e.TimerFired(), at)
    assert isinstance(ping, do.SendMessage)
    assert isinstance(ping.message, m.Heartbeat)
    answer = m.HeartbeatAnswer(ping.message.transaction)
    assert server.feed(e.ControlReceived(answer, A.connection), at) == []
    at = server.machine.deadline()
    assert at is not None
    assert at < SETTINGS.lease
    assert server.feed(e.TimerFired(), at) == [Claim(A, SETTINGS.lease)]
    assert server.feed(Claimed(A), at) == []


def test_host_whose_lease_ran_out_is_replaced() -> None:
    server = Server()
    server.admit(A)
    refused, *_ = server.feed(Held(A, ELSEWHERE))
    assert isinstance(refused, do.SendMessage)
    assert isinstance(refused.message, m.Refused)
    assert refused.message.code == m.ErrorCode.REPLACED
    assert server.machine.registered == set()


def test_newcomer_has_to_ask_a_holder_here_whatever_became_of_its_lease() -> None:
    """A server that was suspended hears newcomers before it renews a lease: found by the fuzz of machines."""
    server = Server()
    server.admit(A)
    (asked,) = server.register(AGAIN)
    assert isinstance(asked, do.SendMessage)
    assert (type(asked.message), asked.connection) == (m.Heartbeat, A.connection)


def test_of_two_hosts_here_to_which_the_store_gives_an_id_the_first_goes() -> None:
    server = Server()
    server.register(A)
    server.register(AGAIN)
    server.feed(Claimed(A))
    refused, closed, *_ = server.feed(Claimed(AGAIN))
    assert isinstance(refused, do.SendMessage)
    assert isinstance(refused.message, m.Refused)
    assert refused.message.code == m.ErrorCode.REPLACED
    assert closed == do.CloseControl(A.connection)
    assert server.machine.registered == {"host_a"}
    server.feed(e.ControlBroken("reset", AGAIN.connection))
    assert server.machine.registered == set()


def test_two_look_ups_that_cross_make_one_session() -> None:
    server = Server()
    server.admit(A)
    server.admit(B)
    present = m.PeerStatus(m.PeerState.PRESENT)
    assert server.feed(LookedUp(B, A)) == [do.SendMessage(present, 2), do.SendMessage(present, 1)]
    assert server.feed(LookedUp(A, B)) == []


def test_peer_that_wants_another_is_absent() -> None:
    server = Server()
    server.admit(A)
    wants_another = Holder("host_b", "host_c", connection=2)
    server.admit(wants_another)
    absent = m.PeerStatus(m.PeerState.ABSENT)
    asked = m.PeerStatus(m.PeerState.ABSENT, asked_by="host_a")
    assert server.feed(LookedUp(A, wants_another)) == [
        do.SendMessage(absent, 1),
        do.SendMessage(asked, 2),
    ]


def test_going_is_published_to_the_peer_and_told_when_the_signal_comes() -> None:
    server = Server()
    server.admit(A)
    server.admit(B)
    server.feed(LookedUp(B, A))
    assert server.feed(e.ControlBroken("reset", 2)) == [
        Release(B),
        do.Tell(note.HostLeft("host_b")),
        Publish("host_a", PeerLeft("host_b")),
    ]
    left = do.SendMessage(m.PeerStatus(m.PeerState.LEFT), 1)
    assert server.feed(Signalled(A, PeerLeft("host_b"))) == [left]


def test_stop_releases_every_id() -> None:
    server = Server()
    server.admit(A)
    server.feed(e.ControlOpened(7))
    assert server.feed(e.StopRequested()) == [
        Release(A),
        do.CloseControl(1),
        do.CloseControl(7),
    ]
