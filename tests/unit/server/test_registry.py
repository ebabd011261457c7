"""The server's tables of hosts, and the announces that overtook their registration."""

from __future__ import annotations

from nat_traversal.server.member import Member
from nat_traversal.server.rate import Allowance
from nat_traversal.server.registry import (
    EarlyAnnounce,
    EarlyAnnounces,
    Host,
    Registration,
    Registry,
)
from nat_traversal.server.store import Holder
from nat_traversal.server.trunks import seat
from nat_traversal.wire import messages as m
from nat_traversal.wire.datagrams import handle_of
from nat_traversal.wire.endpoint import Endpoint
from tests.unit.counterpart import an_announce, an_offer, some_keys

KEY, OTHER_KEY = some_keys("host_a", "other")
SOURCE = Endpoint("203.0.113.2", 40_000)


def host(connection: int) -> Host:
    return Host(connection, Allowance(1, 1.0, 0.0), heard_at=0.0)


def admit(registry: Registry, connection: int, name: str, key: bytes) -> Host:
    """A host that is connected, registered and has its id."""
    new = host(connection)
    registry.add(new)
    register = m.Register(1, (2,), name, "host_x", key, 1, an_offer())
    registry.registered(new, Registration(register, Holder(name, "host_x", connection)))
    registry.admit(new, Member(name, connection, 1, 5.0, register.offer))
    return new


def early(key: bytes, generation: int = 1) -> EarlyAnnounce:
    return EarlyAnnounce(an_announce(key, generation=generation), SOURCE, None)


def test_host_is_found_by_connection_id_and_handle_until_it_goes() -> None:
    registry = Registry(kept_handles=2)
    a = admit(registry, 1, "host_a", KEY)
    assert registry.get(1) is registry.with_handle(handle_of(KEY)) is a
    assert (len(registry), set(registry.ids), registry.with_id("host_a")) == (1, {"host_a"}, [a])
    registry.remove(a)
    assert registry.get(1) is registry.with_handle(handle_of(KEY)) is None
    assert registry.with_id("host_a") == []
    assert (len(registry), set(registry.ids)) == (0, set())


def test_oldest_unregistered_passes_over_those_that_have_registered() -> None:
    registry = Registry(kept_handles=2)
    admit(registry, 1, "host_a", KEY)
    assert registry.oldest_unregistered() is None
    second, third = host(2), host(3)
    registry.add(second)
    registry.add(third)
    assert registry.oldest_unregistered() is second
    registry.remove(second)
    assert registry.oldest_unregistered() is third


def test_host_without_its_id_leaves_the_holder_in_the_tables() -> None:
    registry = Registry(kept_handles=2)
    holder, contender = admit(registry, 1, "host_a", KEY), host(2)
    registry.add(contender)
    register = m.Register(1, (2,), "host_a", "host_x", OTHER_KEY, 1, an_offer())
    registry.registered(contender, Registration(register, Holder("host_a", "host_x", 2)))
    registry.remove(contender)
    assert registry.with_id("host_a") == [holder]


def test_handle_is_known_while_its_host_is_here_and_among_the_last_that_went() -> None:
    registry = Registry(kept_handles=2)
    keys = some_keys("1", "2", "3")
    hosts = [admit(registry, n, f"host_{n}", key) for n, key in enumerate(keys)]
    for host_ in hosts:
        assert [key for key in keys if not registry.has_seen(handle_of(key))] == []
        registry.remove(host_)
    assert [registry.has_seen(handle_of(key)) for key in keys] == [False, True, True]


def test_newest_early_announce_of_a_handle_is_taken_once() -> None:
    kept = EarlyAnnounces(most=2, within=2.0)
    kept.keep(early(KEY, generation=1), 0.0)
    kept.keep(early(KEY, generation=2), 1.0)
    assert len(kept) == 1
    assert kept.take(handle_of(KEY), 3.0) == early(KEY, generation=2)
    assert kept.take(handle_of(KEY), 3.0) is None


def test_early_announce_is_too_old_after_its_time() -> None:
    kept = EarlyAnnounces(most=2, within=2.0)
    kept.keep(early(KEY), 0.0)
    assert kept.take(handle_of(KEY), 2.125) is None


def test_oldest_early_announce_makes_room() -> None:
    kept = EarlyAnnounces(most=2, within=2.0)
    first, second, third = some_keys("1", "2", "3")
    for key in (first, second, first, third):
        kept.keep(early(key), 0.0)
    assert len(kept) == 2
    assert kept.take(handle_of(second), 0.0) is None
    assert kept.take(handle_of(first), 0.0) == early(first)
    assert kept.take(handle_of(third), 0.0) == early(third)


def test_rivals_are_on_another_connection_and_the_one_for_the_same_peer_comes_first() -> None:
    registry = Registry(kept_handles=2)
    keys = some_keys("1", "2", "3", "4")
    for pair, peer in enumerate(("host_b", "host_c")):
        held = host(seat(1, pair))
        registry.add(held)
        register = m.Register(1, (2,), "host_a", peer, keys[pair], 1, an_offer())
        registry.registered(held, Registration(register, Holder("host_a", peer, held.connection)))
        registry.admit(held, Member("host_a", held.connection, 1, 5.0, register.offer))
    found = []
    for connection, key in ((2, keys[2]), (seat(1, 9), keys[3])):
        newcomer = host(connection)
        registry.add(newcomer)
        register = m.Register(1, (2,), "host_a", "host_c", key, 1, an_offer())
        registry.registered(
            newcomer, Registration(register, Holder("host_a", "host_c", connection))
        )
        found.append([each.connection for each in registry.rivals(newcomer)])
    assert found == [[seat(1, 1), 1], [seat(1, 1)]]
