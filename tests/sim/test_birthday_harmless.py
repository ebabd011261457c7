"""`birthday` does no harm: to third parties, to routers, to others behind the same NAT, whoever lies."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from nat_traversal.client.security import Security
from nat_traversal.crypto.proof import signed
from nat_traversal.machine import events as e
from nat_traversal.machine import notices as note
from nat_traversal.paths.budget import MOST_DATAGRAMS, MOST_OCTETS, UNVALIDATED_DATAGRAMS
from nat_traversal.paths.probing import MOST_PROBES, MOST_UNPROVEN, WITHIN, ProbeBudget, Probes
from nat_traversal.server.grants import EVERY, Grants
from nat_traversal.wire import guessing
from nat_traversal.wire import messages as m
from nat_traversal.wire.datagrams import Announced, Hello, encode
from nat_traversal.wire.endpoint import Endpoint
from nat_traversal.wire.methods import MethodName
from natlab.oracle.model import NoRoomError
from tests.sim.guesses import entries, most_within
from tests.sim.network import Host
from tests.sim.world import World

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from nat_traversal.paths.budget import TrafficBudget
    from tests.sim.client import Client
    from tests.sim.network import Packet

METHODS = (MethodName.PREDICTION.value, MethodName.BIRTHDAY.value)
CELLS = [("symmetric", "EIM+APDF"), ("EIM+APDF", "symmetric")]
VICTIM = Endpoint("192.0.2.200", 53)
MOST_A_SECOND = 150


def a_world(nats: tuple[str, str]) -> tuple[World, Client, Client]:
    """Both hosts have a key in common, so that no server can play one of them."""
    world = World(nat_a=nats[0], nat_b=nats[1], r=0.05, p=0.04, methods=METHODS)
    security = Security.sealed(psk=bytes(range(32)))
    a = world.client("host_a", "host_b", security=security)
    b = world.client("host_b", "host_a", security=security)
    return world, a, b


def peer_lies(world: World) -> None:
    """Each datagram of host_b bears the victim's address, towards the server as well."""
    nat = world.net.hosts["host_b"].nat
    nat.outbound = lambda *_: VICTIM  # type: ignore[method-assign]


def hears(client: Client, change: Callable[[m.Message], Iterable[m.Message]]) -> None:
    """The server's words come to `client` as `change` makes them."""
    feed = client.feed

    def changed(event: e.Event) -> None:
        if not isinstance(event, e.ControlReceived) or isinstance(event.message, m.UnknownMessage):
            feed(event)
            return
        for message in change(event.message):
            feed(e.ControlReceived(message))

    client.feed = changed  # type: ignore[method-assign]


def names_the_victim(message: m.Message) -> list[m.Message]:
    """And says that it has echoed."""
    if not isinstance(message, m.StartRound):
        return [message]
    return [replace(message, candidates=(m.Candidate("srflx", VICTIM, validated=True),))]


def to_the_victim(world: World) -> list[Packet]:
    sent = [
        each
        for each in world.net.log
        if each.sender == "host_a" and each.destination.address == VICTIM.address
    ]
    assert [each for each in sent if len(encode(each.datagram)) > MOST_OCTETS] == []
    return sent


@pytest.mark.parametrize("nats", CELLS)
def test_a_peer_that_lies_about_its_address_gets_ten_datagrams_to_a_victim(
    nats: tuple[str, str],
) -> None:
    world, a, b = a_world(nats)
    peer_lies(world)
    a.start(), b.start()
    world.run(16.0)
    attempts = {told.attempt for told in a.told(note.RoundStarted)}
    assert 0 < len(to_the_victim(world)) <= UNVALIDATED_DATAGRAMS * len(attempts)


