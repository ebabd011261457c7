"""A client against a server that orders too much, and against a peer that aims it at others."""

from __future__ import annotations

from dataclasses import replace
from itertools import count

import pytest

from nat_traversal.client.phases import PathState
from nat_traversal.client.restraint import Restraint
from nat_traversal.machine import actions as do
from nat_traversal.machine import events as e
from nat_traversal.machine import notices as note
from nat_traversal.paths.budget import (
    ATTEMPT_BURST,
    MOST_DATAGRAMS,
    RELAY_BURST,
    ROUND_WITHIN,
    SOCKET_BURST,
    UNVALIDATED_DATAGRAMS,
)
from nat_traversal.settings import ClientSettings
from nat_traversal.wire import messages as m
from nat_traversal.wire.datagrams import Announce, Confirm, Hello, encode
from nat_traversal.wire.endpoint import Endpoint
from nat_traversal.wire.relayed import Bind
from tests.unit.client.rig import PEER, Rig

SERVER = Endpoint("192.0.2.2", 6545)
VICTIMS = [Endpoint(f"203.0.113.{number}", 53) for number in range(10, 18)]
SETTINGS = ClientSettings()


@pytest.mark.parametrize("ipv6", [(), ("2001:db8::1",), ("2001:db8::1", "2001:db8::2")])
def test_four_host_addresses_are_told_the_first_ones_and_one_of_ipv6(ipv6: tuple[str, ...]) -> None:
    found = ["203.0.113.1", *(f"10.0.{number}.1" for number in range(6)), *ipv6]
    told = Restraint(SETTINGS).tells_hosts(tuple(Endpoint(each, 9) for each in found), 2)
    addresses = [each.endpoint.address for each in told.candidates]
    own = 4 - len(ipv6[:1])
    assert addresses == [f"10.0.{number}.1" for number in range(own)] + [*ipv6[:1]]


def lost(rig: Rig) -> list[str]:
    return [each.reason for each in rig.notices() if isinstance(each, note.ServerLost)]


def to(rig: Rig, endpoint: Endpoint) -> int:
    """How many datagrams of the handshake went there."""
    sent = [each for each in rig.done(do.SendDatagram) if each.destination == endpoint]
    assert [each for each in sent if not isinstance(each.datagram, Hello | Confirm)] == []
    return len(sent)


def relay_at(rig: Rig, place: Endpoint, number: int = 1) -> m.OpenRelay:
    token = bytes([number % 256] * 16)
    return m.OpenRelay(number, token, bytes(16), rig.peer.offer, place, bytes(32))


def test_a_server_that_names_a_victim_for_a_relay_gets_a_few_small_datagrams_and_is_left() -> None:
    rig = connected(Rig(relaying=m.Relaying.AUTO))
    for number in count(1):
        rig.receive(relay_at(rig, VICTIMS[0], number))
        if lost(rig):
            break
        rig.receive(m.RelayNews(number, m.RelayCode.OVER, "the next one"))
        rig.wait(1.0)
    assert number == RELAY_BURST + 1
    assert ["from relay to relay" in reason for reason in lost(rig)] == [True]
    rig.wait(SETTINGS.relay_within)
    sent = [each for each in rig.done(do.SendDatagram) if each.destination == VICTIMS[0]]
    assert RELAY_BURST <= len(sent) <= 6 * RELAY_BURST
    assert [each for each in sent if len(encode(each.datagram)) > 64] == []


@pytest.mark.parametrize("address", ["169.254.7.7", "127.0.0.1", "10.1.2.3", "224.0.0.1"])
def test_a_relay_is_never_sought_where_no_server_can_be(address: str) -> None:
    rig = connected(Rig(relaying=m.Relaying.AUTO))
    rig.receive(relay_at(rig, Endpoint(address, 6545)))
    assert len(lost(rig)) == 1
    assert not [each for each in rig.done(do.SendDatagram) if isinstance(each.datagram, Bind)]


def connected(rig: Rig, server: Endpoint = SERVER) -> Rig:
    """Registered at that server, again where the connection has ended."""
    rig.feed(e.ControlOpened(remote=server))
    transaction = [each for each in rig.messages() if isinstance(each, m.Register)][-1].transaction
    rig.receive(m.Registered(transaction, 2, 20.0))
    return rig


def attempt(rig: Rig, number: int, *victims: Endpoint, validated: bool = False) -> None:
    """The server begins an attempt and orders HELLO 1 to its victims."""
    found = tuple(m.Candidate("srflx", each, validated) for each in victims)
    rig.receive(replace(rig.round(attempt=number), candidates=found))
    rig.receive(m.SendHello(1, number, 1, 1))
    rig.receive(m.SendHello(2, number, 1, 3))


def test_a_peer_that_aims_at_a_victim_gets_ten_datagrams_of_an_attempt() -> None:
    rig = connected(Rig())
    attempt(rig, 1, VICTIMS[0])
    rig.wait(ROUND_WITHIN / 2)
    assert to(rig, VICTIMS[0]) == UNVALIDATED_DATAGRAMS
    assert rig.is_in(PathState.PUNCHING), "the address may still be validated"


