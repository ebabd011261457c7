"""The server's relay: every pair carries data, and none is lost when the datagrams move to a better path."""

from __future__ import annotations

import itertools

import pytest

from nat_traversal.client.control_link import LinkState
from nat_traversal.machine import actions as do
from nat_traversal.machine import events as e
from nat_traversal.machine import notices as note
from nat_traversal.settings import ServerSettings
from nat_traversal.wire import messages as m
from nat_traversal.wire.datagrams import Frame, Hello, Kind
from nat_traversal.wire.relayed import Link
from natlab.behavior import NINE
from natlab.oracle.outcome import Outcome
from natlab.oracle.predict import predict
from tests.seeds import every, seeds
from tests.sim.client import Client
from tests.sim.network import Packet, Weather
from tests.sim.server import SERVER, Raw
from tests.sim.world import World

PAIRS = every(4, list(itertools.product(NINE, repeat=2)))
CLOSED = ("APDM+APDF", "APDM+APDF")
"""Two NATs between which no direct path opens."""
SWAPPED = ("port-restricted-cone", "linux-masquerade")
"""Connected in round 2."""
LATE = ServerSettings(swap_within=3.0)
"""Round 2 comes some seconds after the relay."""
EVERY = 0.01


class Stream:
    """Numbered datagrams from one client to the other, as long as a path carries at the sender."""

    def __init__(self, sender: Client, receiver: Client, *, every: float = EVERY) -> None:
        self.sender, self.receiver = sender, receiver
        self.every = every
        self.sent: list[int] = []
        self.first_at: float | None = None
        self._arrived: list[int] = []
        self._next()

    @property
    def arrived(self) -> list[int]:
        """Those that have come so far, in order."""
        fresh = self.receiver.delivered[len(self._arrived) :]
        self._arrived += [int(plain[5:]) for plain in fresh]
        return self._arrived.copy()

    def _next(self) -> None:
        clock = self.sender.world.clock
        if self.sender.selected is not None and not self.sender.is_stopped:
            number = len(self.sent)
            self.sender.send_frame(Kind.DATA, b"01234%d" % number)
            self.sent.append(number)
            if self.first_at is None:
                self.first_at = clock.now
        clock.at(clock.now + self.every, self._next)


def assert_all_arrived(*streams: Stream) -> None:
    """Each datagram once; all but those that are on their way now."""
    for stream in streams:
        arrived = stream.arrived
        assert len(arrived) == len(set(arrived)), "delivered twice"
        on_their_way = int(2 * stream.sender.world.r / stream.every) + 2
        missing = set(stream.sent[:-on_their_way]) - set(arrived)
        assert stream.sent
        assert not missing


def methods(client: Client) -> list[str]:
    return [told.method for told in client.told(note.PathEstablished)]


@seeds(1)
@pytest.mark.parametrize(("nat_a", "nat_b"), PAIRS)
def test_every_pair_carries_data_both_ways(nat_a: str, nat_b: str, seed: int) -> None:
    world = World(nat_a=nat_a, nat_b=nat_b, seed=seed, relaying=m.Relaying.AUTO)
    a, b = world.pair()
    streams = Stream(a, b, every=0.1), Stream(b, a, every=0.1)
    world.run(8.0)  # an attempt; one more second, and the relay is there
    is_direct = predict(nat_a, nat_b).outcome is Outcome.CONNECTED
    for client in (a, b):
        assert methods(client)[-1] == ("ordered-hello" if is_direct else "relay")
    assert_all_arrived(*streams)


@seeds(1)
@pytest.mark.parametrize(("nat_a", "nat_b"), [pair for pair in PAIRS if predict(*pair).round == 1])
def test_a_pair_that_connects_soon_sees_nothing_of_the_relay(
    nat_a: str, nat_b: str, seed: int
) -> None:
    world = World(nat_a=nat_a, nat_b=nat_b, seed=seed, relaying=m.Relaying.AUTO)
    a, b = world.pair()
    world.connect(a, b)
    world.run(5.0)
    assert world.server.rendezvous.counters["relays-begun"] == 0
    assert not any(isinstance(packet.datagram, Link) for packet in world.net.log)


