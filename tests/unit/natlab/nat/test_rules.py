"""The rule generator: its text against what each NAT needs. The lab proves that it is true."""

from __future__ import annotations

import re

import pytest

from nat_traversal.errors import UsageError
from natlab.behavior import NINE
from natlab.nat.rules import RouterPorts, rules_for
from natlab.presets import PRESETS, REAL_WORLD, preset

ROUTER = RouterPorts(lan="l0", wan="w0", wan_address="203.0.113.2", lan_host="10.0.1.2")
FLAGGED = (
    "EIM+EIF+hairpin-external-source",
    "EIM+ADF+hairpin-internal-source",
    "EIM+APDF+absolute+3s",
    "APDM+APDF+sequential+inbound-refresh",
    "APDM+EIF+hairpin-external-source",
    "APDM+APDF+hairpin-internal-source",
    "ADM+EIF+block-per-host+reject",
    "EIM+APDF+evict+sessions-1024+background-20",
    "EIM+EIF+tcp-apdm+tcp-eif+no-crossing-syn+syn-icmp",
    "EIM+APDF+random+icmp-closes+no-fragments+port-parity+alg",
)
EVERY = [*PRESETS, *REAL_WORLD, *NINE, *FLAGGED]
BLOCKED = ["udp-blocked", "tcp-only"]
TRANSLATING = [name for name in EVERY if name not in {"none", "linux-masquerade", *BLOCKED}]


def chain(name: str, called: str) -> list[str]:
    """The rules of one chain of the NAT `name`, without the line that hooks it."""
    text = rules_for(preset(name), ROUTER).nft
    match = re.search(rf"\tchain {called} {{\n(.*?)\n\t}}", text, re.DOTALL)
    assert match, text
    return [line.strip() for line in match[1].splitlines() if " hook " not in line]


def kept(name: str, called: str) -> str:
    """What a map or set is keyed by."""
    match = re.search(rf" {called} {{\n\s*typeof (.*)\n", rules_for(preset(name), ROUTER).nft)
    assert match
    return match[1]


def test_a_public_host_gets_forwarding_and_nothing_else() -> None:
    ruleset = rules_for(preset("none"), ROUTER)
    assert (ruleset.nft, ruleset.iptables) == ("", "")
    assert ruleset.sysctls == (("net.ipv4.ip_forward", 1),)


def test_the_order_sensitive_nat_is_plain_iptables_masquerade_with_an_open_input() -> None:
    ruleset = rules_for(preset("linux-masquerade"), ROUTER)
    assert ruleset.nft == ""
    assert [line for line in ruleset.iptables.splitlines() if line.startswith("-A")] == [
        "-A FORWARD -i w0 -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT",
        "-A FORWARD -i w0 -j DROP",
        "-A POSTROUTING -o w0 -j MASQUERADE",
    ]


@pytest.mark.parametrize("name", TRANSLATING)
def test_every_rule_that_translates_is_scoped_to_an_interface(name: str) -> None:
    for called in ("inbound", "destination", "source", "learn"):
        assert [
            rule for rule in chain(name, called) if not re.match('(i|o)ifname "(w0|l0)" ', rule)
        ] == []


@pytest.mark.parametrize("name", [*TRANSLATING, *BLOCKED])
def test_what_is_not_accepted_from_outside_is_dropped(name: str) -> None:
    assert 'iifname "w0" drop' in chain(name, "forward")
    assert 'iifname "w0" drop' in chain(name, "input")


@pytest.mark.parametrize("name", [*TRANSLATING, *BLOCKED])
def test_every_other_protocol_is_translated(name: str) -> None:
    assert chain(name, "source")[-1] == 'oifname "w0" snat ip to 203.0.113.2'


def test_a_network_without_udp_drops_it_both_ways_before_all_else() -> None:
    assert chain("udp-blocked", "forward")[0] == "meta l4proto udp drop"
    assert chain("tcp-only", "forward")[0] == "meta l4proto != tcp drop"


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("EIM+EIF", "ip saddr . udp sport : udp sport"),
        ("ADM+EIF", "ip saddr . udp sport . ip daddr : udp sport"),
        ("APDM+EIF", "ip saddr . udp sport . ip daddr . udp dport : udp sport"),
    ],
)
def test_the_mapping_table_is_keyed_by_what_the_mapping_depends_on(name: str, key: str) -> None:
    assert kept(name, "mapped") == key


