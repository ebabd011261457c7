"""Every NAT of any topology is asked what it is, by itself, and nothing of that stays."""

# ruff: noqa: PLC0415 - only a sandbox imports Mininet, whose code is full of warnings

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from nat_traversal.errors import UsageError
from natlab.errors import NatMismatchError, NetworkError
from natlab.sandbox.netns import in_namespace
from tests.lab import warm

_TIMEOUT = 50.0
TOPOLOGIES = {
    "two_nats,nat_a=symmetric,nat_b=none": {"nat_a": "APDM+APDF", "nat_b": "no NAT"},
    "shared_nat,hosts=3,nat_a=home-router,nat_b=restricted-cone": {
        "nat_a": "EIM+APDF+reject",
        "nat_b": "EIM+ADF",
    },
    # Each carrier is stricter than its home, or wider, or order-sensitive: all are seen as they are.
    "double_nat,nat_a=full-cone,cgn_a=symmetric,nat_b=symmetric,cgn_b=linux-masquerade": {
        "nat_a": "EIM+EIF",
        "cgn_a": "APDM+APDF",
        "nat_b": "APDM+APDF",
        "cgn_b": "EIM+APDF+order-sensitive, answering with ICMP",
    },
    "double_nat,nat_a=linux-masquerade,cgn_a=udp-blocked,nat_b=none,cgn_b=APDM+APDF+reject": {
        "nat_a": "EIM+APDF+order-sensitive, answering with ICMP",
        "cgn_a": "no UDP passes",
        "nat_b": "no NAT",
        "cgn_b": "APDM+APDF+reject",
    },
    "shared_cgn,nat_a=symmetric,nat_b=linux-masquerade,cgn=cgnat": {
        "nat_a": "APDM+APDF",
        "nat_b": "EIM+APDF+order-sensitive, answering with ICMP",
        "cgn": "EIM+EIF",
    },
    "public_peer,nat_a=mobile-carrier": {"nat_a": "APDM+ADF"},
    "multi_homed,nat_a=full-cone,nat_b=ADM+EIF,nat_c=mobile-carrier": {
        "nat_a": "EIM+EIF",
        "nat_b": "ADM+EIF",
        "nat_c": "APDM+ADF",
    },
    "dual_stack,nat_a=symmetric,nat_b=udp-blocked": {
        "nat_a": "APDM+APDF",
        "nat_b": "no UDP passes",
    },
    "nat64,nat_a=restricted-cone,nat_b=none": {"nat_a": "EIM+ADF", "nat_b": "no NAT"},
    "regions,nat_a=mobile-carrier,nat_b=none": {"nat_a": "APDM+ADF", "nat_b": "no NAT"},
    "star,peers=4,nats=symmetric/full-cone/none": {
        "nat_1": "APDM+APDF",
        "nat_2": "EIM+EIF",
        "nat_3": "no NAT",
        "nat_4": "APDM+APDF",
    },
}


def _shown(pid: int, *words: str) -> str:
    with in_namespace(pid):
        return subprocess.run(words, check=True, capture_output=True, text=True).stdout


def _probed(text: str) -> tuple[dict[str, str], list[str]]:
    """What each NAT is seen to be, and what is left of the asking."""
    from natlab.network.loading import load
    from natlab.network.network import standing
    from natlab.probe.network import check_all, probe_all

    with standing(load(text)) as network:

        def configuration(name: str) -> str:
            pid = network.pid(name)
            rows: list[dict[str, Any]] = json.loads(_shown(pid, "ip", "-j", "-4", "address"))
            addresses = [each["local"] for row in rows for each in row["addr_info"]]
            return f"{name}: {addresses} {_shown(pid, 'ip', 'route', 'show', 'table', 'all')}"

        before = [configuration(name) for name in network.names]
        observed = probe_all(network)
        check_all(network, observed)
        left = [each for each in map(configuration, network.names) if each not in before]
        for nat in observed:
            pid = network.pid(nat)
            elements = re.findall(r".* expires .*", _shown(pid, "nft", "list", "ruleset"))
            flows = _shown(pid, "conntrack", "-L", "-p", "udp").splitlines()
            left += [f"{nat}: {each}" for each in elements + flows]
            if network.nat(nat).rules.iptables:
                assert "MASQUERADE" in _shown(pid, "iptables-save")
        return {nat: str(seen) for nat, seen in observed.items()}, left


