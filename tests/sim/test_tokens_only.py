"""The holder of an id where keys cannot tell: the holder is asked whether it lives."""

from __future__ import annotations

from nat_traversal.machine import notices as note
from nat_traversal.settings import ClientSettings, ServerSettings
from nat_traversal.wire import messages as m
from tests.sim.client import Client
from tests.sim.offers import register
from tests.sim.server import Raw
from tests.sim.world import World

SERVER_SETTINGS = ServerSettings()
SETTINGS = ClientSettings()
SAME_ID = register()
ASKED = SERVER_SETTINGS.challenge_within + SERVER_SETTINGS.longest_round_trip


def holder(world: World) -> Client:
    client = world.client("host_a", "host_b").start()
    world.run(1.0)
    assert client.told(note.RegisteredAtServer)
    return client


def contender(world: World) -> Client:
    """A second process, on another machine, with the same id."""
    return world.client("host_a", "host_b", host="host_c").start()


def registration(number: int) -> m.Register:
    """Of one id, each of a process of its own."""
    return register(key=number.to_bytes(32, "big"))


def pings_to(world: World, connection: int = 1) -> int:
    return b"".join(world.server.ends[connection].written).count(b'"ping"')


def test_living_holder_keeps_its_id_and_the_other_is_told_after_two_round_trips() -> None:
    world = World(bare=True)
    first = holder(world)
    began = world.clock.now
    second = contender(world)
    world.run(0.5)
    assert second.time_of(note.ServerLost) == began + 3 * world.r  # connect, challenge, answer
    assert second.told(note.ServerLost)[0].reason.startswith("the id 'host_a' is in use")
    assert not first.told(note.ServerLost)
    world.connect(first, world.client("host_b", "host_a").start())


def test_holder_without_a_key_is_asked_by_a_server_that_can_check_keys_as_well() -> None:
    world = World()
    keyless = Raw(world)
    keyless.send(register())
    world.run(1.0)
    contender(world)
    world.run(1.0)
    assert [type(each) for each in keyless.received] == [m.Registered, m.PeerStatus, m.Heartbeat]


def test_newcomers_cost_the_holder_one_question_in_five_seconds_however_many_they_are() -> None:
    world = World(bare=True)
    first = holder(world)
    for number in range(2000):
        Raw(world).send(registration(number))
        world.run(0.01)
    assert not first.told(note.ServerLost)
    assert 3 <= pings_to(world) <= 20 / SERVER_SETTINGS.spared_for + 1
    assert world.server.rendezvous.registered == {"host_a"}


def test_holder_that_answers_late_but_within_its_round_trip_above_five_seconds_stays() -> None:
    world = World(bare=True, r=SERVER_SETTINGS.longest_round_trip - 0.0625)
    first = holder_far_away(world)
    for number in range(20):
        Raw(world).send(registration(number))
        world.run(10.0)
    assert not first.told(note.ServerLost)


def holder_far_away(world: World) -> Client:
    client = world.client("host_a", "host_b").start()
    world.run(20.0)
    assert client.told(note.RegisteredAtServer)
    return client


def test_id_of_a_silent_holder_is_free_after_the_question() -> None:
    world = World(bare=True)
    first = holder(world)
    first.vanish()
    began = world.clock.now
    second = contender(world)
    world.until(lambda: bool(second.told(note.RegisteredAtServer)), within=20.0)
    # The question goes on while it gives up and comes back.
    assert began + ASKED < world.clock.now < began + ASKED + SETTINGS.reconnect_first + 5 * world.r
    assert world.server.told(note.HostRefused)[-1].code == m.ErrorCode.REPLACED


def test_not_even_the_same_process_takes_a_living_connection_over_without_the_question() -> None:
    """A stranger may have recorded all that it can show."""
    world = World(bare=True)
    first = holder(world)
    assert first.control is not None
    first.control.is_cut = True
    first.control.on_end("connection reset")
    world.run(5.0)
    assert len(first.told(note.RegisteredAtServer)) == 1
    world.until(lambda: len(first.told(note.RegisteredAtServer)) == 2, within=ASKED)


def test_holder_that_crashes_while_challenged_makes_room_at_once() -> None:
    world = World(bare=True)
    first = holder(world)
    first.vanish()
    second = contender(world)
    world.run(0.5)
    assert not second.told(note.RegisteredAtServer)
    world.server.ends[1].on_end("connection reset")
    world.run(world.r)
    assert second.told(note.RegisteredAtServer)
    world.run(ASKED)
    assert not second.told(note.ServerLost)


def test_contender_that_leaves_at_once_costs_the_holder_nothing() -> None:
    world = World(bare=True)
    first = holder(world)
    raw = Raw(world)
    raw.send(SAME_ID)
    raw.end.close()
    world.run(ASKED + 1.0)
    assert not first.told(note.ServerLost)
    assert world.server.rendezvous.registered == {"host_a"}


def test_one_of_two_contenders_leaves_the_challenge_to_the_other() -> None:
    world = World(bare=True)
    first = holder(world)
    first.vanish()
    leaves, stays = Raw(world), Raw(world)
    for number, raw in enumerate((leaves, stays)):
        raw.send(registration(number))
    world.run(0.5)
    leaves.end.close()
    world.run(ASKED)
    assert isinstance(stays.received[0], m.Registered)


def test_contenders_are_refused_together_when_the_holder_answers() -> None:
    world = World(bare=True)
    first = holder(world)
    contenders = [Raw(world) for _ in range(3)]
    for number, raw in enumerate(contenders):
        raw.send(registration(number))
    world.run(2 * world.r)
    assert [raw.refusals() for raw in contenders] == [[m.ErrorCode.ID_IN_USE]] * 3
    assert not first.told(note.ServerLost)


def test_contender_that_dies_waiting_is_challenged_in_its_turn() -> None:
    """Power cut, reboot, power cut, reboot: the last process must not be refused for good."""
    world = World(bare=True)
    first = holder(world)
    first.vanish()
    second = contender(world)
    world.run(0.5)
    second.vanish()
    third = contender(world)
    world.until(lambda: bool(third.told(note.RegisteredAtServer)), within=3 * ASKED)
    assert world.server.rendezvous.registered == {"host_a"}


def test_of_two_living_contenders_one_gets_the_id_and_keeps_it() -> None:
    world = World(bare=True)
    first = holder(world)
    first.vanish()
    second = contender(world)
    world.run(0.5)
    third = contender(world)
    world.run(5 * ASKED)
    counts = sorted(len(each.told(note.RegisteredAtServer)) for each in (second, third))
    assert counts == [0, 1]
