"""The method `ordered-hello` on one socket: what it keeps, obeys, tells, and when it says "proven"."""

from __future__ import annotations

import pytest

from nat_traversal.machine import events as e
from nat_traversal.machine.sockets import NominatedPair, UdpSocket
from nat_traversal.paths.methods.method import Method, Output, Proven
from nat_traversal.paths.methods.ordered_hello import OrderedHello
from nat_traversal.settings import ClientSettings
from nat_traversal.wire.datagrams import (
    Bye,
    Confirm,
    Data,
    Datagram,
    Fragment,
    Hello,
    Ping,
    Pong,
    tag_of,
)
from nat_traversal.wire.endpoint import Endpoint
from nat_traversal.wire.messages import Candidate, HelloSent, Role, SendHello, StartRound

TOKEN = bytes(range(16))
SOCKET = UdpSocket(3)
PEER = Endpoint("198.51.100.2", 40_000)
OBSERVED = Endpoint("198.51.100.2", 51_234)
TRAFFIC: list[Datagram] = [
    Ping(TOKEN, bytes(8)),
    Pong(TOKEN, bytes(8)),
    Bye(TOKEN),
    Data(tag_of(TOKEN), 1, True, b"x"),
    Fragment(tag_of(TOKEN), 1, True, 1, False, b"x"),
]


def new_method(settings: ClientSettings | None = None) -> Method:
    return OrderedHello(SOCKET, settings or ClientSettings())


def round_for(role: Role) -> StartRound:
    return StartRound(1, 1, role, TOKEN, (Candidate("srflx", PEER),))


def answering() -> Method:
    """Role A with HELLO 3 out: it waits for the proof."""
    method = new_method()
    method.start(round_for(Role.A), 0.0)
    method.ordered(SendHello(1, 1, 1, 1), 0.0)
    method.arrived(Hello(TOKEN, 1, 2, True), PEER, 0.1)
    return method


def proofs(outputs: list[Output]) -> list[Proven]:
    return [output for output in outputs if isinstance(output, Proven)]


def test_role_a_sends_what_it_is_ordered_and_says_proven_at_the_confirm() -> None:
    method = new_method()
    start = round_for(Role.A)
    assert method.start(start, 0.0) == [e.Tell(e.RoundStarted(1, 1, Role.A, start.candidates))]
    first = Hello(TOKEN, 1, 1, False)
    assert method.ordered(SendHello(7, 1, 1, 1), 0.0) == [
        SOCKET.send(first, PEER),
        e.Tell(e.HelloWentOut(1, 1, PEER)),
        e.SendMessage(HelloSent(7)),
    ]
    third = Hello(TOKEN, 1, 3, True)
    assert method.arrived(Hello(TOKEN, 1, 2, True), OBSERVED, 0.1) == [
        e.Tell(e.HelloCameIn(1, 2, OBSERVED)),
        SOCKET.send(third, OBSERVED),
        e.Tell(e.HelloWentOut(1, 3, OBSERVED)),
    ]
    assert method.ordered(SendHello(8, 1, 1, 3), 0.2) == [e.SendMessage(HelloSent(8, heard=True))]
    pair = NominatedPair(SOCKET, OBSERVED, TOKEN)
    assert method.arrived(Confirm(TOKEN, 1, False), OBSERVED, 0.3) == [Proven(pair)]
    assert method.deadline is None


def test_role_b_says_proven_at_hello_3_after_its_confirm() -> None:
    method = new_method()
    method.start(round_for(Role.B), 0.0)
    method.ordered(SendHello(1, 1, 1, 2), 0.0)
    assert method.arrived(Hello(TOKEN, 1, 3, True), PEER, 0.1) == [
        e.Tell(e.HelloCameIn(1, 3, PEER)),
        SOCKET.send(Confirm(TOKEN, 1, False), PEER),
        Proven(NominatedPair(SOCKET, PEER, TOKEN)),
    ]


def test_proof_is_told_once_and_what_comes_later_is_still_answered() -> None:
    method = answering()
    assert len(proofs(method.arrived(Confirm(TOKEN, 1, False), PEER, 0.2))) == 1
    again = method.arrived(Confirm(TOKEN, 1, True), PEER, 0.3)
    assert again == [SOCKET.send(Confirm(TOKEN, 1, False), PEER)]