def test_datagrams_flow_one_second_and_two_round_trips_after_both_came() -> None:
    r = 1 / 16
    world = World(nat_a=CLOSED[0], nat_b=CLOSED[1], r=r, relaying=m.Relaying.AUTO)
    streams = [Stream(*pair) for pair in itertools.permutations(world.pair())]
    world.run(5.0)
    registered = 1.5 * r  # connected after R, and half an R until the server knows
    for stream in streams:
        assert stream.first_at is not None
        assert stream.first_at <= registered + 1.0 + 2 * r + 2 * EVERY


@pytest.mark.parametrize("relaying", [m.Relaying.AUTO, m.Relaying.EARLY])
@pytest.mark.parametrize("weather", [Weather(), Weather(loss=0.1, jitter=0.02)])
def test_nothing_is_lost_when_datagrams_move_to_the_direct_path(
    relaying: m.Relaying, weather: Weather
) -> None:
    """Under loss only the network may lose: a number that did arrive at the other's NAT is not lost later."""
    nat_a, nat_b = SWAPPED
    world = World(nat_a=nat_a, nat_b=nat_b, relaying=relaying, weather=weather, settings=LATE)
    a, b = world.pair()
    streams = Stream(a, b), Stream(b, a)
    world.until(lambda: all(client.told(note.PathMoved) for client in (a, b)))
    world.run(1.0)
    for stream in streams:
        stream.every = 0.1
    world.clock.run_to(25.0)
    for client in (a, b):
        assert methods(client) == ["relay", "ordered-hello"]
        (moved,) = client.told(note.PathMoved)
        assert moved.method == "ordered-hello"
        assert len(client.sockets) == 1, "the relay's socket is closed"
    if weather == Weather():
        assert_all_arrived(*streams)
    for stream in streams:
        assert len(stream.arrived) == len(set(stream.arrived)) > 0.7 * len(stream.sent)
    assert world.server.rendezvous.counters["relays-begun"] == 1


def test_a_relay_that_comes_after_round_2_is_given_back() -> None:
    world = World(nat_a=SWAPPED[0], nat_b=SWAPPED[1], relaying=m.Relaying.AUTO)
    a, b = world.pair()
    streams = Stream(a, b), Stream(b, a)
    world.run(10.0)
    for client in (a, b):
        assert methods(client) == ["ordered-hello"], "a relay that carries nothing is not told"
        assert not client.told(note.PathMoved)
        assert len(client.sockets) == 1, "the relay's socket is closed"
    assert not world.server.rendezvous.relays
    assert_all_arrived(*streams)


def test_the_old_way_receives_for_three_seconds_more() -> None:
    world = World(nat_a=SWAPPED[0], nat_b=SWAPPED[1], relaying=m.Relaying.EARLY)
    a, b = world.pair()
    world.until(lambda: bool(a.told(note.PathMoved)) and bool(b.told(note.PathMoved)))
    world.run(2.9)
    assert len(a.sockets) == len(b.sockets) == 2
    world.run(0.5)
    assert len(a.sockets) == len(b.sockets) == 1


def test_the_direct_path_must_carry_the_base_size_before_datagrams_move() -> None:
    """Only small frames pass between the hosts: the relay goes on."""

    def is_large(packet: Packet) -> bool:
        datagram = packet.datagram
        is_direct = packet.sender != "server" and packet.destination != SERVER
        return is_direct and isinstance(datagram, Frame) and len(datagram.octets) > 500

    nat_a, nat_b = SWAPPED
    world = World(nat_a=nat_a, nat_b=nat_b, relaying=m.Relaying.AUTO, settings=LATE)
    world.net.drop(is_large)
    a, b = world.pair()
    streams = Stream(a, b, every=0.1), Stream(b, a, every=0.1)
    world.run(30.0)
    assert not a.told(note.PathMoved)
    assert not b.told(note.PathMoved)
    assert not a.told(note.PathLost)
    assert_all_arrived(*streams)


