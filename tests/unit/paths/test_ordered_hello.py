"""The method `ordered-hello` on one socket: what it keeps, obeys, tells, and when it says "proven"."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nat_traversal.machine import actions as do
from nat_traversal.machine import notices as note
from nat_traversal.machine.sockets import NominatedPair, UdpSocket
from nat_traversal.paths.budget import TrafficBudget
from nat_traversal.paths.methods.method import HandshakeKeys, Method, Output, Proven
from nat_traversal.paths.methods.ordered_hello import OrderedHello
from nat_traversal.settings import ClientSettings
from nat_traversal.wire.datagrams import FRAMES, Confirm, Datagram, Frame, Hello
from nat_traversal.wire.endpoint import Endpoint
from nat_traversal.wire.messages import Candidate, HelloSent, Role, SendHello, StartRound
from tests.unit.counterpart import NO_ECHO, TOKEN, Voice, an_offer, some_keys

AT = 3
SOCKET = UdpSocket(AT)
US = Endpoint("203.0.113.2", 50_000)
PEER = Endpoint("198.51.100.2", 40_000)
OBSERVED = Endpoint("198.51.100.2", 51_234)
_OURS, _THEIRS, _OUR_SECRET, _THEIR_SECRET = some_keys("ours", "theirs", "secret", "other secret")
KEYS = HandshakeKeys(_OURS, _THEIRS, _OUR_SECRET, b"ours")
MINE = Voice(KEYS)
"""What the host under test ought to say."""
PEERS = Voice(HandshakeKeys(_THEIRS, _OURS, _THEIR_SECRET, b"peer"))
HEARD = PEERS.nonce(US)
TRAFFIC = [Frame(kind, bytes([kind]) + b"ours" + bytes(60)) for kind in sorted(FRAMES)]


def hello(step: int, *, heard_at: Endpoint | None = None, copy: int = 0) -> Hello:
    """The peer's."""
    echo = MINE.nonce(heard_at) if heard_at else NO_ECHO
    return PEERS.hello(step, to=US, echo=echo, heard=heard_at is not None, copy=copy)


def confirm(*, heard_at: Endpoint, wanted: bool = False) -> Confirm:
    """The peer's."""
    return PEERS.confirm(to=US, echo=MINE.nonce(heard_at), wanted=wanted)


def new_method(settings: ClientSettings | None = None) -> Method:
    return OrderedHello(SOCKET, settings or ClientSettings())


def round_for(role: Role) -> StartRound:
    return StartRound(1, 1, role, TOKEN, (Candidate("srflx", PEER),), an_offer("peer"))


def answering() -> Method:
    """Role A with HELLO 3 out: it waits for the proof."""
    method = new_method()
    method.start(round_for(Role.A), KEYS, TrafficBudget(), 0.0)
    method.ordered(SendHello(1, 1, 1, 1), 0.0)
    method.arrived(hello(2), PEER, AT, 0.1)
    return method


def proofs(outputs: list[Output]) -> list[Proven]:
    return [output for output in outputs if isinstance(output, Proven)]


def test_role_a_sends_what_it_is_ordered_and_says_proven_at_the_confirm() -> None:
    method = new_method()
    start = round_for(Role.A)
    assert method.start(start, KEYS, TrafficBudget(), 0.0) == [
        do.Tell(note.RoundStarted(1, 1, Role.A, start.candidates))
    ]
    first = MINE.hello(1, to=PEER, heard=False)
    assert method.ordered(SendHello(7, 1, 1, 1), 0.0) == [
        SOCKET.send(first, PEER),
        do.Tell(note.HelloWentOut(1, 1, PEER)),
        do.SendMessage(HelloSent(7)),
    ]
    third = MINE.hello(3, to=OBSERVED, echo=HEARD)
    assert method.arrived(hello(2, heard_at=PEER), OBSERVED, AT, 0.1) == [
        do.Tell(note.HelloCameIn(1, 2, OBSERVED)),
        SOCKET.send(third, OBSERVED),
        do.Tell(note.HelloWentOut(1, 3, OBSERVED)),
    ]
    assert method.ordered(SendHello(8, 1, 1, 3), 0.2) == [do.SendMessage(HelloSent(8, heard=True))]
    pair = NominatedPair(SOCKET, OBSERVED, b"peer")
    assert method.arrived(confirm(heard_at=OBSERVED), OBSERVED, AT, 0.3) == [Proven(pair)]
    assert method.deadline is None


def test_role_b_says_proven_at_hello_3_after_its_confirm() -> None:
    method = new_method()
    method.start(round_for(Role.B), KEYS, TrafficBudget(), 0.0)
    method.ordered(SendHello(1, 1, 1, 2), 0.0)
    assert method.arrived(hello(3, heard_at=PEER), PEER, AT, 0.1) == [
        do.Tell(note.HelloCameIn(1, 3, PEER)),
        SOCKET.send(MINE.confirm(to=PEER, echo=HEARD), PEER),
        Proven(NominatedPair(SOCKET, PEER, b"peer")),
    ]