@pytest.mark.parametrize("datagram", TRAFFIC, ids=lambda each: type(each).__name__)
def test_what_only_a_host_with_proof_sends_is_proof_where_hello_3_went(datagram: Datagram) -> None:
    elsewhere, method = answering(), answering()
    assert elsewhere.arrived(datagram, OBSERVED, 0.2) == []
    assert not elsewhere.peer_has_proof
    assert method.arrived(datagram, PEER, 0.2) == [Proven(NominatedPair(SOCKET, PEER, TOKEN))]
    assert method.peer_has_proof


@pytest.mark.parametrize(
    "datagram", [Ping(bytes(16), bytes(8)), Bye(bytes(16)), Data(b"\xff" * 4, 1, True, b"x")]
)
def test_traffic_of_another_round_is_no_proof(datagram: Datagram) -> None:
    method = answering()
    assert method.arrived(datagram, PEER, 0.2) == []
    assert not method.peer_has_proof


@pytest.mark.parametrize("datagram", [*TRAFFIC, Confirm(TOKEN, 1, True)])
def test_before_the_start_only_hellos_are_kept(datagram: Datagram) -> None:
    method = new_method()
    assert method.arrived(datagram, PEER, 0.0) == []
    assert len(method.start(round_for(Role.A), 0.1)) == 1
    assert method.deadline is None


@pytest.mark.parametrize("room", [1, 2, 4])
def test_the_newest_early_hellos_count_once_the_round_starts(room: int) -> None:
    settings = ClientSettings(early_hellos=room)
    for others, told in ((room - 1, 1), (room, 0)):
        method = new_method(settings)
        for hello in [Hello(TOKEN, 1, 1, False), *[Hello(bytes(16), 1, 1, False)] * others]:
            assert method.arrived(hello, OBSERVED, 0.0) == []
        heard = method.start(round_for(Role.B), 0.1)[1:]
        assert heard == [e.Tell(e.HelloCameIn(1, 1, OBSERVED))] * told


@pytest.mark.parametrize(
    "order", [SendHello(1, 2, 1, 1), SendHello(1, 1, 2, 1), SendHello(1, 1, 1, 2), SendHello(1, 1, 1, 3)]
)  # fmt: skip
def test_order_of_another_round_role_or_moment_is_ignored(order: SendHello) -> None:
    method = new_method()
    assert method.ordered(order, 0.0) == []
    method.start(round_for(Role.A), 0.0)
    assert method.ordered(order, 0.0) == []


def test_hello_2_after_the_order_of_hello_3_tells_the_server_that_proof_is_near() -> None:
    method = new_method()
    method.start(round_for(Role.A), 0.0)
    method.ordered(SendHello(7, 1, 1, 1), 0.0)
    method.ordered(SendHello(8, 1, 1, 3), 0.1)
    said = method.arrived(Hello(TOKEN, 1, 2, False), PEER, 0.2)
    assert said[:2] == [e.Tell(e.HelloCameIn(1, 2, PEER)), e.SendMessage(HelloSent(8, heard=True))]
    again = method.arrived(Hello(TOKEN, 1, 2, False, copy=1), PEER, 0.3)
    assert [type(output) for output in again] == [e.SendDatagram]


def test_repetitions_come_at_the_interval_and_are_not_told() -> None:
    method = new_method(ClientSettings(hello_interval=0.25, hello_repeats=2))
    method.start(round_for(Role.A), 0.0)
    assert method.due(100.0) == []
    method.ordered(SendHello(1, 1, 1, 1), 1.0)
    said = []
    while method.deadline is not None:
        assert method.due(method.deadline - 0.01) == []
        said.append((method.deadline, method.due(method.deadline)))
    assert said == [
        (1.25, [SOCKET.send(Hello(TOKEN, 1, 1, False, copy=1), PEER)]),
        (1.5, [SOCKET.send(Hello(TOKEN, 1, 1, False, copy=2), PEER)]),
        (1.75, []),
    ]