def test_datagrams_fall_back_to_the_relay_when_the_direct_path_dies() -> None:
    world = World(nat_a="full-cone", nat_b="full-cone", relaying=m.Relaying.AUTO)
    a, b = world.pair()
    world.connect(a, b)
    world.run(10.0)
    world.net.drop(lambda packet: packet.sender != "server" and packet.destination != SERVER)
    world.run(45.0)
    for client in (a, b):
        assert client.way.method == "relay"
        assert client.selected is not None
    assert world.carries_data(a, b)
    assert world.carries_data(b, a)


@pytest.mark.parametrize("unwilling", ["host_a", "host_b"])
def test_a_host_that_takes_no_relay_has_none_and_the_other_hears_why(unwilling: str) -> None:
    world = World(nat_a=CLOSED[0], nat_b=CLOSED[1], relaying=m.Relaying.AUTO)
    clients = [
        world.client(
            *ids, relaying=m.Relaying.NEVER if ids[0] == unwilling else m.Relaying.AUTO
        ).start()
        for ids in (("host_a", "host_b"), ("host_b", "host_a"))
    ]
    world.run(12.0)
    for client in clients:
        assert client.told(note.AttemptFailed)
        assert methods(client) == []
        told = [each.code for each in client.told(note.RelayTold)]
        assert set(told) == (set() if client.host.name == unwilling else {"relay-unwanted"})
    assert world.server.rendezvous.counters["relays-begun"] == 0


def test_a_server_without_relays_says_so() -> None:
    world = World(
        nat_a=CLOSED[0],
        nat_b=CLOSED[1],
        relaying=m.Relaying.AUTO,
        settings=ServerSettings(relay_pairs=0),
    )
    a, _ = world.pair()
    world.run(12.0)
    assert a.told(note.RelayTold)[0].code == m.RelayCode.OFF
    assert a.told(note.AttemptFailed)


def test_a_pair_above_its_rate_is_told_and_the_rest_is_dropped() -> None:
    settings = ServerSettings(relay_datagrams=50.0)
    world = World(nat_a=CLOSED[0], nat_b=CLOSED[1], relaying=m.Relaying.AUTO, settings=settings)
    a, b = world.pair()
    streams = Stream(a, b), Stream(b, a)
    world.run(12.0)
    counters = world.server.rendezvous.counters
    assert counters["relay-slow"] > 500
    assert counters["relay-datagrams"] <= 50 * 13
    assert [each.code for each in a.told(note.RelayTold)].count(m.RelayCode.SLOW) == 2
    assert 300 < sum(len(stream.arrived) for stream in streams) < 50 * 13
    for client in (a, b):
        assert not client.told(note.PathLost), "pings pass all the same"


def test_a_relay_lasts_no_longer_than_the_server_wants_and_another_follows() -> None:
    settings = ServerSettings(relay_most=20.0)
    world = World(nat_a=CLOSED[0], nat_b=CLOSED[1], relaying=m.Relaying.AUTO, settings=settings)
    a, b = world.pair()
    world.run(35.0)
    for client in (a, b):
        assert m.RelayCode.OVER in [each.code for each in client.told(note.RelayTold)]
        assert methods(client) == ["relay", "relay"]
        assert client.selected is not None


def test_an_idle_relay_ends() -> None:
    world = World(nat_a=CLOSED[0], nat_b=CLOSED[1], relaying=m.Relaying.AUTO)
    a, b = world.pair()
    world.run(5.0)
    a.vanish()
    b.vanish()
    world.run(65.0)
    assert world.server.rendezvous.relays == 0