def test_hellos_flow_on_once_the_address_is_validated() -> None:
    rig = connected(Rig())
    attempt(rig, 1, VICTIMS[0])
    rig.wait(4.0)
    before = to(rig, VICTIMS[0])
    rig.receive(m.Validated(VICTIMS[0].address))
    rig.wait(1.0)
    assert before == UNVALIDATED_DATAGRAMS
    assert to(rig, VICTIMS[0]) > before


def test_a_peer_that_answers_from_there_validates_its_address_itself() -> None:
    rig = connected(Rig())
    rig.receive(rig.round())
    rig.receive(m.SendHello(1, 1, 1, 1))
    for copy in range(UNVALIDATED_DATAGRAMS + 1):
        rig.hear(rig.hello(2))
        assert to(rig, PEER) == 2 + copy, "each HELLO 2 echoes our nonce"


def test_a_peer_that_speaks_in_a_victims_name_gets_ten_answers_there() -> None:
    rig = connected(Rig())
    rig.receive(rig.round())
    rig.receive(m.SendHello(1, 1, 1, 1))
    said = rig.said()
    assert said is not None
    for copy in range(100):
        spoofed = rig.voice.hello(2, to=PEER, echo=said.nonce, copy=copy)
        rig.hear(spoofed, VICTIMS[0])
    assert to(rig, VICTIMS[0]) == UNVALIDATED_DATAGRAMS


def test_a_peer_that_speaks_in_many_names_ends_the_attempt() -> None:
    rig = connected(Rig())
    rig.receive(rig.round())
    rig.receive(m.SendHello(1, 1, 1, 1))
    said = rig.said()
    assert said is not None
    for number in range(200):
        named = rig.voice.hello(2, to=PEER, echo=said.nonce, copy=number)
        rig.hear(named, Endpoint(f"198.18.0.{number}", 53))
        if lost(rig):
            break
    assert lost(rig) == ["an attempt asks for more datagrams than any that is meant to succeed"]
    assert number < 20


def test_a_lying_server_gets_ninety_datagrams_of_an_attempt_at_each_address() -> None:
    """It says that the victims are validated, and starts one round after the other."""
    rig = connected(Rig())
    for round_ in range(1, 50):
        found = tuple(m.Candidate("srflx", each, True) for each in VICTIMS)
        start = replace(rig.round(token=bytes([round_]) * 16), candidates=found, round=round_)
        rig.receive(start)
        for step in (1, 3):
            rig.receive(m.SendHello(step, 1, round_, step))
            if not lost(rig):
                rig.wait(7.0)
        if lost(rig):
            break
        rig.receive(m.OpenSocket(round_ + 1))
    assert lost(rig)[0] == "an attempt asks for more datagrams than any that is meant to succeed"
    assert [to(rig, each) for each in VICTIMS] == [MOST_DATAGRAMS] * len(VICTIMS)


def test_a_lying_server_aims_bursts_within_the_same_ninety_datagrams() -> None:
    """It has many sockets opened and many ports named, in one round after the other."""
    rig = connected(Rig())
    (victim,) = VICTIMS[:1]
    ports = tuple(range(1, m.MOST_AT_ONCE + 1))
    for round_ in range(1, 50):
        start = rig.round(token=bytes([round_]) * 16)
        named = (m.Candidate("srflx", victim, True),)
        start = replace(start, candidates=named, round=round_, method="prediction")
        rig.receive(replace(start, sockets=m.MOST_AT_ONCE, ports=ports))
        rig.receive(m.SendHello(1, 1, round_, 1))
        if not lost(rig):
            rig.wait(2.0)
            rig.receive(m.OpenSocket(round_ + 1, samples=8))
        if lost(rig):
            break
    sent = [
        each
        for each in rig.done(do.SendDatagram)
        if each.destination is not None and each.destination.address == victim.address
    ]
    assert len(sent) == MOST_DATAGRAMS
    opened = {each.generation for each in rig.done(do.OpenUdp)}
    assert len(opened - {each.generation for each in rig.done(do.CloseUdp)}) <= 1 + m.MOST_AT_ONCE


def test_a_lying_server_gets_no_attempts_without_end() -> None:
    rig = connected(Rig())
    for number in count(1):
        attempt(rig, number, VICTIMS[0], validated=True)
        if lost(rig):
            break
        rig.wait(0.2)
        rig.receive(m.OpenSocket(rig.generation() + 1))
    assert lost(rig) == ["the server begins one attempt after the other"]
    assert number == ATTEMPT_BURST + 1


def test_attempts_that_fail_come_ever_later_for_hours() -> None:
    """The server ends its attempts at once, and says that they failed: it comes back as soon as it is let."""
    rig = connected(Rig())
    begun = 0
    hours = 2
    while rig.now < hours * 3600:
        attempt(rig, begun % 60_000 + 1, VICTIMS[0], validated=True)
        if rig.is_in(PathState.PUNCHING):
            begun += 1
            rig.receive(m.Failed(begun % 60_000, "no-path", ""))
            rig.receive(m.OpenSocket(rig.generation() + 1))
        while rig.is_in(PathState.IDLE):
            rig.wait(1.0)
            if rig.done(do.OpenControl)[-1:] and rig.actions[-1] == do.OpenControl():
                connected(rig)
        rig.wait(1.0)
    shortest = SETTINGS.retry_most / 2
    assert begun <= 3 + 10 + hours * 3600 / shortest


