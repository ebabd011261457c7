"""The IPv6 rules of a router: what comes in, and what is translated."""

from __future__ import annotations

from natlab.nat.ipv6 import stateful_firewall
from natlab.terms import Ipv6

PREFIXES = ("fd00:a:1::/64", "2001:db8:a:1::/64")


def test_a_firewall_without_translation_has_no_nat_table() -> None:
    text = stateful_firewall("w0")
    assert "*nat" not in text
    assert text.splitlines()[-2:] == ["-A FORWARD -i w0 -j DROP", "COMMIT"]


def test_nat66_masquerades_what_leaves_and_nothing_else() -> None:
    rules = stateful_firewall("w0", Ipv6.NAT66, *PREFIXES).partition("*nat")[2].splitlines()
    assert [rule for rule in rules if rule.startswith("-A")] == [
        "-A POSTROUTING -o w0 -j MASQUERADE"
    ]


def test_nptv6_maps_one_prefix_to_the_other_both_ways() -> None:
    rules = stateful_firewall("w0", Ipv6.NPTV6, *PREFIXES).partition("*nat")[2].splitlines()
    assert [rule for rule in rules if rule.startswith("-A")] == [
        "-A POSTROUTING -o w0 -s fd00:a:1::/64 -j NETMAP --to 2001:db8:a:1::/64",
        "-A PREROUTING -i w0 -d 2001:db8:a:1::/64 -j NETMAP --to fd00:a:1::/64",
    ]
