"""A host's own TURN server carries a pair where the server relays nothing, and gives way to a direct path."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nat_traversal.crypto.dh import KeyPair
from nat_traversal.machine import events as e
from nat_traversal.machine import notices as note
from nat_traversal.settings import ServerSettings
from nat_traversal.wire import messages as m
from nat_traversal.wire.endpoint import Endpoint
from nat_traversal.wire.messages import TurnPart
from nat_traversal.wire.relayed import Link
from tests.sim.client import Client
from tests.sim.network import CALM, Weather
from tests.sim.test_relay import CLOSED, SWAPPED, Stream, assert_all_arrived, methods
from tests.sim.turn import ADDRESS
from tests.sim.world import World
from tests.unit.counterpart import an_offer

OFF = ServerSettings(relay_pairs=0)
BOTH = {"host_a": TurnPart.HAS, "host_b": TurnPart.HAS}
ONE = [
    {"host_a": TurnPart.HAS, "host_b": TurnPart.TAKES},
    {"host_a": TurnPart.TAKES, "host_b": TurnPart.HAS},
]
WRONG = "refuses the name or the password"


def pair(
    parts: dict[str, TurnPart],
    nats: tuple[str, str] = CLOSED,
    *,
    settings: ServerSettings = OFF,
    weather: Weather = CALM,
    seed: int = 0,
) -> tuple[World, Client, Client]:
    """Two clients that have just begun, each with its part in TURN."""
    given = {"nat_a": nats[0], "nat_b": nats[1], "relaying": m.Relaying.AUTO}
    world = World(**given, settings=settings, weather=weather, seed=seed)  # type: ignore[arg-type]
    a = world.client("host_a", "host_b", turn=parts["host_a"]).start()
    b = world.client("host_b", "host_a", turn=parts["host_b"]).start()
    return world, a, b


@pytest.mark.parametrize("parts", [*ONE, BOTH])
@pytest.mark.parametrize("weather", [CALM, Weather(loss=0.2, jitter=0.02)])
def test_two_symmetric_nats_carry_data_by_the_turn_server_of_either_host(
    parts: dict[str, TurnPart], weather: Weather
) -> None:
    world, a, b = pair(parts, weather=weather)
    streams = Stream(a, b, every=0.1), Stream(b, a, every=0.1)
    world.run(15.0)
    assert (methods(a)[-1], methods(b)[-1]) == ("turn", "turn")
    if weather is CALM:
        assert_all_arrived(*streams)
    assert len(world.turn.asked) == 1


def test_a_frame_leaves_room_for_what_the_turn_server_adds() -> None:
    world, a, b = pair(ONE[0])
    world.run(5.0)
    for client in (a, b):
        assert [told.size for told in client.told(note.PathSized)] == [1500 - 28 - 4]


def test_the_relay_of_the_server_comes_first() -> None:
    world, a, b = pair(BOTH, settings=ServerSettings())
    world.run(15.0)
    assert (methods(a), methods(b)) == (["relay"], ["relay"])
    assert world.turn.asked == []


@pytest.mark.parametrize("parts", [*ONE, BOTH])
def test_a_turn_server_carries_where_the_relays_of_the_server_are_all_in_use(
    parts: dict[str, TurnPart],
) -> None:
    world, first, second = pair(
        dict.fromkeys(BOTH, TurnPart.NEVER), settings=ServerSettings(relay_pairs=1)
    )
    world.run(5.0)
    assert methods(first) == methods(second) == ["relay"]
    a = world.client("later_a", "later_b", host="host_a", turn=parts["host_a"]).start()
    b = world.client("later_b", "later_a", host="host_b", turn=parts["host_b"]).start()
    streams = Stream(a, b, every=0.1), Stream(b, a, every=0.1)
    world.run(15.0)
    assert (methods(a), methods(b)) == (["turn"], ["turn"])
    assert_all_arrived(*streams)
    assert (len(world.turn.asked), methods(first)) == (1, ["relay"])
    assert a.told(note.RelayTold) == b.told(note.RelayTold) == []


@pytest.mark.parametrize("part", [TurnPart.NEVER, TurnPart.TAKES])
def test_without_a_turn_server_or_a_peer_that_takes_part_there_is_none(part: TurnPart) -> None:
    has = TurnPart.HAS if part is TurnPart.NEVER else part
    world, a, b = pair({"host_a": has, "host_b": part})
    world.run(15.0)
    assert (methods(a), methods(b), world.turn.asked) == ([], [], [])


def test_the_other_host_s_turn_server_is_next_where_the_first_refuses() -> None:
    world, a, b = pair(BOTH)
    world.turn.refuses["host_a"] = WRONG
    world.run(15.0)
    assert world.turn.asked[:2] == ["host_a", "host_b"]
    assert (methods(a), methods(b)) == (["turn"], ["turn"])
    assert (a.told(note.TurnFailed), b.told(note.TurnFailed)) == ([note.TurnFailed(WRONG)], [])


def test_a_refusal_is_told_once_and_the_ladder_goes_on() -> None:
    world, a, b = pair(BOTH)
    world.turn.refuses = dict.fromkeys(BOTH, WRONG)
    world.run(120.0)
    for client in (a, b):
        assert client.told(note.TurnFailed) == [note.TurnFailed(WRONG)]
        assert len(client.told(note.NotDirect)) + len(client.told(note.AttemptFailed)) > 2
    assert len(world.turn.asked) > 2, "asked again with each attempt"


@pytest.mark.parametrize("parts", [*ONE, BOTH])
def test_a_private_address_that_the_peer_cannot_use_is_told_once_by_the_host_of_that_turn_server(
    parts: dict[str, TurnPart],
) -> None:
    world, a, b = pair(parts)
    world.turn.relays_at = Endpoint("172.17.0.2", 50_000)
    world.run(120.0)
    for client in (a, b):
        told = [told.reason for told in client.told(note.TurnFailed)]
        has = parts[client.host.name] is TurnPart.HAS
        assert len(told) == has, told
        assert [
            each
            for each in told
            if "the server relays at 172.17.0.2:50000, a private address" not in each
        ] == []
    assert len(world.turn.asked) > 2, "asked again with each attempt"


def test_datagrams_move_to_a_direct_path_and_the_address_is_given_back() -> None:
    world, a, b = pair(BOTH, SWAPPED, settings=ServerSettings(swap_within=3.0, relay_pairs=0))
    streams = Stream(a, b), Stream(b, a)
    world.run(15.0)
    assert (methods(a), methods(b)) == (["turn", "ordered-hello"], ["turn", "ordered-hello"])
    assert_all_arrived(*streams)
    assert world.turn.host.sockets == {}


def test_another_address_follows_where_the_turn_server_has_lost_the_first() -> None:
    world, a, b = pair(ONE[0])
    world.run(35.0)
    world.turn.lose(a)
    world.run(1.0)
    assert (methods(a), methods(b)) == (["turn", "turn"], ["turn", "turn"])
    assert a.told(note.TurnFailed) == [note.TurnFailed("it is gone")]


def test_another_network_takes_another_address() -> None:
    world, a, b = pair(ONE[0])
    world.until(lambda: methods(a) == methods(b) == ["turn"])
    a.hand_over("symmetric", "203.0.113.77", "10.0.7.2")
    world.run(40.0)
    streams = Stream(a, b, every=0.1), Stream(b, a, every=0.1)
    world.run(5.0)
    assert_all_arrived(*streams)


@pytest.mark.parametrize("parts", ONE)
@pytest.mark.parametrize("killed", ["host_a", "host_b"])
def test_a_peer_that_is_killed_and_at_once_restarted_is_met_by_turn_within_three_seconds(
    parts: dict[str, TurnPart], killed: str
) -> None:
    world, a, b = pair(parts)
    world.run(12.0)
    dead, left = (a, b) if killed == "host_a" else (b, a)
    dead.crash()
    world.run(0.1)
    again = world.client(killed, left.host.name, turn=parts[killed]).start()
    streams = Stream(again, left), Stream(left, again)
    world.until(lambda: all(stream.arrived for stream in streams), within=3.0)
    assert methods(again) == ["turn"]


def test_a_server_that_lies_about_another_process_of_the_peer_ends_no_turn_path() -> None:
    world, a, b = pair(ONE[0])
    world.run(12.0)
    (peer,) = b.agent.peers.values()
    peer.relayed.met(b"another process!", world.clock.now)
    streams = Stream(a, b, every=0.1), Stream(b, a, every=0.1)
    world.run(10.0)
    assert not b.told(note.PathLost)
    assert_all_arrived(*streams)


def test_an_address_that_answers_nothing_gets_five_small_datagrams() -> None:
    world, _, _ = pair(ONE[0])
    world.net.drop(lambda packet: packet.destination.address == ADDRESS)
    world.run(16.0)
    sent = [each for each in world.net.log if each.destination.address == ADDRESS]
    assert len(sent) == 5
    assert [each for each in sent if not isinstance(each.datagram, Link)] == []
    assert [each for each in world.net.log if each.sender == "turn"] == []


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "169.254.0.1", "224.0.0.1"])
def test_an_address_that_no_honest_server_names_gets_nothing(address: str) -> None:
    world, _, b = pair(ONE[0])
    relayed = b.agent.peers["host_a"].relayed
    world.until(lambda: relayed.is_open)
    (leg,) = relayed._legs
    candidate = m.Candidate("relay", Endpoint(address, 9))
    b.feed(e.ControlReceived(m.TurnAddress(leg.order.relay, candidate)))
    world.run(1.0)
    assert not [each for each in world.net.log if each.destination.address == address]


def test_a_server_that_names_one_turn_server_after_the_other_gets_three_at_once() -> None:
    """Each order takes a fresh key, which this side gives as soon as the path before has ended."""
    world, a, b = pair(ONE[0])
    world.until(lambda: world.turn.asked != [])
    a.vanish()
    victim = m.Candidate("relay", Endpoint("203.0.113.99", 9))
    began, relayed = world.clock.now, b.agent.peers["host_a"].relayed
    for number in range(100, 200):
        for leg in list(relayed._legs):
            b.feed(e.ControlReceived(m.RelayNews(leg.order.relay, m.RelayCode.DONE, "lies")))
        offer = replace(an_offer("host_a"), public=KeyPair.generate(world.rng).public)
        b.feed(e.ControlReceived(m.OpenTurn(number, bytes(16), offer)))
        b.feed(e.ControlReceived(m.TurnAddress(number, victim)))
        world.run(0.01)
    sent = [each for each in world.net.log if each.destination == victim.endpoint]
    assert len(sent) == 3, f"in {world.clock.now - began:.1f} s"
