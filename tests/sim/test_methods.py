"""A method beyond the contract is used only where both hosts said yes to it."""

from __future__ import annotations

import pytest

from nat_traversal.machine import notices as note
from nat_traversal.wire.methods import MethodName
from tests.sim.world import World

OPENS = {
    MethodName.PREDICTION: ("APDM+APDF+sequential", "EIM+APDF"),
    MethodName.SIMULTANEOUS: ("linux-masquerade", "linux-masquerade"),
    MethodName.LOW_TTL: ("linux-masquerade", "linux-masquerade"),
}
"""A pair of NATs that each method opens, and the contract does not."""


@pytest.mark.parametrize("lacking", ["host_a", "host_b", None])
@pytest.mark.parametrize("method", OPENS)
def test_it_takes_both_hosts(method: MethodName, lacking: str | None) -> None:
    nat_a, nat_b = OPENS[method]
    world = World(nat_a=nat_a, nat_b=nat_b)
    world.net.routers = ("198.18.0.1",)
    clients = [
        world.client(name, other, methods=() if name == lacking else (method.value,)).start()
        for name, other in (("host_a", "host_b"), ("host_b", "host_a"))
    ]
    world.run(5.0)
    for client in clients:
        opened_by = [told.method for told in client.told(note.PathEstablished)]
        assert opened_by == ([] if lacking else [method.value])
        assert bool(client.told(note.AttemptFailed)) is bool(lacking)
