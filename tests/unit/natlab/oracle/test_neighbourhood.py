"""Where the matrix may put two neighbours: what a user writes, the topology that follows, and the rung."""

from __future__ import annotations

import pytest

from nat_traversal.errors import UsageError
from nat_traversal.wire.methods import MethodName
from natlab.network.loading import load
from natlab.oracle.neighbourhood import CARRIER, NEIGHBOURHOODS, Where, parse_where
from natlab.topologies.shared_cgn import SharedCgn


def _where(text: str) -> Where:
    found = parse_where(text)
    assert found is not None
    return found


def test_the_usual_pair_is_in_no_neighbourhood() -> None:
    assert parse_where("two_nats") is None


def test_a_setting_is_a_nat_by_any_of_its_names() -> None:
    where = _where("shared_cgn,cgn=APDM+APDF")
    assert where.topology("full-cone", "none") == (
        f"shared_cgn,nat_a=full-cone,nat_b=none,cgn={where.settings['cgn']}"
    )
    assert str(where).startswith("shared_cgn,cgn=")


def test_one_nat_stands_in_front_of_both_hosts() -> None:
    assert _where("shared_nat").topology("symmetric", "symmetric") == "shared_nat,nat_a=symmetric"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("star", "choose from two_nats, shared_nat, shared_cgn, dual_stack, ipv6_only, nat64"),
        ("two_nats,nat_a=none", "choose from"),
        ("nonsense", "nat64, regions"),
        ("shared_nat,cgn=none", "it has none"),
        ("shared_cgn,cgn", "it has cgn=NAT"),
        ("shared_cgn,cgn=nonsense", "nonsense"),
    ],
)
def test_what_is_wrong_is_said_with_what_would_be_right(text: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_where(text)
    assert words in str(caught.value)


def test_a_place_may_be_another_s_network_with_words_of_its_own() -> None:
    where = _where("ipv6_only")
    assert where.topology("full-cone", "none") == "dual_stack,nat_a=full-cone,nat_b=none"
    assert str(where) == "ipv6_only"
    assert where.neighbourhood.servers == dict.fromkeys(("host_a", "host_b"), "[2001:db8:5::2]")


@pytest.mark.parametrize("name", NEIGHBOURHOODS)
def test_the_topology_has_both_hosts_in_the_contract_s_order(name: str) -> None:
    neighbourhood = NEIGHBOURHOODS[name]
    nodes = load(_where(name).topology("full-cone", "full-cone")).nodes()
    assert set(neighbourhood.hosts) <= set(nodes)
    assert list(neighbourhood.hosts) == sorted(neighbourhood.hosts)


def test_a_carrier_that_nobody_chose_is_the_topology_s() -> None:
    assert SharedCgn().nodeInfo("cgn")["nat"].preset.name == CARRIER


@pytest.mark.parametrize(
    ("cgn", "nats", "rung"),
    [
        ("symmetric", ("none", "none"), MethodName.HOST),
        ("symmetric", ("none", "full-cone"), MethodName.RELAY),
        ("symmetric", ("full-cone", "full-cone"), MethodName.RELAY),
        ("EIM+EIF+hairpin-external-source", ("none", "none"), MethodName.ORDERED_HELLO),
    ],
)
def test_host_addresses_lead_through_a_carrier_s_network_where_no_home_hides_them(
    cgn: str, nats: tuple[str, str], rung: MethodName
) -> None:
    assert _where(f"shared_cgn,cgn={cgn}").rung(*nats) is rung
