"""Whether a server sees its clients, or a proxy in front of it."""

from __future__ import annotations

import pytest

from nat_traversal.machine import events as e
from nat_traversal.machine import notices as note
from nat_traversal.server.hidden import HiddenClients
from nat_traversal.wire import messages as m
from nat_traversal.wire.endpoint import Endpoint
from tests.unit.counterpart import some_keys
from tests.unit.server.rig import Rig, offer_of

PUBLIC, GATEWAY = "192.0.2.2", "172.17.0.1"


@pytest.mark.parametrize(
    ("comes", "told"),
    [
        ([("a", GATEWAY, PUBLIC), ("b", GATEWAY, PUBLIC)], GATEWAY),
        ([("a", "127.0.0.1", PUBLIC)], "127.0.0.1"),
        ([("a", "::/64", "2001:db8::2")], "::/64"),
        ([("a", "fd00:1::/64", "2001:db8::2"), ("b", "fd00:1::/64", "2001:db8::2")], "fd00:1::/64"),
        ([("a", GATEWAY, PUBLIC), ("a", GATEWAY, PUBLIC)], None),
        ([("a", "203.0.113.2", PUBLIC), *[(x, GATEWAY, PUBLIC) for x in "bc"]], None),
        ([("a", GATEWAY, PUBLIC), ("b", "10.0.0.7", PUBLIC), ("c", GATEWAY, PUBLIC)], None),
        ([("a", "203.0.113.2", PUBLIC), ("b", "203.0.113.2", PUBLIC)], None),
        ([(x, GATEWAY, "192.168.1.5") for x in "abc"], None),
        ([(x, "127.0.0.1", "127.0.0.1") for x in "abc"], None),
        ([*[("l", "127.0.0.1", "127.0.0.1")], *[(x, GATEWAY, PUBLIC) for x in "bc"]], GATEWAY),
        ([("a", "", PUBLIC), ("b", GATEWAY, "")], None),
    ],
)  # fmt: skip
def test_one_address_that_is_not_the_clients_own_is_told(
    comes: list[tuple[str, str, str]], told: str | None
) -> None:
    watch = HiddenClients()
    said = [each for each in (watch.registered(*one) for one in comes) if each is not None]
    assert [each.source for each in said] == ([] if told is None else [told])
    assert watch.registered("z", GATEWAY, PUBLIC) is None or told is None, "once"


def test_server_tells_its_operator() -> None:
    rig = Rig()
    for number, key in enumerate(some_keys("a", "b", "c"), 1):
        rig.feed(e.ControlOpened(number, Endpoint(GATEWAY, 40_000 + number)))
        wish = m.Register(1, (2,), f"host_{number}", "host_x", key, 1, offer_of(1), via=PUBLIC)
        rig.feed(e.ControlReceived(wish, number))
    assert [each for each in rig.notices if isinstance(each, note.ClientsHidden)] == [
        note.ClientsHidden(GATEWAY, PUBLIC)
    ]