def test_no_hello_goes_through_the_relay_and_the_server_cannot_link() -> None:
    world = World(nat_a=CLOSED[0], nat_b=CLOSED[1], relaying=m.Relaying.AUTO)
    a, b = world.pair()
    world.run(5.0)
    assert methods(a) == methods(b) == ["relay"]
    handed_on = [
        packet.datagram
        for packet in world.net.log
        if packet.sender == "server" and isinstance(packet.datagram, Hello | Link | Frame)
    ]
    assert not any(isinstance(each, Hello) for each in handed_on)
    assert len([each for each in handed_on if isinstance(each, Link)]) <= 5


def test_once_is_content_with_the_relay() -> None:
    world = World(nat_a=CLOSED[0], nat_b=CLOSED[1], relaying=m.Relaying.AUTO)
    a = world.client("host_a", "host_b", once=True).start()
    b = world.client("host_b", "host_a", once=True).start()
    world.run(60.0)
    for client in (a, b):
        assert not client.told(note.AttemptFailed)
        assert client.told(note.NotDirect)
        assert client.selected is not None
    a.stop()
    world.run(1.0)
    (lost,) = b.told(note.PathLost)
    assert lost.reason == "the other side closed it"


def test_a_restarted_server_gives_the_pair_a_relay_again() -> None:
    world = World(nat_a=CLOSED[0], nat_b=CLOSED[1], relaying=m.Relaying.AUTO)
    a, b = world.pair()
    world.run(5.0)
    world.server.stop()
    world.server.restart()
    world.run(60.0)
    for client in (a, b):
        assert client.way.method == "relay"
        assert client.selected is not None
    assert world.carries_data(a, b)


def test_a_relay_that_ends_while_the_server_is_dialled_is_told_by_the_registration() -> None:
    """Nothing may be written before it: found by `python -m tests.exploration.fuzz`."""
    world = World(nat_a=CLOSED[0], nat_b=CLOSED[1], relaying=m.Relaying.AUTO)
    a, b = world.pair()
    world.run(5.0)
    assert a.control is not None
    assert a.selected is not None
    a.control.reset()
    world.until(lambda: a.agent.link.state is LinkState.CONNECTING)
    a.feed(e.FrameOpened(Kind.BYE, b"", a.selected))
    assert len(a.told(note.PathLost)) == 1
    assert a.control.written == []
    world.run(30.0)
    assert world.carries_data(a, b)


@pytest.mark.parametrize("blocked", [("host_a",), ("host_b",), ("host_a", "host_b")])
def test_hosts_whose_udp_is_blocked_meet_at_the_relay_by_tcp(blocked: tuple[str, ...]) -> None:
    world = World(relaying=m.Relaying.AUTO)
    for host in blocked:
        world.net.hosts[host].udp_blocked = True
    a, b = world.pair()
    streams = Stream(a, b, every=0.05), Stream(b, a, every=0.05)
    world.run(20.0)
    for client in (a, b):
        wanted = "relay-tcp" if client.host.name in blocked else "relay"
        assert methods(client) == [wanted]
        assert client.told(note.NotDirect)[0].code == m.Verdict.UDP_BLOCKED
    assert_all_arrived(*streams)
    a.stop()
    world.run(1.0)
    assert b.told(note.PathLost) or b.told(note.PathMoved) == []
    assert not a.streams


def test_a_ticket_opens_a_relay_once_and_a_guessed_one_none() -> None:
    world = World(relaying=m.Relaying.AUTO)
    world.net.hosts["host_a"].udp_blocked = True
    a, _ = world.pair()
    tickets: list[bytes] = []
    carry_out = a._carry_out

    def note_tickets(action: do.Action) -> None:
        if isinstance(action, do.OpenStream):
            tickets.append(action.ticket)
        carry_out(action)

    a._carry_out = note_tickets  # type: ignore[method-assign]
    world.run(5.0)
    assert len(tickets) == 1
    for ticket in (*tickets, bytes(16)):
        thief = Raw(world)
        thief.send(m.RelayJoin(ticket))
        world.run(1.0)
        assert thief.refusals() == [m.ErrorCode.BAD_MESSAGE]
        assert thief.is_ended
