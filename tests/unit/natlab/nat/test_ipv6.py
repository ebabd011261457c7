"""The IPv6 rules of a router: who comes in, and how addresses are translated."""

from __future__ import annotations

from ipaddress import IPv6Address, IPv6Network

import pytest

from nat_traversal.errors import UsageError
from natlab.behavior import parse_behavior
from natlab.nat.ipv6 import outer_prefix, stateful_firewall
from natlab.probe.sockets import internet_checksum
from natlab.terms import Ipv6, Ipv6Filtering

PREFIXES = ("fd00:a:1::/64", "2001:db8:a:cf48::/64")
APDF = Ipv6Filtering.ADDRESS_AND_PORT_DEPENDENT


def test_a_firewall_without_translation_has_no_hook_for_one() -> None:
    text = stateful_firewall("w0")
    assert "type nat" not in text
    assert 'iifname "w0" ct state established,related accept\n\t\tiifname "w0" drop' in text


def test_nat66_masquerades_all_that_leaves() -> None:
    for ipv6, words in (
        (Ipv6.NAT66, "masquerade\n"),
        (Ipv6.NAT66_FRESH, "masquerade fully-random\n"),
    ):
        assert f'oifname "w0" {words}' in stateful_firewall(
            "w0", parse_behavior(f"EIM+APDF+{ipv6}"), *PREFIXES
        )


def test_nptv6_maps_one_prefix_to_the_other_both_ways() -> None:
    text = stateful_firewall("w0", parse_behavior("EIM+APDF+nptv6"), *PREFIXES)
    inside, outside = PREFIXES
    assert f"snat ip6 prefix to ip6 saddr map {{ {inside} : {outside} }}" in text
    assert f"dnat ip6 prefix to ip6 daddr map {{ {outside} : {inside} }}" in text


@pytest.mark.parametrize(
    ("inside", "site", "outside"),
    [
        # The example of RFC 6296 section 3.6.
        ("fd01:203:405:1::/64", "2001:db8:1::/48", "2001:db8:1:d550::/64"),
        ("fd00:a:1::/64", "2001:db8:a::/48", "2001:db8:a:cf48::/64"),
        ("2001:db8:a:7::/64", "2001:db8:a::/48", "2001:db8:a:7::/64"),
        ("fd00:b:1:fffe::/64", "2001:db8:c::/48", "2001:db8:c:cf46::/64"),
    ],
)
def test_an_outer_prefix_keeps_checksums(inside: str, site: str, outside: str) -> None:
    assert outer_prefix(inside, site) == outside
    for host in (2, 0xFFFF_FFFF):
        sums = [
            internet_checksum(IPv6Address(int(IPv6Network(each).network_address) + host).packed)
            for each in (inside, outside)
        ]
        assert sums[0] == sums[1]


def test_one_address_for_all_goes_with_no_wider_filter() -> None:
    for filtering in set(Ipv6Filtering) - {APDF}:
        with pytest.raises(UsageError, match="leads a stranger's packet to no host"):
            stateful_firewall("w0", parse_behavior(f"EIM+APDF+nat66+{filtering}"), *PREFIXES)