@pytest.mark.parametrize("mapping", ["EIM", "ADM", "APDM"])
def test_filters_are_keyed_by_the_mapped_port(mapping: str) -> None:
    into = "ct zone set @nh,176,16 map @zone_at accept"
    exact = f"udp dport . ip saddr . udp sport @sent {into}"
    known = ["ip daddr != 203.0.113.2 goto refuse", "udp dport != @owned goto refuse"]
    assert chain(f"{mapping}+EIF", "admit") == [*known, exact, into, "goto refuse"]
    assert chain(f"{mapping}+ADF", "admit") == [
        *known,
        exact,
        f"udp dport . ip saddr @permitted {into}",
        "goto refuse",
    ]
    assert chain(f"{mapping}+APDF", "admit") == [*known, exact, "goto refuse"]


@pytest.mark.parametrize("name", TRANSLATING)
def test_what_is_refused_is_rejected_only_where_the_nat_says_so(name: str) -> None:
    behavior = preset(name).behavior
    rejects = behavior is not None and behavior.unsolicited == "reject"
    assert chain(name, "refuse") == ["reject with icmp port-unreachable" if rejects else "drop"]


@pytest.mark.parametrize("name", TRANSLATING)
def test_hairpin_rules_are_there_only_where_the_nat_hairpins(name: str) -> None:
    behavior = preset(name).behavior
    assert behavior
    inwards = [rule for rule in chain(name, "destination") if rule.startswith('iifname "l0"')]
    rewritten = [rule for rule in chain(name, "source") if 'oifname "l0"' in rule]
    assert len(inwards) == (behavior.hairpin != "no-hairpin")
    assert [rule for rule in inwards if "ip daddr 203.0.113.2 " not in rule] == []
    assert len(rewritten) == (behavior.hairpin == "hairpin-external-source")
    apart = [rule for rule in chain(name, "inbound") if rule.endswith(" goto hairpin")]
    assert len(apart) == len(inwards)


def test_only_a_preserving_nat_asks_for_the_inside_port_first() -> None:
    for name, first in (
        ("EIM+EIF", "jump claim"),
        ("symmetric", "meta mark != 0 jump throw"),
        ("cgnat", "meta mark != 0 jump throw"),
        ("EIM+EIF+sequential", "meta mark != 0 jump search"),
    ):
        rules = chain(name, "translate")
        assert rules[rules.index("meta mark set 1") + 1] == first


@pytest.mark.parametrize("name", TRANSLATING)
def test_a_port_is_given_to_the_one_packet_that_is_the_first_to_claim_it(name: str) -> None:
    once = "limit rate over 1/week burst 1 packets"
    assert chain(name, "claim") == [f"add @owned {{ udp sport {once} }} return", "meta mark set 0"]
    ways = [called for called in ("throw", "draw") if f"chain {called} {{" in text_of(name)]
    assert "draw" in ways
    assert [called for called in ways if chain(name, called)[-1] != "jump claim"] == []


@pytest.mark.parametrize(
    ("name", "ports"), [("EIM+EIF", 64512), ("EIM+EIF+sequential", 64512), ("cgnat", 1024)]
)
def test_every_port_is_tried_before_a_packet_is_lost(name: str, ports: int) -> None:
    tries = 1
    called = "search"
    while called != "draw":
        rules = chain(name, called)
        (below,) = {rule.removeprefix("meta mark != 0 jump ") for rule in rules}
        tries, called = tries * len(rules), below
    assert tries >= ports
    rules = chain(name, "translate")
    assert rules[rules.index("meta mark != 0 jump search") + 1] == "meta mark != 0 drop"


def test_sequential_ports_come_from_one_count() -> None:
    text = text_of("EIM+EIF+sequential")
    assert text.count("numgen inc mod 64512 offset 1024") == 1
    assert "numgen random" not in text


def test_each_block_has_a_count_of_its_own() -> None:
    assert text_of("cgnat").count("meta mark set numgen inc mod 1024 offset 1024") == 16
    (counts,) = re.findall(r"vmap {(.*?)}", text_of("cgnat"))
    assert len(set(re.findall(r"jump (count_\d+)", counts))) == 16


