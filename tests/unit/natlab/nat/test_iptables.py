"""The iptables and ipset rules: their text against what each NAT needs. The lab proves that it is true."""

from __future__ import annotations

import re

import pytest

from nat_traversal.errors import UsageError
from natlab.nat.rules import Firewall, RouterPorts, RuleSet, rules_for
from natlab.presets import REAL_WORLD, preset

ONE_HOST = RouterPorts(lan="l0", wan="w0", wan_address="203.0.113.2", lan_host="10.0.1.2")
THREE_HOSTS = RouterPorts("l0", "w0", "203.0.113.2", "10.0.1.2", ("10.0.1.3", "10.0.1.4"))


def made(name: str, router: RouterPorts = ONE_HOST) -> RuleSet:
    return rules_for(preset(name), router, Firewall.IPTABLES)


def rules(name: str, router: RouterPorts = ONE_HOST) -> list[str]:
    return [line for line in made(name, router).iptables.splitlines() if line.startswith("-A")]


def test_a_full_cone_is_a_set_of_endpoints_that_have_sent() -> None:
    assert made("full-cone").ipset == "create eif hash:ip,port timeout 120\n"
    assert rules("full-cone") == [
        "-A PREROUTING -i w0 -d 203.0.113.2 -p udp -j DNAT --to-destination 10.0.1.2",
        "-A POSTROUTING -o w0 -j SNAT --to-source 203.0.113.2",
        "-A FORWARD -o w0 -p udp -j SET --add-set eif src,src --exist",
        "-A FORWARD -i w0 -p udp -m set --match-set eif dst,dst -j ACCEPT",
        "-A FORWARD -i w0 ! -p udp -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT",
        "-A FORWARD -i w0 -j DROP",
        "-A INPUT -i w0 -j DROP",
    ]


def test_a_restricted_cone_knows_to_which_address_each_endpoint_has_sent() -> None:
    assert made("restricted-cone").ipset == "create adf hash:ip,port,ip timeout 120\n"
    assert "-A FORWARD -o w0 -p udp -j SET --add-set adf src,src,dst --exist" in rules(
        "restricted-cone"
    )
    let_in = "-A FORWARD -i w0 -p udp -m set --match-set adf dst,dst,src -j ACCEPT"
    assert let_in in rules("restricted-cone")


@pytest.mark.parametrize("name", ["port-restricted-cone", "symmetric"])
def test_who_filters_by_port_lets_in_only_what_connection_tracking_knows(name: str) -> None:
    assert not [rule for rule in rules(name) if "DNAT" in rule]
    (let_in,) = [rule for rule in rules(name) if "-i w0 -p udp" in rule]
    assert let_in == (
        "-A FORWARD -i w0 -p udp -m conntrack --ctstate ESTABLISHED"
        " -m set --match-set adf dst,dst,src -j ACCEPT"
    )


def test_only_a_symmetric_nat_draws_ports() -> None:
    random = "-A POSTROUTING -o w0 -p udp -j MASQUERADE --random-fully"
    assert random in rules("symmetric")
    for name in ("full-cone", "restricted-cone", "port-restricted-cone"):
        assert random not in rules(name)


def test_stock_masquerade_is_the_same_whatever_loads_the_others() -> None:
    for name in ("linux-masquerade", "none"):
        assert made(name) == rules_for(preset(name), ONE_HOST, Firewall.NFTABLES)


def test_a_port_belongs_to_the_host_that_sent_from_it_first() -> None:
    sets = made("full-cone", THREE_HOSTS).ipset.splitlines()
    assert [line.split()[1] for line in sets] == [
        "eif", "taken", "of-10.0.1.2", "of-10.0.1.3", "of-10.0.1.4",
    ]  # fmt: skip
    text = rules("full-cone", THREE_HOSTS)
    inwards = [rule for rule in text if "DNAT" in rule]
    assert [
        re.findall(r"of-(\S+) dst -j DNAT --to-destination (\S+)", rule) for rule in inwards
    ] == [[(host, host)] for host in THREE_HOSTS.hosts]
    refused = [number for number, rule in enumerate(text) if "icmp-admin-prohibited" in rule]
    learnt = [number for number, rule in enumerate(text) if " -j SET " in rule]
    assert len(refused) == 3
    assert refused[0] < learnt[0]
    assert refused[-1] < text.index("-A FORWARD -o w0 -p udp -j SET --add-set taken src --exist")


def test_a_symmetric_nat_shares_nothing_between_hosts() -> None:
    assert made("symmetric", THREE_HOSTS) == made("symmetric", ONE_HOST)


def test_an_element_lives_as_long_as_a_mapping() -> None:
    ruleset = made("EIM+ADF+7s", THREE_HOSTS)
    assert set(re.findall(r"timeout (\d+)", ruleset.ipset)) == {"7"}
    assert dict(ruleset.sysctls)["net.netfilter.nf_conntrack_udp_timeout"] == 7


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("cgnat", "it needs a mapping table of its own, and ipset has no maps"),
        ("ADM+ADF", "it needs a mapping table of its own, and ipset has no maps"),
        ("EIM+EIF+sequential", "it needs a mapping table of its own, and ipset has no maps"),
        ("EIM+APDF+absolute", "its rules are not written"),
        ("EIM+APDF+reject", "its rules are not written"),
        ("udp-blocked", "its rules are not written"),
    ],
)
def test_another_nat_is_refused_with_the_reason(name: str, reason: str) -> None:
    with pytest.raises(UsageError) as refused:
        made(name)
    behavior = preset(name).behavior
    assert str(refused.value) == (
        "iptables makes none, full-cone, restricted-cone, port-restricted-cone, symmetric,"
        f" linux-masquerade alone, not {behavior}: {reason}; nftables does"
    )


@pytest.mark.parametrize("name", [name for name in REAL_WORLD if name != "corporate"])
def test_nats_of_the_world_are_not_among_them(name: str) -> None:
    with pytest.raises(UsageError, match="iptables makes"):
        made(name)


def test_the_readable_text_loads_the_sets_before_the_rules_that_name_them() -> None:
    text = str(made("full-cone"))
    assert text.index("# ipset restore\ncreate eif") < text.index("# iptables-restore\n*nat")