def test_fresh_sockets_come_in_bursts_of_three() -> None:
    rig = connected(Rig())
    for generation in count(2):
        rig.receive(m.OpenSocket(generation))
        if lost(rig):
            break
    assert lost(rig) == ["the server orders fresh sockets without end"]
    assert generation == 2 + SOCKET_BURST
    assert len(rig.done(do.OpenUdp)) == 1 + SOCKET_BURST
    announces = [each for each in rig.done(do.SendDatagram) if isinstance(each.datagram, Announce)]
    assert {each.destination for each in announces} == {None}, "to the server itself"


def test_fresh_sockets_follow_one_a_second() -> None:
    rig = connected(Rig())
    for generation in range(2, 60):
        rig.receive(m.OpenSocket(generation))
        rig.wait(1.0)
    assert not lost(rig)


@pytest.mark.parametrize(
    "candidate",
    [
        Endpoint("127.0.0.1", 53),
        Endpoint("224.0.0.251", 5353),
        Endpoint("255.255.255.255", 9),
        Endpoint("169.254.169.254", 80),
        Endpoint("0.0.0.0", 53),
        SERVER,
    ],
    ids=str,
)
def test_a_server_that_names_what_nobody_can_be_at_is_left(candidate: Endpoint) -> None:
    rig = connected(Rig())
    attempt(rig, 1, PEER, candidate)
    ((reason),) = lost(rig)
    assert f"the server names {candidate} for the peer" in reason
    assert to(rig, PEER) == 0
    assert rig.done(do.CloseControl)
    assert rig.is_in(PathState.IDLE)


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0", "::", "ff02::1", "fe80::1"])
def test_a_host_address_that_nobody_can_be_at_is_the_peers_word_and_left_out(address: str) -> None:
    """A hostile peer would otherwise end this host's connection to a server of an older version."""
    rig = connected(Rig())
    nowhere = Endpoint(address, 53)
    told = (m.Candidate("host", nowhere), m.Candidate("srflx", PEER))
    rig.receive(replace(rig.round(m.Role.A), candidates=told))
    rig.receive(m.SendHello(1, 1, 1, 1))
    assert to(rig, PEER) == 1
    assert to(rig, nowhere) == 0
    assert not lost(rig)


def test_with_once_a_server_that_lies_ends_the_client_in_one_line() -> None:
    rig = connected(Rig(once=True))
    attempt(rig, 1, Endpoint("127.0.0.1", 53))
    assert rig.agent.is_closed()
    assert len(lost(rig)) == 1


def test_private_addresses_of_strangers_are_left_out_and_the_round_goes_on() -> None:
    rig = connected(Rig())
    attempt(rig, 1, PEER, Endpoint("192.168.1.1", 53))
    rig.wait(1.0)
    assert to(rig, PEER) > 0
    assert to(rig, Endpoint("192.168.1.1", 53)) == 0
    assert not lost(rig)


def test_a_host_that_may_send_nowhere_waits_to_be_heard() -> None:
    rig = connected(Rig())
    private = Endpoint("192.168.1.1", 53)
    rig.receive(replace(rig.round(m.Role.B), candidates=(m.Candidate("srflx", private),)))
    rig.receive(m.SendHello(1, 1, 1, 2))
    assert to(rig, private) == 0
    assert isinstance(rig.messages()[-1], m.HelloSent)
    rig.hear(rig.hello(1))
    assert to(rig, PEER) == 1


def test_a_round_that_the_server_never_ends_ends_by_the_clients_own_clock() -> None:
    rig = connected(Rig())
    attempt(rig, 1, VICTIMS[0])
    for _ in range(int(ROUND_WITHIN)):
        rig.receive(m.Heartbeat(1))
        rig.wait(1.0)
    (failed,) = [each for each in rig.notices() if isinstance(each, note.AttemptFailed)]
    assert failed.text == "the server has not ended the round within 60 s"
    assert rig.is_in(PathState.IDLE)
    rig.wait(SETTINGS.retry_first)
    assert isinstance(rig.messages()[-1], m.Retry)


def test_a_client_comes_back_no_sooner_than_the_order_would_be_allowed() -> None:
    rig = connected(Rig())
    for _ in range(20):
        rig.agent.peers["host_b"].direct._restraint.failed(rig.now)  # as after a night of failures
    for number in range(1, ATTEMPT_BURST + 2):
        attempt(rig, number, VICTIMS[0])
        if not lost(rig):
            rig.receive(m.OpenSocket(rig.generation() + 1))
    (told,) = [each for each in rig.notices() if isinstance(each, note.ServerLost)]
    assert told.retry_in is not None
    assert told.retry_in > SETTINGS.retry_most / 2 - 1.0