@pytest.mark.parametrize("said", ["nothing", "forged"])
@pytest.mark.parametrize("nats", CELLS)
def test_a_server_cannot_order_it_without_the_peer(nats: tuple[str, str], said: str) -> None:
    """It names a victim, and says in the peer's name that it agrees."""
    world, a, b = a_world(nats)

    def change(message: m.Message) -> list[m.Message]:
        if isinstance(message, m.StartRound) and message.method == METHODS[1]:
            hello = m.SendHello(9, message.attempt, message.round, 1 if message.role == "a" else 2)
            agree = m.Agree(message.attempt, message.round, bytes(16))
            agreed = [agree] if said == "forged" else []
            return [*names_the_victim(message), *agreed, hello]
        return [] if isinstance(message, m.Agree) else names_the_victim(message)

    hears(a, change)
    a.start(), b.start()
    world.run(14.0)
    assert len([told for told in a.told(note.RoundStarted) if told.round > 2]) == 1
    attempts = {told.attempt for told in a.told(note.RoundStarted)}
    assert len(to_the_victim(world)) <= MOST_DATAGRAMS * len(attempts)
    assert most_within(10.0, to_the_victim(world)) < guessing.SOCKETS


@pytest.mark.parametrize("nats", CELLS)
def test_a_server_that_lies_to_one_host_makes_nothing_of_the_other_one_s_agreement(
    nats: tuple[str, str],
) -> None:
    """The peer is honest, and agrees to be met where it is."""
    world, a, b = a_world(nats)
    agreed: list[m.Agree] = []

    def change(message: m.Message) -> list[m.Message]:
        agreed.extend([message] if isinstance(message, m.Agree) else [])
        return names_the_victim(message)

    hears(a, change)
    a.start(), b.start()
    world.run(14.0)
    assert [bool(each.mac) for each in agreed] == [True]
    attempts = {told.attempt for told in a.told(note.RoundStarted)}
    assert 0 < len(to_the_victim(world)) <= MOST_DATAGRAMS * len(attempts)
    assert not [each for each in to_the_victim(world) if within_a_round_of_guesses(a, each)]


def is_told_that_it_is_the_victim(client: Client) -> None:
    """The server answers for each address that it announces that it is seen there."""
    feed, (peer,) = client.feed, client.agent.peers.values()

    def lied_to(event: e.Event) -> None:
        match event:
            case e.DatagramArrived(Announced() as answer):
                lie = signed(replace(answer, mapped=VICTIM), peer.direct.announce_key.key)
                event = replace(event, datagram=lie)
        feed(event)

    client.feed = lied_to  # type: ignore[method-assign]


def keeps_no_limit(client: Client) -> None:
    """It takes part in each round of guesses."""
    (peer,) = client.agent.peers.values()
    peer.direct._restraint._probes = NoLimit()


class NoLimit(Probes):
    def begin(self, whole: TrafficBudget, address: str, now: float) -> TrafficBudget:
        del now
        return ProbeBudget(whole, address, -10 * MOST_PROBES)


