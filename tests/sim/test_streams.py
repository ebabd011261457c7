"""The server against what a TCP connection can bring; nothing of it may hurt the others."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nat_traversal.machine import notices as note
from nat_traversal.settings import ServerSettings
from nat_traversal.wire import control
from nat_traversal.wire import messages as m
from nat_traversal.wire.control import MAX_LINE
from tests.sim.network import Weather
from tests.sim.offers import PUBLIC, register
from tests.sim.server import Raw
from tests.sim.world import World

SERVER_SETTINGS = ServerSettings()
REGISTER = register("host_c", "host_d")


def served(world: World) -> None:
    """Two proper clients still get their path."""
    world.connect(*world.pair(), within=5.0)


def test_two_lines_in_one_segment_are_two_messages() -> None:
    world = World()
    raw = Raw(world)
    raw.send(control.encode(REGISTER) + control.encode(m.Heartbeat(7)))
    world.run(1.0)
    assert [type(message) for message in raw.received] == [
        m.Registered,
        m.PeerStatus,
        m.HeartbeatAnswer,
    ]


def test_line_in_many_segments_is_one_message() -> None:
    world = World()
    raw = Raw(world)
    for octet in control.encode(REGISTER):
        raw.send(bytes([octet]))
        world.run(0.01)
    world.run(1.0)
    assert isinstance(raw.received[0], m.Registered)


def test_segments_cut_anywhere_change_nothing() -> None:
    for seed in range(20):
        served(World(seed=seed, weather=Weather(segments=True)))


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n",
        b"\n",
        b"\xff\xfe\n",
        b"[1]\n",
        b'{"type":7}\n',
        b'{"type":"register"}\n',
        b"[" * 4000 + b"\n",
        b"x" * MAX_LINE,
        b"{" + b" " * MAX_LINE + b"}\n",
    ],
)
def test_garbage_ends_its_connection_with_a_reason(garbage: bytes) -> None:
    world = World()
    raw = Raw(world)
    raw.send(garbage)
    world.run(1.0)
    assert raw.refusals() == [m.ErrorCode.BAD_MESSAGE]
    assert raw.is_ended
    served(world)


def test_message_behind_garbage_is_not_read() -> None:
    world = World()
    raw = Raw(world)
    raw.send(b"garbage\n" + control.encode(REGISTER))
    world.run(1.0)
    assert [type(message) for message in raw.received] == [m.Refused]
    assert "host_c" not in world.server.rendezvous.registered


@pytest.mark.parametrize("start", [b"", b'{"type":"regis', control.encode(m.Heartbeat(1))])
def test_connection_without_registration_ends_in_time(start: bytes) -> None:
    world = World()
    raw = Raw(world)
    if start:
        raw.send(start)
    world.run(SERVER_SETTINGS.register_within)
    assert not raw.is_ended
    world.run(1.0)
    assert raw.refusals() == [m.ErrorCode.TOO_SLOW]
    assert raw.is_ended


def test_dribbled_octets_buy_no_time() -> None:
    world = World()
    raw = Raw(world)
    for octet in control.encode(REGISTER)[:-1]:
        if not raw.is_ended:
            raw.send(bytes([octet]))
            world.run(0.5)
    assert raw.refusals() == [m.ErrorCode.TOO_SLOW]


def test_nine_idle_connections_block_nobody() -> None:
    world = World()
    idle = [Raw(world) for _ in range(9)]
    served(world)
    world.run(SERVER_SETTINGS.register_within + 1.0)
    assert [raw for raw in idle if raw.refusals() != [m.ErrorCode.TOO_SLOW]] == []


def test_unknown_message_gets_an_error_and_the_connection_stays() -> None:
    world = World()
    raw = Raw(world)
    raw.send(b'{"type":"dance","tempo":120}\n')
    raw.send(REGISTER)
    world.run(1.0)
    refused, registered = raw.received[:2]
    assert refused == m.Refused("unknown-message", "unknown message type 'dance'")
    assert isinstance(registered, m.Registered)
    assert not raw.is_ended


def test_unknown_fields_are_ignored() -> None:
    world = World()
    raw = Raw(world)
    raw.send(control.encode(REGISTER).replace(b"{", b'{"colour":"red",', 1))
    world.run(1.0)
    assert isinstance(raw.received[0], m.Registered)


def test_messages_that_the_state_does_not_allow_are_ignored() -> None:
    world = World()
    raw = Raw(world)
    for message in (m.HelloSent(1), m.Established(1, 1), m.Retry(3, PUBLIC), m.HeartbeatAnswer(1)):
        raw.send(message)
    raw.send(REGISTER)
    for wrong_way in (m.Registered(1, 2, 5.0), m.OpenSocket(3), m.PeerStatus(m.PeerState.LEFT)):
        raw.send(wrong_way)
    world.run(1.0)
    assert [type(message) for message in raw.received] == [m.Registered, m.PeerStatus]
    assert not raw.is_ended


def test_second_registration_on_one_connection_is_refused() -> None:
    world = World()
    raw = Raw(world)
    raw.send(REGISTER)
    raw.send(replace(REGISTER, id="host_e"))
    world.run(1.0)
    assert raw.refusals() == [m.ErrorCode.BAD_MESSAGE]
    assert not world.server.rendezvous.registered


def test_host_that_wants_itself_is_refused() -> None:
    world = World()
    raw = Raw(world)
    raw.send(replace(REGISTER, peer="host_c"))
    world.run(1.0)
    assert raw.refusals() == [m.ErrorCode.BAD_ID]
    assert raw.is_ended


@pytest.mark.parametrize(
    ("versions", "answer"),
    [((2,), m.Registered), ((9, 2), m.Registered), ((1, 3), m.Refused)],
)
def test_version_is_negotiated(versions: tuple[int, ...], answer: type[m.Message]) -> None:
    world = World()
    raw = Raw(world)
    raw.send(replace(REGISTER, versions=versions))
    world.run(1.0)
    first = raw.received[0]
    assert isinstance(first, answer)
    if isinstance(first, m.Registered):
        assert first.version == 2
    else:
        assert raw.refusals() == [m.ErrorCode.UNSUPPORTED_VERSION]
        assert raw.is_ended


def test_flood_ends_its_connection_only() -> None:
    world = World()
    raw = Raw(world)
    raw.send(REGISTER)
    raw.send(control.encode(m.Heartbeat(1)) * (SERVER_SETTINGS.burst + 10))
    served(world)
    assert raw.refusals() == [m.ErrorCode.TOO_FAST]
    assert raw.is_ended


def test_fast_client_within_the_rate_is_served() -> None:
    world = World()
    raw = Raw(world)
    raw.send(REGISTER)
    for _ in range(400):
        raw.send(m.Heartbeat(1))
        world.run(1.01 / SERVER_SETTINGS.rate)
    assert not raw.is_ended


def test_full_table_puts_out_the_oldest_unregistered_first() -> None:
    world = World(settings=ServerSettings(connections=4))
    oldest, younger = Raw(world), Raw(world)
    world.run(1.0)
    served(world)  # two more: full
    newcomer = Raw(world)
    newcomer.send(REGISTER)
    world.run(1.0)
    assert oldest.refusals() == [m.ErrorCode.SERVER_FULL]
    assert not younger.is_ended
    assert isinstance(newcomer.received[0], m.Registered)


def test_table_full_of_registered_hosts_refuses_the_newcomer_until_one_leaves() -> None:
    world = World(settings=ServerSettings(connections=2))
    a, b = world.pair()
    world.connect(a, b)
    refused = Raw(world)
    world.run(1.0)
    assert refused.refusals() == [m.ErrorCode.SERVER_FULL]
    assert refused.is_ended
    assert {a.is_connected, b.is_connected} == {True}
    a.stop()
    world.run(1.0)
    admitted = Raw(world)
    admitted.send(REGISTER)
    world.run(1.0)
    assert isinstance(admitted.received[0], m.Registered)


def test_agent_leaves_a_server_that_sends_garbage_and_comes_back() -> None:
    world = World()
    client = world.client("host_a", "host_b").start()
    world.run(1.0)
    world.server.ends[1].write(b"\x00garbage\n")
    world.run(0.25)
    (lost,) = client.told(note.ServerLost)
    assert lost.reason == "a line must be one JSON object in UTF-8"
    assert lost.retry_in is not None
    world.run(2.0)
    assert len(client.told(note.RegisteredAtServer)) == 2


def test_agent_ignores_what_a_later_server_may_say() -> None:
    world = World()
    a, b = world.pair()
    world.run(1 / 8)
    world.server.ends[1].write(b'{"type":"weather","sun":true}\n')
    world.connect(a, b, within=5.0)
    assert not a.told(note.ServerLost)