@pytest.mark.parametrize("name", TRANSLATING)
def test_errors_are_looked_up_where_the_datagram_they_quote_was(name: str) -> None:
    """Connection tracking finds a quoted datagram in its mapping's zone only."""
    errors = [rule for rule in chain(name, "inbound") if "icmp type" in rule]
    assert [rule.split()[1] for rule in errors] == ['"w0"', '"l0"']
    assert errors[0].endswith("ct zone set @th,224,16 map @zone_at")
    assert kept(name, "zone_at") == "@nh,176,16 : ct zone"
    behavior = preset(name).behavior
    assert behavior
    lifetimes = dict(rules_for(preset(name), ROUTER).sysctls)
    assert lifetimes["net.netfilter.nf_conntrack_udp_timeout"] == behavior.lifetime
    assert lifetimes["net.netfilter.nf_conntrack_udp_timeout_stream"] == behavior.lifetime


def test_a_mapping_made_anew_is_in_another_zone() -> None:
    fresh = "update @zone_of { @nh,96,32 . @nh,160,16 : numgen inc mod 65535 offset 1 }"
    assert chain("EIM+APDF", "outbound")[0] == fresh
    assert chain("EIM+APDF+absolute", "outbound")[0] == fresh.replace("update", "add")


def test_who_rejects_resets_tcp_and_answers_pings_as_openwrt_does() -> None:
    assert chain("home-router", "input")[:3] == [
        'iifname "w0" icmp type echo-request accept',
        'iifname "w0" meta l4proto tcp reject with tcp reset',
        'iifname "w0" meta l4proto != icmp reject with icmp port-unreachable',
    ]
    assert chain("full-cone", "input")[0] == 'iifname "w0" drop'


def text_of(name: str) -> str:
    return rules_for(preset(name), ROUTER).nft


def thrown(name: str) -> list[int]:
    """The bits of a port that the NAT `name` throws by chance."""
    rules = chain(name, "throw")
    return [int(rule.split()[-1]) for rule in rules if rule.startswith("numgen random mod 2 == 1 ")]


def test_blocks_of_ports_do_not_overlap() -> None:
    text = rules_for(preset("cgnat"), ROUTER).nft
    first, again = re.findall(r"ip saddr & 0.0.0.255 map {(.*?)}", text)
    assert first == again
    starts = re.findall(r"0\.0\.0\.(\d+) : (\d+)", first)
    assert starts == [(str(host), str(1024 * host)) for host in range(2, 18)]
    assert sum(thrown("cgnat")) == 1023


def test_a_random_port_is_any_from_1024_on() -> None:
    for name in ("EIM+EIF", "symmetric"):
        assert thrown(name) == [1 << bit for bit in range(16)]
        assert chain(name, "throw")[-2] == "udp sport < 1024 udp sport set udp sport ^ 32768"


@pytest.mark.parametrize("name", TRANSLATING)
def test_no_number_is_taken_for_a_port_which_newer_nft_refuses(name: str) -> None:
    lines = text_of(name).splitlines()
    generated = [line for line in lines if re.search("numgen inc|jhash|symhash", line)]
    assert generated
    assert [
        line
        for line in generated
        if not re.search("meta mark set numgen|@(zone_of|hairpins) {", line)
    ] == []


@pytest.mark.parametrize("name", TRANSLATING)
def test_a_map_is_never_asked_whether_it_has_a_key(name: str) -> None:
    """Linux before 6.5 refuses such a rule (EINVAL from nft_lookup_init)."""
    text = rules_for(preset(name), ROUTER).nft
    maps = set(re.findall(r"\tmap (\w+) {", text))
    asked = {used for verb, used in re.findall(r"(\S+) @(\w+)", text) if verb not in _MAP_VERBS}
    assert maps
    assert not maps & asked


_MAP_VERBS = {"map", "update", "add", "delete"}


