"""The limits that a client keeps whatever it is ordered."""

from __future__ import annotations

import pytest

from nat_traversal.paths.budget import (
    MOST_ADDRESSES,
    MOST_DATAGRAMS,
    MOST_OCTETS,
    OPENING_DATAGRAMS,
    UNVALIDATED_DATAGRAMS,
    UNVALIDATED_OCTETS,
    Pace,
    Surroundings,
    TrafficBudget,
)
from nat_traversal.settings import ClientSettings
from nat_traversal.wire.datagrams import CONFIRM_OCTETS, HELLO_OCTETS
from nat_traversal.wire.endpoint import Endpoint

VICTIM, OTHER = Endpoint("203.0.113.7", 53), Endpoint("203.0.113.8", 53)
SERVER = Endpoint("192.0.2.2", 6545)


def taken(budget: TrafficBudget, to: Endpoint, times: int = 200, *, opening: bool = False) -> int:
    """How many of so many HELLOs may leave."""
    return sum(budget.take(to, HELLO_OCTETS, is_opening=opening) for _ in range(times))


def test_an_unvalidated_address_gets_ten_datagrams_of_which_five_open() -> None:
    budget = TrafficBudget()
    assert taken(budget, VICTIM, opening=True) == OPENING_DATAGRAMS
    assert taken(budget, VICTIM) == UNVALIDATED_DATAGRAMS - OPENING_DATAGRAMS
    assert not budget.is_spent, "silence: the address may be validated yet"


def test_an_unvalidated_address_gets_no_more_than_a_thousand_octets() -> None:
    budget = TrafficBudget()
    while budget.take(VICTIM, MOST_OCTETS - 1, is_opening=False):
        pass
    assert UNVALIDATED_DATAGRAMS * (MOST_OCTETS - 1) <= UNVALIDATED_OCTETS
    assert UNVALIDATED_DATAGRAMS * max(HELLO_OCTETS, CONFIRM_OCTETS) <= UNVALIDATED_OCTETS


def test_a_validated_address_gets_ninety_on_all_its_ports_together() -> None:
    budget = TrafficBudget()
    budget.validate(VICTIM.address)
    assert taken(budget, VICTIM, 50) == 50
    assert taken(budget, Endpoint(VICTIM.address, 54)) == MOST_DATAGRAMS - 50
    assert budget.is_spent
    assert taken(budget, OTHER) == UNVALIDATED_DATAGRAMS, "each address for itself"


def test_the_longest_honest_attempt_fits() -> None:
    """Role A in one round and B in the other, every word repeated as often as can be."""
    states_that_speak = 4
    most = states_that_speak * (1 + ClientSettings().hello_repeats)
    assert most <= MOST_DATAGRAMS
    assert max(HELLO_OCTETS, CONFIRM_OCTETS) <= MOST_OCTETS


def test_a_longer_datagram_is_no_word_of_a_handshake() -> None:
    budget = TrafficBudget()
    assert not budget.take(VICTIM, MOST_OCTETS + 1, is_opening=False)
    assert budget.is_spent


def test_no_more_addresses_than_a_peer_can_have_get_anything() -> None:
    budget = TrafficBudget()
    for number in range(MOST_ADDRESSES):
        assert taken(budget, Endpoint(f"203.0.113.{number}", 53), 1) == 1
    assert not budget.is_spent
    assert taken(budget, Endpoint("203.0.113.200", 53), 1) == 0
    assert budget.is_spent


@pytest.mark.parametrize(
    ("address", "objection"),
    [
        ("0.0.0.0", "no host can be there"),
        ("0.0.0.1", "no host can be there"),
        ("::", "no host can be there"),
        ("224.0.0.251", "no host can be there"),
        ("ff02::1", "no host can be there"),
        ("::ffff:224.0.0.1", "no host can be there"),
        ("255.255.255.255", "no host can be there"),
        ("240.0.0.1", "no host can be there"),
        ("169.254.169.254", "it is link-local"),
        ("fe80::1", "it is link-local"),
        ("127.0.0.1", "it is this host itself"),
        ("127.9.9.9", "it is this host itself"),
        ("::1", "it is this host itself"),
        ("::ffff:127.0.0.1", "it is this host itself"),
    ],
)
def test_where_no_honest_server_sends(address: str, objection: str) -> None:
    assert Surroundings(SERVER).forbids(Endpoint(address, 40_000)) == objection


def test_port_zero_and_the_servers_own_port_are_no_peer() -> None:
    assert Surroundings(SERVER).forbids(Endpoint("203.0.113.2", 0)) == "no host can be there"
    assert Surroundings(SERVER).forbids(SERVER) == "it is the server's own port"
    assert Surroundings(SERVER).forbids(Endpoint(SERVER.address, 40_000)) is None
    assert Surroundings().forbids(VICTIM) is None


@pytest.mark.parametrize("server", ["127.0.0.1", "127.0.0.9", "::1"])
def test_loopback_is_a_peer_where_the_server_is_on_this_host(server: str) -> None:
    assert Surroundings(Endpoint(server, 6545)).forbids(Endpoint("127.0.0.1", 40_000)) is None


@pytest.mark.parametrize(
    ("server", "mapped", "plausible"),
    [
        ("192.0.2.2", "198.51.100.2", False),
        ("192.0.2.2", None, False),
        (None, None, False),
        ("10.0.0.1", "10.0.0.2", True),
        ("192.168.1.1", None, True),
        ("192.0.2.2", "100.64.1.2", True),
        ("127.0.0.1", "127.0.0.1", True),
    ],
)
def test_private_addresses_are_plausible_in_a_private_network_only(
    server: str | None, mapped: str | None, plausible: bool
) -> None:
    at_server, here = (Endpoint(address, 6545) if address else None for address in (server, mapped))
    around = Surroundings(at_server, here)
    for address in ("10.1.2.3", "192.168.1.9", "fd00::9"):
        assert around.makes_plausible(Endpoint(address, 40_000)) is plausible
    assert around.makes_plausible(VICTIM)


@pytest.mark.parametrize(
    ("own", "address", "plausible"),
    [
        ("10.0.1.2", "10.0.1.3", True),
        ("10.0.1.2", "10.99.1.3", True),
        ("100.64.1.2", "100.64.9.9", True),
        ("fd00::2", "fd00::9", True),
        ("10.0.1.2", "192.168.1.3", False),
        ("10.0.1.2", "100.64.1.3", False),
        ("10.0.1.2", "fd00::9", False),
        ("192.0.2.9", "10.0.1.3", False),
    ],
)
def test_private_addresses_are_plausible_in_the_private_network_of_ones_own(
    own: str, address: str, plausible: bool
) -> None:
    server, mapped = Endpoint("192.0.2.2", 6545), Endpoint("203.0.113.2", 40_000)
    around = Surroundings(server, mapped, hosts=(Endpoint(own, 40_000),))
    assert around.makes_plausible(Endpoint(address, 40_000)) is plausible


def test_a_pace_allows_a_burst_then_one_in_each_interval() -> None:
    pace = Pace(3, 2.0)
    assert [pace.take(10.0) for _ in range(4)] == [0.0, 0.0, 0.0, 2.0]
    assert pace.take(11.0) == 1.0
    assert pace.take(12.0) == 0.0
    assert [pace.take(100.0) for _ in range(4)] == [0.0, 0.0, 0.0, 2.0]


def test_another_interval_counts_from_its_change_on() -> None:
    pace = Pace(1, 1.0)
    assert pace.take(0.0) == 0.0
    pace.change(10.0, 0.5)
    assert pace.take(0.5) == 5.0
    assert pace.take(5.5) == 0.0