@pytest.mark.long
@pytest.mark.parametrize("nats", CELLS)
def test_server_and_peer_together_get_no_more_than_the_client_s_own_limits(
    nats: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server lets the pair guess again and again, and names a victim for the peer, which agrees each time."""
    world, a, b = a_world(nats)
    hears(a, names_the_victim)
    is_told_that_it_is_the_victim(b)
    keeps_no_limit(b)
    monkeypatch.setattr(Grants, "ask", lambda *_: 0.0)
    a.start(), b.start()
    world.run(2 * WITHIN)
    sent = to_the_victim(world)
    rounds = [told for told in a.told(note.RoundStarted) if told.round > 2]
    assert len(rounds) > 10
    guesses = [each for each in sent if within_a_round_of_guesses(a, each)]
    assert guessing.SOCKETS <= most_within(WITHIN, guesses) <= MOST_UNPROVEN
    assert most_within(1.0, sent) <= MOST_A_SECOND


def within_a_round_of_guesses(client: Client, packet: Packet) -> bool:
    began = [(at, told.round) for at, told in client.notices if isinstance(told, note.RoundStarted)]
    return [round_ for at, round_ in began if at <= packet.sent_at][-1] > 2


@pytest.mark.parametrize("nats", [*CELLS, ("symmetric", "linux-masquerade")])
def test_neither_router_gets_more_than_1300_entries_nor_any_second_more_than_150_packets(
    nats: tuple[str, str],
) -> None:
    """Nor does it where no port is met: every word that would be let in is lost."""
    world, a, b = a_world(nats)
    aimed: set[Endpoint] = set()

    def would_be_let_in(packet: Packet) -> bool:
        aimed.add(packet.destination)
        return packet.sender != "server" and packet.source in aimed

    a.start(), b.start()
    world.until(lambda: any(told.round > 2 for told in a.told(note.RoundStarted)))
    hosts = [world.net.hosts[name] for name in ("host_a", "host_b")]
    before = [entries(world, host) for host in hosts]
    began = world.clock.now
    world.net.drop(would_be_let_in)
    world.run(10.0)
    for host, earlier in zip(hosts, before, strict=True):
        assert guessing.SOCKETS <= entries(world, host) - earlier <= MOST_PROBES
        said = [
            each
            for each in world.between_peers()
            if each.sender == host.name and each.sent_at >= began
        ]
        assert len(said) >= guessing.SOCKETS
        assert most_within(1.0, said) <= MOST_A_SECOND


def test_a_host_without_room_for_the_sockets_goes_on_with_those_that_it_has() -> None:
    world, a, b = a_world(CELLS[0])
    world.net.drop(lambda packet: isinstance(packet.datagram, Hello) and packet.datagram.round > 2)
    a.start(), b.start()
    world.until(lambda: len(a.sockets) > 40)
    a.host.is_full = True
    world.run(1.0)
    assert 40 < len(a.sockets) < 60
    a.host.is_full = False
    world.run(2.5)
    assert not a.sockets, "closed again"


def test_eight_pairs_behind_one_nat_that_is_half_full_cost_a_bystander_no_packet() -> None:
    """A NAT of 4,096 sessions, 2,048 of them in use; its eight hosts all want a path that takes guesses."""
    world = World(
        nat_a="symmetric", nat_b="EIM+APDF+sessions-4096", r=0.05, p=0.04, methods=METHODS
    )
    shared = world.net.hosts["host_b"]
    pairs = [eighth(world, number, shared) for number in range(8)]
    bystander = Bystander(world, shared)
    for client in (each for pair in pairs for each in pair):
        client.start()
    world.run(260.0)
    guessed = sorted(
        at
        for a, _ in pairs
        for at, told in a.notices
        if isinstance(told, note.RoundStarted) and told.round > 2
    )
    assert len(guessed) == 3, "the others wait for their turn"
    assert min(after - before for before, after in pairwise(guessed)) >= EVERY
    assert sum(a.is_connected for a, _ in pairs) == len(guessed)
    assert [a for a, _ in pairs if not a.is_connected and not a.told(note.GuessDue)] == []
    assert bystander.sent > 4000
    assert bystander.lost == 0


def eighth(world: World, number: int, shared: Host) -> tuple[Client, Client]:
    """A pair: one host behind the shared NAT, the other behind one of its own."""
    name, other = f"b{number}", f"a{number}"
    inside = Host(name, "none", shared.nat.public_address, f"10.0.2.{number + 10}", world.rng)
    inside.nat, inside.address = shared.nat, f"10.0.2.{number + 10}"
    for _ in range(40 * number):  # else the hosts' sockets would all have the same ports
        inside.open(lambda *_: None)
    alone = Host(other, "symmetric", f"203.0.113.{number + 10}", f"10.0.1.{number + 10}", world.rng)
    world.net.hosts |= {name: inside, other: alone}
    return world.client(other, name), world.client(name, other)


class Bystander:
    """A host behind the NAT with 2,048 sessions, each of which sends every 100 s; and a fresh one every second."""

    def __init__(self, world: World, host: Host) -> None:
        self._world, self._host = world, host
        self.sent = self.lost = 0
        for number in range(2048):
            self._speaks(Endpoint("10.0.2.9", 10_000 + number), 100.0 * (number + 1) / 2048)
        self._fresh(1)

    def _speaks(self, socket: Endpoint, after: float) -> None:
        def now() -> None:
            self._sends(socket)
            self._speaks(socket, 100.0)

        clock = self._world.clock
        clock.at(clock.now + after, now)

    def _fresh(self, count: int) -> None:
        def now() -> None:
            self._sends(Endpoint("10.0.2.9", 20_000 + count))
            self._fresh(count + 1)

        clock = self._world.clock
        clock.at(clock.now + 1.0, now)

    def _sends(self, socket: Endpoint) -> None:
        self.sent += 1
        try:
            self._host.nat.outbound(socket, Endpoint("192.0.2.77", 443), self._world.clock.now)
        except NoRoomError:
            self.lost += 1
