"""The rule generator: its text against what each NAT needs. The lab proves that it is true."""

from __future__ import annotations

import re

import pytest

from lab.rules import RouterPorts, rules_for
from nat_traversal.behavior import (
    PRESETS,
    Filtering,
    Mapping,
    NatBehavior,
    Preset,
    Unsolicited,
    preset,
)
from nat_traversal.errors import UsageError

ROUTER = RouterPorts(lan="l0", wan="w0", wan_address="203.0.113.2", lan_host="10.0.1.2")
NATS = [name for name, entry in PRESETS.items() if entry.behavior]
DROPPING = [name for name in NATS if name != "linux-masquerade"]
CONES = [name for name in NATS if name.endswith("-cone")]


def rules(name: str, table: str = "filter") -> list[str]:
    text = rules_for(preset(name), ROUTER).iptables
    match = re.search(rf"\*{table}\n(.*?)COMMIT\n", text, re.DOTALL)
    assert match, text
    return [line[3:] for line in match[1].splitlines() if line.startswith("-A ")]


def test_a_public_host_gets_forwarding_and_nothing_else() -> None:
    ruleset = rules_for(preset("none"), ROUTER)
    assert (ruleset.ipset, ruleset.iptables) == ("", "")
    assert ruleset.sysctls == (("net.ipv4.ip_forward", 1),)


@pytest.mark.parametrize("name", DROPPING)
def test_a_dropping_nat_never_takes_a_strangers_packet_for_itself(name: str) -> None:
    assert "INPUT -i w0 -j DROP" in rules(name)


def test_the_order_sensitive_nat_is_plain_masquerade_with_an_open_input() -> None:
    assert rules("linux-masquerade", "nat") == ["POSTROUTING -o w0 -j MASQUERADE"]
    assert not [rule for rule in rules("linux-masquerade") if rule.startswith("INPUT")]


@pytest.mark.parametrize("name", NATS)
def test_what_is_not_accepted_from_outside_is_dropped_last(name: str) -> None:
    inbound = [rule for rule in rules(name) if rule.startswith("FORWARD -i w0")]
    assert inbound[-1] == "FORWARD -i w0 -j DROP"
    assert all(rule.endswith("-j ACCEPT") for rule in inbound[:-1])


@pytest.mark.parametrize("name", NATS)
def test_every_protocol_is_translated(name: str) -> None:
    outbound = [rule for rule in rules(name, "nat") if rule.startswith("POSTROUTING")]
    assert len(outbound) == 1
    assert " -p " not in outbound[0]


@pytest.mark.parametrize("name", NATS)
def test_only_the_symmetric_nat_picks_random_ports(name: str) -> None:
    assert ("--random-fully" in rules_for(preset(name), ROUTER).iptables) == (name == "symmetric")


@pytest.mark.parametrize(
    ("name", "created", "added", "matched"),
    [
        ("full-cone", "hash:ip,port", "src,src", "dst,dst"),
        ("restricted-cone", "hash:ip,port,ip", "src,src,dst", "dst,dst,src"),
    ],
)
def test_a_wide_filter_is_a_set_keyed_by_the_internal_endpoint(
    name: str, created: str, added: str, matched: str
) -> None:
    assert rules_for(preset(name), ROUTER).ipset == f"create sent {created} timeout 120\n"
    assert f"FORWARD -o w0 -p udp -j SET --add-set sent {added} --exist" in rules(name)
    assert f"FORWARD -i w0 -p udp -m set --match-set sent {matched} -j ACCEPT" in rules(name)
    assert "PREROUTING -i w0 -p udp -j DNAT --to-destination 10.0.1.2" in rules(name, "nat")


@pytest.mark.parametrize("name", ["port-restricted-cone", "symmetric", "linux-masquerade"])
def test_a_narrow_filter_is_connection_tracking_alone(name: str) -> None:
    ruleset = rules_for(preset(name), ROUTER)
    assert ruleset.ipset == ""
    assert "DNAT" not in ruleset.iptables
    assert "--match-set" not in ruleset.iptables


@pytest.mark.parametrize("name", NATS)
def test_mappings_and_filters_expire_together(name: str) -> None:
    ruleset = rules_for(preset(name), ROUTER, lifetime=7)
    sysctls = dict(ruleset.sysctls)
    assert sysctls["net.netfilter.nf_conntrack_udp_timeout"] == 7
    assert sysctls["net.netfilter.nf_conntrack_udp_timeout_stream"] == 7
    assert re.findall(r"timeout (\d+)", ruleset.ipset) in ([], ["7"])


def test_a_lifetime_below_a_second_is_refused() -> None:
    with pytest.raises(UsageError, match="0 seconds: give 1 or more"):
        rules_for(preset("full-cone"), ROUTER, lifetime=0)


@pytest.mark.parametrize(
    "behavior",
    [
        NatBehavior(Mapping.ADDRESS_DEPENDENT, Filtering.ADDRESS_DEPENDENT),
        NatBehavior(Mapping.ADDRESS_AND_PORT_DEPENDENT, Filtering.ENDPOINT_INDEPENDENT),
        NatBehavior(
            Mapping.ENDPOINT_INDEPENDENT,
            Filtering.ENDPOINT_INDEPENDENT,
            Unsolicited.ORDER_SENSITIVE,
        ),
    ],
)
def test_a_behaviour_without_true_rules_is_refused(behavior: NatBehavior) -> None:
    with pytest.raises(UsageError, match="no rules make"):
        rules_for(Preset("other", behavior, ""), ROUTER)


@pytest.mark.parametrize("name", PRESETS)
def test_the_readable_text_holds_everything_that_is_loaded(name: str) -> None:
    ruleset = rules_for(preset(name), ROUTER)
    text = str(ruleset)
    assert ruleset.ipset in text
    assert ruleset.iptables in text
    assert "net.ipv4.ip_forward = 1" in text
