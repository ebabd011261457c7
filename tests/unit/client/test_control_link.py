"""A client's control connection alone: what it sends, when it gives up, when it comes back."""

from __future__ import annotations

import random

import pytest

from nat_traversal.client.control_link import ControlLink, Identity, LinkState
from nat_traversal.crypto.dh import KeyPair
from nat_traversal.crypto.possession import Claim, proof
from nat_traversal.errors import LocalProtocolError
from nat_traversal.machine import actions as do
from nat_traversal.machine import notices as note
from nat_traversal.machine.timers import Timers
from nat_traversal.settings import ClientSettings
from nat_traversal.wire import messages as m
from nat_traversal.wire.endpoint import Endpoint, HostPort
from tests.unit.counterpart import an_offer

KEY = bytes(range(32))
OFFER = an_offer()
SETTINGS = ClientSettings()


class Rig:
    """A link and its timers, served at each deadline."""

    def __init__(
        self, settings: ClientSettings = SETTINGS, *, owner: KeyPair | None = None
    ) -> None:
        self.timers = Timers()
        identity = Identity("host_a", "host_b")
        at = HostPort("server.example", 6545)
        rng = random.Random(0)
        self.link = ControlLink(identity, settings, self.timers, rng, owner, named=at)

    def connecting(self) -> Rig:
        assert self.link.connect(0.0) == [do.OpenControl()]
        return self

    def registered(self, heartbeat: float = 20.0) -> Rig:
        self.connecting()
        self.link.opened(1, OFFER, KEY, 0.0)
        self.link.heard(0.0)
        self.link.accepted(m.Registered(1, 2, heartbeat), 0.0)
        return self

    def next_timer(self) -> tuple[float, str, str | None]:
        """When the next timer is due, which it is, and why it ends the connection, if it does."""
        at = self.timers.deadline()
        assert at is not None
        (name,) = self.timers.due(at)
        return at, str(name), self.link.timed_out(str(name), at)


def test_registration_says_everything_about_the_host() -> None:
    rig = Rig().connecting()
    register = m.Register(1, (2,), "host_a", "host_b", KEY, 7, OFFER)
    assert rig.link.opened(7, OFFER, KEY, 0.5) == [do.SendMessage(register)]
    assert rig.link.state is LinkState.REGISTERING


@pytest.mark.parametrize("answer_within", [0.5, 10.0])
def test_server_has_its_time_to_accept_and_again_to_answer(answer_within: float) -> None:
    rig = Rig(ClientSettings(answer_within=answer_within)).connecting()
    assert rig.timers.deadline() == answer_within
    rig.link.opened(1, OFFER, KEY, 0.25)
    reason = f"no answer within {answer_within:g} s"
    assert rig.next_timer() == (0.25 + answer_within, "answer", reason)


def test_tls_has_as_much_time_as_tcp_and_none_after_it() -> None:
    rig = Rig().connecting()
    rig.link.reached(9.0)
    assert rig.next_timer() == (19.0, "answer", "no answer within 10 s")
    rig.link.broken("over", 19.0)
    pause_ends = rig.timers.deadline()
    rig.link.reached(19.5)  # too late: nothing is waited for
    assert rig.timers.deadline() == pause_ends


def test_only_the_answer_to_its_own_request_registers_and_only_once() -> None:
    rig = Rig().connecting()
    rig.link.opened(1, OFFER, KEY, 0.0)
    assert rig.link.accepted(m.Registered(2, 2, 20.0), 0.1) == []
    assert not rig.link.is_registered
    told = [do.Tell(note.RegisteredAtServer("host_a", "host_b"))]
    assert rig.link.accepted(m.Registered(1, 2, 20.0), 0.1) == told
    assert rig.link.accepted(m.Registered(1, 2, 20.0), 0.2) == []


def test_silent_server_is_asked_after_a_heartbeat_and_left_after_two_and_a_half() -> None:
    rig = Rig().registered(heartbeat=20.0)
    sent = []
    while True:
        at, name, reason = rig.next_timer()
        assert name == "heartbeat"
        if reason is not None:
            break
        sent += [(at, action) for action in rig.link.timer_fired(name, at)]
    assert sent == [
        (20.0, do.SendMessage(m.Heartbeat(2))),
        (30.0, do.SendMessage(m.Heartbeat(3))),
        (40.0, do.SendMessage(m.Heartbeat(4))),
    ]
    assert (at, reason) == (50.0, "silent for 50 s")


def test_what_would_mend_silence_depends_on_what_has_answered() -> None:
    rig = Rig().connecting()
    assert (
        rig.link.remedy
        == "open TCP port 6545 of server.example in the server's firewall, or correct --server"
    )
    rig.link.reached(0.0)
    assert "see whether a server of this project listens there" in rig.link.remedy
    rig.link.broken("no answer", 1.0, remedy="look")
    assert rig.link.status(1.0).remedy == "look"
    rig = Rig().registered()
    assert rig.link.status(1.0).remedy == ""
    rig.link.broken("refused", 1.0, remedy="start it, or correct --server")
    assert rig.link.status(1.0).remedy == "start it"
    rig.link.connect(2.0)
    assert rig.link.remedy == "see whether it runs, and whether both hosts are online"
    rig.link.opened(1, OFFER, KEY, 2.0)
    rig.link.accepted(m.Registered(2, 2, 20.0), 2.0)
    assert rig.link.status(2.0).remedy == ""