@pytest.mark.parametrize("text", TOPOLOGIES)
def test_each_nat_is_seen_as_it_is_and_forgets_that_it_was_asked(text: str) -> None:
    assert warm.call(_TIMEOUT, _probed, text) == (TOPOLOGIES[text], [])


def test_every_topology_of_the_lab_is_among_them() -> None:
    here = {text.partition(",")[0] for text in TOPOLOGIES}
    assert here == warm.call(_TIMEOUT, _names)


def _names() -> set[str]:
    from natlab.network.loading import NAMES

    return set(NAMES)


def _with_wrong_rules(text: str, wrong: str, really: str) -> None:
    from natlab.nat.rules import rules_for
    from natlab.network.loading import load
    from natlab.network.network import standing
    from natlab.presets import preset
    from natlab.probe.network import check_all, probe_all

    topology = load(text)
    info = topology.nodeInfo(wrong)
    info["rules"] = rules_for(preset(really), info["nat"].ports)
    with standing(topology) as network:
        check_all(network, probe_all(network))


@pytest.mark.parametrize(
    ("text", "wrong", "really", "seen"),
    [
        ("double_nat", "nat_a", "full-cone", "is EIM+EIF"),
        ("double_nat", "cgn_b", "symmetric", "is APDM+APDF"),
        ("double_nat,cgn_a=symmetric", "cgn_a", "linux-masquerade", "is EIM+APDF+order-sensitive"),
        ("shared_cgn,nat_b=none", "nat_b", "symmetric", "packets leave it from 100.64.1.3"),
        ("shared_cgn", "cgn", "none", "packets leave it from 100.64.1.2"),
        ("star,peers=3", "nat_3", "udp-blocked", "cannot be probed: did not arrive"),
    ],
)
def test_a_nat_with_other_rules_than_its_own_is_named_wherever_it_is(
    text: str, wrong: str, really: str, seen: str
) -> None:
    with pytest.raises((NatMismatchError, NetworkError)) as caught:
        warm.call(_TIMEOUT, _with_wrong_rules, text, wrong, really)
    said = str(caught.value).partition("\n")[0]
    assert said.startswith(f"{wrong}: this NAT is not" if "cannot" not in seen else f"{wrong} ")
    assert seen in said


OWN = """
from mininet.topo import Topo

from natlab.nat.rules import RouterPorts
from natlab.network.base import LabTopo


class Own(LabTopo):
    '''A LAN switch without default routes on it, a WAN switch, and 198.18.255.0/24 in use.'''

    def build(self, nat="restricted-cone", spare="198.18.255.0/24", lan="host"):
        self.add_internet({"internet-x": [spare.replace(".0/", ".1/")]})
        wan = spare.replace(".0/", ".9/")
        ports = RouterPorts("gate-lan", "gate-wan", wan.partition("/")[0], "10.0.0.77")
        self.add_nat("gate", nat, ports, {"gate-lan": ["10.0.0.1/8"], "gate-wan": [wan]}, [])
        self.addSwitch("s1")
        self.addSwitch("s2")
        self.addLink("s1", "gate", intfName2="gate-lan")
        if lan == "host":
            self.addHost("h", ip="10.0.0.2/8")
            self.addLink("h", "s1")
        self.addLink("s2", "gate", intfName2="gate-wan")
        self.addLink("s2", "internet", intfName2="internet-x")
"""


def _own(directory: Path, parameters: str = "") -> str:
    path = directory / "own.py"
    path.write_text(OWN, encoding="utf-8")
    return f"{path}:Own{parameters}"


def test_a_nat_in_a_topology_of_ones_own_is_asked_without_routes_or_hosts_of_the_lab_s(
    tmp_path: Path,
) -> None:
    assert warm.call(_TIMEOUT, _probed, _own(tmp_path)) == ({"gate": "EIM+ADF"}, [])


def test_a_wrong_nat_in_a_topology_of_ones_own_is_noticed(tmp_path: Path) -> None:
    with pytest.raises(NatMismatchError, match=r"gate: this NAT is not restricted-cone: .* EIM"):
        warm.call(_TIMEOUT, _with_wrong_rules, _own(tmp_path), "gate", "full-cone")


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        (",lan=empty", "gate cannot be probed: nobody on its LAN side has an address in its net"),
        (",spare=198.18.0.0/16", "no NAT can be probed here: leave a /24 of 198.18.0.0/16 free"),
    ],
)
def test_a_nat_that_cannot_be_asked_is_told_with_the_reason(
    tmp_path: Path, parameters: str, words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        warm.call(_TIMEOUT, _probed, _own(tmp_path, parameters))