@pytest.mark.parametrize(
    ("refresh", "verb", "inbound"),
    [("outbound-refresh", "update", 0), ("inbound-refresh", "update", 1), ("absolute", "add", 0)],
)
def test_memory_is_refreshed_by_the_directions_that_refresh(
    refresh: str, verb: str, inbound: int
) -> None:
    name = f"EIM+APDF+7s+{refresh}"
    learnt = [rule for rule in chain(name, "note") if " @owner_port {" in rule]
    assert len(learnt) == 2
    assert [rule for rule in learnt if f" {verb} @owner_port" not in rule] == []
    text = rules_for(preset(name), ROUTER).nft
    assert set(re.findall(r"timeout (\d+)s", text)) == {"7"}
    assert text.count("update @sent { udp dport . ip saddr . udp sport }") == inbound


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("EIM+EIF+order-sensitive", "order-sensitive is stock Linux"),
        ("EIM+APDF+order-sensitive", "EIM+APDF+order-sensitive+inbound-refresh with a lifetime"),
        ("ADM+ADF+hairpin-external-source", "hairpin-external-source goes with EIM or EIF"),
        ("APDM+ADF+inbound-refresh", "needs a filter no wider than the mapping"),
        ("EIM+ADF+evict+sessions-64", "evict goes with APDF, and with a limit as sessions-4096"),
        ("EIM+APDF+evict", "evict goes with APDF, and with a limit"),
        ("EIM+EIF+arbitrary", "arbitrary needs more than one address, as addresses-2"),
        ("EIM+EIF+no-udp+background-20", "about UDP, which does not pass"),
        ("EIM+APDF+order-sensitive+inbound-refresh+sessions-64", "order-sensitive is stock Linux"),
    ],
)
def test_a_behaviour_without_true_rules_is_refused_with_the_reason(name: str, reason: str) -> None:
    with pytest.raises(UsageError, match=re.escape(reason)):
        rules_for(preset(name), ROUTER)


@pytest.mark.parametrize("name", EVERY)
def test_the_readable_text_holds_everything_that_is_loaded(name: str) -> None:
    ruleset = rules_for(preset(name), ROUTER)
    text = str(ruleset)
    assert ruleset.nft in text
    assert ruleset.iptables in text
    assert "net.ipv4.ip_forward = 1" in text


@pytest.mark.parametrize("name", TRANSLATING)
def test_loading_replaces_the_table_that_was_loaded_before(name: str) -> None:
    first, second, third = rules_for(preset(name), ROUTER).nft.splitlines()[:3]
    assert (first, second, third) == (
        "table ip nat_lab {}",
        "delete table ip nat_lab",
        "table ip nat_lab {",
    )


@pytest.mark.parametrize(
    ("flag", "who"), [("tcp-eif", "tcp dport"), ("tcp-adf", "tcp dport . ip saddr")]
)
def test_only_a_first_segment_makes_a_strangers_connection(flag: str, who: str) -> None:
    inside = "dnat ip to tcp dport map @tcp_address : tcp dport map @tcp_port"
    first = "tcp flags & (fin | syn | rst | ack) == syn"
    rule = f'iifname "w0" ip daddr 203.0.113.2 {first} {who} @tcp_open {inside}'
    assert chain(f"EIM+EIF+{flag}", "tcp_destination") == [rule]
    assert 'iifname "w0" meta l4proto tcp ct status dnat accept' in chain(
        f"EIM+EIF+{flag}", "forward"
    )


def test_without_flags_of_tcp_no_rule_is_added_for_it() -> None:
    assert "tcp_" not in rules_for(preset("EIM+EIF"), ROUTER).nft


@pytest.mark.parametrize("flag", ["tcp-apdm", "tcp-eif", "tcp-adf"])
def test_tcp_of_a_nat_with_several_addresses_is_refused_where_a_port_does_not_tell(
    flag: str,
) -> None:
    with pytest.raises(UsageError, match=f"{flag} goes with one address"):
        rules_for(preset(f"EIM+EIF+{flag}+addresses-2"), ROUTER)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("EIM+EIF+icmp-closes", "icmp-closes goes with ADF or APDF"),
        ("EIM+APDF+no-udp+icmp-closes", "and with UDP"),
        ("EIM+APDF+no-icmp-errors+icmp-closes", "an error that is dropped closes nothing"),
        ("EIM+APDF+sequential+port-parity", "port-parity goes with random or preserving"),
        ("EIM+APDF+alg+addresses-2", "alg goes with UDP, and with one address"),
    ],
)
def test_quirks_that_do_not_go_together_are_refused(text: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        rules_for(preset(text), ROUTER)


@pytest.mark.parametrize("flag", ["tcp-eif", "syn-drop", "no-crossing-syn", "alg", "no-fragments"])
def test_stock_linux_has_no_such_flags(flag: str) -> None:
    with pytest.raises(UsageError, match="order-sensitive is stock Linux"):
        rules_for(preset(f"EIM+APDF+order-sensitive+inbound-refresh+{flag}"), ROUTER)
