"""The machines against what nobody thought of: strangers' octets, and faults in any order. `make fuzz` goes on longer."""

from __future__ import annotations

from functools import partial

from hypothesis import given
from hypothesis import strategies as st

from nat_traversal.machine import notices as note
from nat_traversal.wire import control, datagrams
from nat_traversal.wire.endpoint import Endpoint
from tests.fuzzing import of_a_world
from tests.sim import test_chaos
from tests.sim.server import SERVER, Raw
from tests.sim.world import World
from tests.unit.wire.test_control import messages
from tests.unit.wire.test_datagrams import datagrams as any_datagram

_R, _P = 0.0625, 0.03125
lines = st.one_of(
    st.binary(max_size=5000),
    st.lists(messages, max_size=4).map(lambda several: b"".join(map(control.encode, several))),
)
strangers = st.lists(
    st.tuples(st.floats(0, 0.4), lines, any_datagram, st.integers(40_000, 40_002)), max_size=6
)


@given(strangers)
@of_a_world()
def test_whatever_strangers_send_a_pair_connects_as_fast_as_without_them(
    sent: list[tuple[float, bytes, datagrams.Datagram, int]],
) -> None:
    world = World(r=_R, p=_P)
    outside = world.net.hosts["host_c"]
    socket = outside.open(lambda data, source: None)
    victims = [world.net.hosts[name].address for name in ("host_a", "host_b")]

    def strike(octets: bytes, datagram: datagrams.Datagram, port: int) -> None:
        Raw(world).send(octets)
        for target in (SERVER, *(Endpoint(address, port) for address in victims)):
            world.net.send_from_host(outside, socket, target, datagrams.encode(datagram))

    for at, octets, datagram, port in sent:
        world.clock.at(at, partial(strike, octets, datagram, port))
    a, b = world.pair()
    world.run(10.0)
    assert a.is_connected
    assert b.is_connected
    assert max(each.time_of(note.PathEstablished) for each in (a, b)) == 3 * _R + 1.5 * _P
    assert [len(each.told(note.PathEstablished)) for each in (a, b)] == [1, 1]
    assert world.carries_data(a, b)
    assert world.carries_data(b, a)


@given(st.integers(40, 2**63))
@of_a_world()
def test_a_pair_recovers_from_faults_in_any_order(seed: int) -> None:
    test_chaos.test_pair_recovers_from_any_sequence_of_faults(seed)