def test_proof_is_told_once_and_what_comes_later_is_still_answered() -> None:
    method = answering()
    assert len(proofs(method.arrived(confirm(heard_at=PEER), PEER, AT, 0.2))) == 1
    again = method.arrived(confirm(heard_at=PEER, wanted=True), PEER, AT, 0.3)
    assert again == [SOCKET.send(MINE.confirm(to=PEER, echo=HEARD), PEER)]


@pytest.mark.parametrize("datagram", TRAFFIC, ids=lambda each: each.kind.name)
def test_frames_are_no_proof(datagram: Frame) -> None:
    """Only the holder of the path's keys can tell whether the peer has made them."""
    method = answering()
    assert method.arrived(datagram, PEER, AT, 0.2) == []
    assert not method.peer_has_proof
    assert len(proofs(method.arrived(confirm(heard_at=PEER), PEER, AT, 0.3))) == 1


def test_confirm_that_was_lost_is_asked_for_by_hello_3_until_it_comes() -> None:
    method = answering()
    assert method.deadline is not None
    (repeated,) = method.due(method.deadline)
    assert repeated == SOCKET.send(MINE.hello(3, to=PEER, echo=HEARD, copy=1), PEER)
    assert len(proofs(method.arrived(confirm(heard_at=PEER), PEER, AT, 9.0))) == 1


def test_what_the_peer_s_key_has_not_made_is_counted_and_never_answered() -> None:
    method = answering()
    strange = Voice(HandshakeKeys(_OUR_SECRET, _OURS, _THEIR_SECRET, b"peer"))
    for forged in (
        strange.hello(2, to=US, echo=MINE.nonce(PEER)),
        strange.confirm(to=US, echo=MINE.nonce(PEER)),
        replace(confirm(heard_at=OBSERVED), connection=b"else"),
    ):
        assert method.arrived(forged, PEER, AT, 0.2) == [do.Count(do.Fault.FORGED)]
    assert method.forged == 3
    assert proofs(method.arrived(confirm(heard_at=PEER), PEER, AT, 0.3))


@pytest.mark.parametrize("datagram", [*TRAFFIC, confirm(heard_at=PEER, wanted=True)])
def test_before_the_start_only_hellos_are_kept(datagram: Datagram) -> None:
    method = new_method()
    assert method.arrived(datagram, PEER, AT, 0.0) == []
    assert len(method.start(round_for(Role.A), KEYS, TrafficBudget(), 0.1)) == 1
    assert method.deadline is None


@pytest.mark.parametrize("room", [1, 2, 4])
def test_the_newest_early_hellos_count_once_the_round_starts(room: int) -> None:
    settings = ClientSettings(early_hellos=room)
    for others, told in ((room - 1, 1), (room, 0)):
        method = new_method(settings)
        strange = Voice(PEERS.keys, bytes(16)).hello(1, to=US)
        for early in [hello(1), *[strange] * others]:
            assert method.arrived(early, OBSERVED, AT, 0.0) == []
        heard = method.start(round_for(Role.B), KEYS, TrafficBudget(), 0.1)[1:]
        assert heard == [do.Tell(note.HelloCameIn(1, 1, OBSERVED))] * told


@pytest.mark.parametrize(
    "order", [SendHello(1, 2, 1, 1), SendHello(1, 1, 2, 1), SendHello(1, 1, 1, 2), SendHello(1, 1, 1, 3)]
)  # fmt: skip
def test_order_of_another_round_role_or_moment_is_ignored(order: SendHello) -> None:
    method = new_method()
    assert method.ordered(order, 0.0) == []
    method.start(round_for(Role.A), KEYS, TrafficBudget(), 0.0)
    assert method.ordered(order, 0.0) == []


def test_hello_2_after_the_order_of_hello_3_tells_the_server_that_proof_is_near() -> None:
    method = new_method()
    method.start(round_for(Role.A), KEYS, TrafficBudget(), 0.0)
    method.ordered(SendHello(7, 1, 1, 1), 0.0)
    method.ordered(SendHello(8, 1, 1, 3), 0.1)
    said = method.arrived(hello(2), PEER, AT, 0.2)
    assert said[:2] == [
        do.Tell(note.HelloCameIn(1, 2, PEER)),
        do.SendMessage(HelloSent(8, heard=True)),
    ]
    again = method.arrived(hello(2, copy=1), PEER, AT, 0.3)
    assert [type(output) for output in again] == [do.SendDatagram]


def test_repetitions_come_at_the_interval_and_are_not_told() -> None:
    method = new_method(ClientSettings(hello_interval=0.25, hello_repeats=2))
    method.start(round_for(Role.A), KEYS, TrafficBudget(), 0.0)
    assert method.due(100.0) == []
    method.ordered(SendHello(1, 1, 1, 1), 1.0)
    said = []
    while method.deadline is not None:
        assert method.due(method.deadline - 0.01) == []
        said.append((method.deadline, method.due(method.deadline)))
    assert said == [
        (1.25, [SOCKET.send(MINE.hello(1, to=PEER, heard=False, copy=1), PEER)]),
        (1.5, [SOCKET.send(MINE.hello(1, to=PEER, heard=False, copy=2), PEER)]),
        (1.75, []),
    ]
