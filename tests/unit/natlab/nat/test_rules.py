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
        assert all(re.match(r'(i|o)ifname "(w0|l0)" ', rule) for rule in chain(name, called))


@pytest.mark.parametrize("name", [*TRANSLATING, *BLOCKED])
def test_what_is_not_accepted_from_outside_is_dropped(name: str) -> None:
    assert 'iifname "w0" drop' in chain(name, "forward")
    assert chain(name, "input")[0] == 'iifname "w0" drop'


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
    exact = "udp dport . ip saddr . udp sport @sent accept"
    known = ["ip daddr != 203.0.113.2 goto refuse", "udp dport != @owned goto refuse"]
    assert chain(f"{mapping}+EIF", "admit") == [*known, exact, "goto stranger", "goto refuse"]
    assert chain(f"{mapping}+ADF", "admit") == [
        *known,
        exact,
        "udp dport . ip saddr @permitted goto stranger",
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
    assert all("ip daddr 203.0.113.2 " in rule for rule in inwards)
    assert len(rewritten) == (behavior.hairpin == "hairpin-external-source")
    apart = [rule for rule in chain(name, "inbound") if "ct zone set jhash ip saddr" in rule]
    assert len(apart) == len(rewritten)


def test_only_a_preserving_nat_keeps_a_port_and_only_a_free_one() -> None:
    keep = "udp sport != @owned meta l4proto udp snat ip to 203.0.113.2"
    assert keep in chain("EIM+EIF", "translate")
    for name in ("symmetric", "EIM+EIF+sequential", "cgnat"):
        assert keep not in chain(name, "translate")


def thrown(name: str) -> list[int]:
    """The bits of a port that the NAT `name` throws by chance."""
    rules = chain(name, "choose")
    return [int(rule.split()[-1]) for rule in rules if rule.startswith("numgen random mod 2 == 1 ")]


def test_blocks_of_ports_do_not_overlap() -> None:
    text = rules_for(preset("cgnat"), ROUTER).nft
    (first,) = re.findall(r"ip saddr & 0.0.0.255 map {(.*?)}", text)
    starts = re.findall(r"0\.0\.0\.(\d+) : (\d+)", first)
    assert starts == [(str(host), str(1024 * host)) for host in range(2, 18)]
    assert sum(thrown("cgnat")) == 1023


def test_a_random_port_is_any_from_1024_on() -> None:
    for name in ("EIM+EIF", "symmetric"):
        assert thrown(name) == [1 << bit for bit in range(16)]
        assert chain(name, "choose")[-1] == "udp sport < 1024 udp sport set udp sport ^ 32768"


@pytest.mark.parametrize("name", TRANSLATING)
def test_no_number_is_taken_for_a_port_which_newer_nft_refuses(name: str) -> None:
    assert not re.search(
        r"(sport set|:) (numgen|jhash|symhash)", rules_for(preset(name), ROUTER).nft
    )


@pytest.mark.parametrize("name", TRANSLATING)
def test_a_map_is_never_asked_whether_it_has_a_key(name: str) -> None:
    """Linux before 6.5 refuses such a rule (EINVAL from nft_lookup_init)."""
    text = rules_for(preset(name), ROUTER).nft
    maps = set(re.findall(r"\tmap (\w+) {", text))
    asked = {used for verb, used in re.findall(r"(\S+) @(\w+)", text) if verb not in _MAP_VERBS}
    assert maps
    assert not maps & asked


_MAP_VERBS = {"map", "update", "add"}


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
    assert all(f" {verb} @owner_port" in rule for rule in learnt)
    text = rules_for(preset(name), ROUTER).nft
    assert set(re.findall(r"timeout (\d+)s", text)) == {"7"}
    assert text.count("update @sent { udp dport . ip saddr . udp sport }") == inbound


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("EIM+EIF+order-sensitive", "order-sensitive is stock Linux"),
        ("EIM+APDF+order-sensitive", "EIM+APDF+order-sensitive+inbound-refresh with a lifetime"),
        ("ADM+ADF+hairpin-external-source", "hairpin-external-source goes with EIM or EIF"),
        ("APDM+APDF+absolute", "absolute goes with EIM and preserving only"),
        ("EIM+APDF+random+absolute", "absolute goes with EIM and preserving only"),
        ("APDM+ADF+inbound-refresh", "needs a filter no wider than the mapping"),
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
