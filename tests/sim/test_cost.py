"""What the ordered handshake costs: in round trips, exactly; in packets, not one more than needed.

R and P are the round trips to the server and between the peers. The newcomer is the host whose
registration comes last; the other one has been waiting. Which of them is A follows from their ids.
"""

from __future__ import annotations

from collections import Counter

import pytest

from nat_traversal.aio.tls import ClientTls, ServerTls
from nat_traversal.machine import notices as note
from nat_traversal.tls import ClientTlsSettings, ServerTlsSettings
from nat_traversal.wire import control
from nat_traversal.wire import messages as m
from nat_traversal.wire.datagrams import Announce, Announced, Confirm, Datagram, Echo, Frame, Hello
from tests.certificates import Authority
from tests.sim.client import Client
from tests.sim.process import connected_at
from tests.sim.stream import End
from tests.sim.world import World

NEAR_PEERS = [
    (1 / 16, 1 / 32),
    (1 / 8, 1 / 64),
    (1 / 32, 1 / 32),
    (1 / 64, 1 / 128),
    (3 / 16, 1 / 8),
]
"""R and P with P < 2 R, and everything well below the interval of repetitions."""
FAR_PEERS = [(1 / 64, 1 / 16), (1 / 128, 1 / 4)]
"""P > 2 R: the order of HELLO 3 comes before HELLO 2 is heard."""


def waiting_then_newcomer(
    newcomer: str,
    r: float,
    p: float,
    nat: str = "none",
    tls: tuple[ClientTls, ServerTls] | None = None,
) -> tuple[World, Client]:
    """A world in which one host has waited for 40 s, and the other starts in this very moment."""
    world = World(r=r, p=p, nat_a=nat, nat_b=nat, tls=tls)
    waiter = "host_a" if newcomer == "host_b" else "host_b"
    world.client(waiter, newcomer).start()
    world.run(40.0)
    assert world.clock.now == 40.0
    return world, world.client(newcomer, waiter).start()


def by_role(world: World) -> tuple[Client, Client]:
    a, b = sorted(world.clients, key=lambda client: client.host.name)
    return a, b


def said(end: End | None) -> list[m.Message | m.UnknownMessage]:
    assert end is not None
    return [control.decode(line) for line in b"".join(end.written).splitlines()]


@pytest.mark.parametrize("newcomer", ["host_a", "host_b"])
@pytest.mark.parametrize(("r", "p"), NEAR_PEERS)
def test_established_after_two_server_and_one_peer_round_trip(
    newcomer: str, r: float, p: float
) -> None:
    world, client = waiting_then_newcomer(newcomer, r, p)
    world.run(10.0)
    a, b = by_role(world)
    began = 40.0  # the TCP connect; the registration is sent one R later
    assert client.control is not None
    registration_sent = began + r
    assert connected_at(b) == registration_sent + 2 * r + p == began + 3 * r + p
    assert connected_at(a) == connected_at(b) + p / 2


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[ClientTls, ServerTls]:
    folder = tmp_path_factory.mktemp("tls")
    authority = Authority.new()
    server = authority.issue("server.example")
    files = server.certificate_file(folder / "server.crt"), server.key_file(folder / "server.key")
    trusted = ClientTlsSettings(ca=authority.issued.certificate_file(folder / "ca.crt"))
    return ClientTls.of(trusted, "server.example"), ServerTls.of(ServerTlsSettings(*files))


@pytest.mark.parametrize("newcomer", ["host_a", "host_b"])
@pytest.mark.parametrize(("r", "p"), NEAR_PEERS)
def test_tls_costs_one_server_round_trip_more_and_no_datagram(
    newcomer: str, r: float, p: float, tls: tuple[ClientTls, ServerTls]
) -> None:
    """With real TLS on the virtual wires, and its checks: 4 R + 1 P from the TCP connect."""
    world, client = waiting_then_newcomer(newcomer, r, p, tls=tls)
    world.run(4.0)
    a, b = by_role(world)
    assert client.control is not None
    assert client.control.tls is not None
    assert client.control.tls.version == "TLSv1.3"
    assert connected_at(b) == 40.0 + 4 * r + p
    assert connected_at(a) == connected_at(b) + p / 2
    datagrams = Counter(type(packet.datagram) for packet in world.net.log)
    assert (datagrams[Hello], datagrams[Confirm]) == (3, 1)


def test_tls_to_a_server_far_away_is_waited_for(tls: tuple[ClientTls, ServerTls]) -> None:
    """TCP and TLS have 10 s each, the registration its own: 5 s of round trip take half of that."""
    world = World(r=5.0, tls=tls)
    client = world.client("host_a", "host_b").start()
    world.run(16.0)
    assert client.time_of(note.RegisteredAtServer) == 3 * 5.0
    assert client.told(note.ServerLost) == []