def test_server_that_speaks_is_not_asked() -> None:
    rig = Rig().registered()
    rig.link.heard(19.0)
    at, name, reason = rig.next_timer()
    assert (at, reason) == (20.0, None)
    assert rig.link.timer_fired(name, at) == []


def test_doubt_asks_once_and_only_its_own_answer_settles_it() -> None:
    rig = Rig().registered()
    assert rig.link.doubt(3.0) == [do.SendMessage(m.Heartbeat(2))]
    assert rig.link.doubt(3.5) == []
    rig.link.answered(1)
    assert rig.timers.deadline() == 3.0 + SETTINGS.answer_in_doubt
    rig.link.answered(2)
    assert rig.timers.deadline() == 20.0
    assert rig.link.doubt(4.0) == [do.SendMessage(m.Heartbeat(3))]


def test_doubt_brings_a_pausing_client_back_soon() -> None:
    rig = Rig().connecting()
    for failures in range(8):
        rig.link.broken("refused", 0.0)
        if failures < 7:
            rig.link.connect(0.0)
    later = rig.timers.deadline()
    assert later is not None
    assert later > SETTINGS.reconnect_first
    assert rig.link.doubt(0.0) == []
    assert (rig.timers.deadline() or later) <= SETTINGS.reconnect_first


def test_broken_connection_is_told_with_the_pause_after_which_it_is_made_again() -> None:
    rig = Rig().registered()
    (told,) = rig.link.broken("reset", 5.0)
    assert isinstance(told, do.Tell)
    assert isinstance(told.notice, note.ServerLost)
    assert told.notice.reason == "reset"
    assert told.notice.retry_in is not None
    at, name, reason = rig.next_timer()
    assert (at, name, reason) == (5.0 + told.notice.retry_in, "reconnect", None)
    assert rig.link.timer_fired(name, at) == [do.OpenControl()]


def test_pauses_grow_to_the_most_and_begin_anew_after_a_registration() -> None:
    rig = Rig(ClientSettings(reconnect_first=1.0, reconnect_most=8.0))
    pauses = []
    for _ in range(6):
        rig.link.connect(0.0)
        rig.link.broken("refused", 0.0)
        pauses.append(rig.timers.deadline() or 0.0)
    for pause, full in zip(pauses, (1, 2, 4, 8, 8, 8), strict=True):
        assert full / 2 <= pause <= full
    rig.link.connect(0.0)
    rig.link.opened(1, OFFER, KEY, 0.0)
    rig.link.accepted(m.Registered(1, 2, 20.0), 0.0)
    rig.link.broken("reset", 0.0)
    assert (rig.timers.deadline() or 99.0) <= 1.0


@pytest.mark.parametrize("state", LinkState)
def test_close_ends_it_from_every_state_and_closes_what_is_open(state: LinkState) -> None:
    rig = Rig()
    if state is not LinkState.PAUSING:
        rig.link.connect(0.0)
    if state in (LinkState.REGISTERING, LinkState.REGISTERED):
        rig.link.opened(1, OFFER, KEY, 0.0)
    if state is LinkState.REGISTERED:
        rig.link.accepted(m.Registered(1, 2, 20.0), 0.0)
    if state is LinkState.CLOSED:
        rig.link.close()
    assert rig.link.state is state
    is_open = state not in (LinkState.PAUSING, LinkState.CLOSED)
    assert rig.link.close() == [do.CloseControl()] * is_open
    assert rig.timers.deadline() is None
    with pytest.raises(LocalProtocolError):
        rig.link.connect(1.0)


# Possession


def owner_and_server() -> tuple[KeyPair, KeyPair]:
    rng = random.Random(5)
    return KeyPair.generate(rng), KeyPair.generate(rng)


def test_challenge_is_answered_for_the_server_that_this_client_sees() -> None:
    owner, server = owner_and_server()
    rig = Rig(owner=owner).connecting()
    rig.link.met(Endpoint("192.0.2.2", 6545), b"c" * 32)
    (register,) = rig.link.opened(1, OFFER, KEY, 0.0)
    assert isinstance(register, do.SendMessage)
    assert isinstance(register.message, m.Register)
    assert register.message.owner == owner.public
    claim = Claim(b"n" * 16, server.public, owner.public, "host_a", "192.0.2.2", b"c" * 32)
    made = proof(server.exchange(owner.public), claim)
    challenge = m.Challenge(b"n" * 16, server.public)
    assert rig.link.challenged(challenge, 2.0) == [do.SendMessage(m.Proof(made))]
    assert rig.timers.deadline() == 2.0 + SETTINGS.answer_within, "the answer has its time again"
    rig.link.accepted(m.Registered(1, 2, 20.0), 0.0)
    assert rig.link.challenged(challenge, 3.0) == [], "it is registered"


@pytest.mark.parametrize("which", ["own", "small order"])
def test_challenge_with_a_key_that_no_honest_server_has_is_not_answered(which: str) -> None:
    owner, _ = owner_and_server()
    rig = Rig(owner=owner).connecting()
    rig.link.opened(1, OFFER, KEY, 0.0)
    public = owner.public if which == "own" else bytes(32)
    assert rig.link.challenged(m.Challenge(bytes(16), public), 0.0) == []


def test_client_without_a_key_answers_no_challenge() -> None:
    rig = Rig().connecting()
    rig.link.opened(1, OFFER, KEY, 0.0)
    _, server = owner_and_server()
    assert rig.link.challenged(m.Challenge(bytes(16), server.public), 0.0) == []