@pytest.mark.parametrize("newcomer", ["host_a", "host_b"])
@pytest.mark.parametrize(("r", "p"), FAR_PEERS)
def test_peers_far_from_each_other_keep_the_bound(newcomer: str, r: float, p: float) -> None:
    """HELLO 3 goes out on order, before HELLO 2 is heard: A has its proof earlier than through B."""
    world, _ = waiting_then_newcomer(newcomer, r, p)
    world.run(10.0)
    a, b = by_role(world)
    assert connected_at(b) == 40.0 + 3 * r + p
    assert connected_at(a) == 40.0 + 4 * r + p < connected_at(b) + p / 2
    sent = Counter(type(packet.datagram) for packet in world.between_peers())
    assert (sent[Hello], sent[Confirm]) == (4, 3)


@pytest.mark.parametrize("nat", ["none", "full-cone", "restricted-cone", "port-restricted-cone"])
def test_nats_of_the_same_round_cost_the_same(nat: str) -> None:
    r, p = NEAR_PEERS[0]
    world, _ = waiting_then_newcomer("host_b", r, p, nat)
    world.run(10.0)
    _, b = by_role(world)
    assert connected_at(b) == 40.0 + 3 * r + p


def test_both_cold_at_once_cost_no_more() -> None:
    r, p = NEAR_PEERS[0]
    world = World(r=r, p=p)
    a, b = world.pair()
    world.run(10.0)
    assert (connected_at(b), connected_at(a)) == (3 * r + p, 3 * r + 1.5 * p)


@pytest.mark.parametrize("newcomer", ["host_a", "host_b"])
@pytest.mark.parametrize(("r", "p"), NEAR_PEERS)
def test_four_datagrams_between_the_peers(newcomer: str, r: float, p: float) -> None:
    world, _ = waiting_then_newcomer(newcomer, r, p)
    world.run(4.0)  # not yet a keepalive
    a, b = by_role(world)
    at = {client.host.name: client.path.remote for client in (a, b)}
    assert [
        (packet.sender, packet.destination, readable(packet.datagram))
        for packet in world.between_peers()
        if not isinstance(packet.datagram, Frame)
    ] == [
        ("host_a", at["host_a"], "round 1, HELLO 1"),
        ("host_b", at["host_b"], "round 1, HELLO 2, heard"),
        ("host_a", at["host_a"], "round 1, HELLO 3, heard"),
        ("host_b", at["host_b"], "round 1, CONFIRM"),
    ]
    first_frame = [isinstance(p.datagram, Frame) for p in world.between_peers()].index(True)
    assert first_frame == 4, "frames come after CONFIRM"


def readable(datagram: Datagram) -> str:
    """What can be read of a handshake's datagram without a key."""
    match datagram:
        case Hello(round=round_, step=step, heard=heard, copy=0):
            return f"round {round_}, HELLO {step}{', heard' if heard else ''}"
        case Confirm(round=round_, answer_wanted=False, copy=0):
            return f"round {round_}, CONFIRM"
    return repr(datagram)


def test_every_datagram_and_every_message_is_counted() -> None:
    r, p = NEAR_PEERS[0]
    world = World(r=r, p=p)
    waiter = world.client("host_a", "host_b").start()
    world.run(10.0)
    newcomer = world.client("host_b", "host_a").start()
    world.run(4.0)
    datagrams = Counter(
        type(packet.datagram)
        for packet in world.net.log
        if not isinstance(packet.datagram, Frame)  # they come after the last of these
    )
    assert datagrams == {Announce: 2, Announced: 2, Echo: 2, Hello: 3, Confirm: 1}

    assert [type(message) for message in said(waiter.control)] == [
        m.Register, m.HelloSent, m.Established, m.HelloSent,
    ]  # fmt: skip
    assert [type(message) for message in said(newcomer.control)] == [
        m.Register, m.HelloSent, m.Established,
    ]  # fmt: skip
    to_waiter, to_newcomer = (said(end) for end in world.server.ends.values())
    assert [type(message) for message in to_waiter] == [
        m.Registered, m.PeerStatus, m.PeerStatus, m.StartRound, m.SendHello, m.Validated,
        m.SendHello,
    ]  # fmt: skip
    assert [type(message) for message in to_newcomer] == [
        m.Registered, m.PeerStatus, m.StartRound, m.SendHello,
    ]  # fmt: skip


def test_waiting_costs_one_announce_in_fifteen_seconds() -> None:
    world = World()
    world.client("host_a", "host_b").start()
    world.run(61.0)
    announces = [packet for packet in world.net.log if isinstance(packet.datagram, Announce)]
    assert [packet.sent_at for packet in announces[:2]] == [world.r, 2 * world.r + 15.0]
    assert len(announces) == 1 + 4
