"""A user's own topology file: run by its path, or refused with the one thing that is wrong."""

# ruff: noqa: PLC0415 - only a sandbox imports Mininet, whose code is full of warnings

from __future__ import annotations

import re
from pathlib import Path
from unittest.mock import patch

import pytest

from nat_traversal.errors import UsageError
from tests.lab import warm
from tests.lab.pairs import Pair, start_server, tunnels

_TIMEOUT = 50.0
HEAD = "from mininet.topo import Topo\n"
OWN = """
from natlab.nat.rules import RouterPorts
from natlab.network.base import LabTopo


class Own(LabTopo):
    def build(self, nat="port-restricted-cone"):
        self.add_internet({"internet-x": ["203.0.113.1/24"], "internet-y": ["198.51.100.1/24"]})
        ports = RouterPorts(
            lan="gate-lan", wan="gate-wan", wan_address="203.0.113.9", lan_host="10.9.0.2"
        )
        addresses = {"gate-lan": ["10.9.0.1/24"], "gate-wan": ["203.0.113.9/24"]}
        self.add_nat("gate", nat, ports, addresses, ["default via 203.0.113.1"])
        self.add_host("host_x", {"host_x-eth0": ["10.9.0.2/24"]}, ["default via 10.9.0.1"])
        self.add_host("host_y", {"host_y-eth0": ["198.51.100.7/24"]}, ["default via 198.51.100.1"])
        self.join("host_x-eth0", "gate-lan")
        self.join("gate-wan", "internet-x")
        self.join("host_y-eth0", "internet-y")


topos = {"own": Own}
"""
PLAIN = (
    HEAD
    + '''
from natlab.network.nodes import FORWARDING, LabNode


class Plain(Topo):
    """Two hosts on a switch, a router, and a server with an address on its link."""

    def build(self):
        switch = self.addSwitch("s1")
        for name, ip in (("host_x", "10.1.0.2/24"), ("host_y", "10.1.0.3/24")):
            self.addHost(name, ip=ip, defaultRoute="via 10.1.0.1")
            self.addLink(name, switch)
        addresses = {"r-in": ["10.1.0.1/24"], "r-out": ["192.0.2.1/24"]}
        self.addHost("r", cls=LabNode, role="router", rules=FORWARDING, addresses=addresses)
        self.addLink(switch, "r", intfName2="r-in")
        self.addHost("server", defaultRoute="via 192.0.2.1")
        self.addLink("r", "server", intfName1="r-out", params2={"ip": "192.0.2.2/24"})
'''
)


def _connect(directory: Path, text: str) -> bool:
    from natlab.network.loading import load
    from natlab.network.network import standing
    from natlab.programs.programs import Programs

    pair = Pair("host_x", "host_y")
    with standing(load(text)) as network, Programs(directory) as programs:
        start_server(network, programs)
        with tunnels(network, programs, pair) as made:
            connected = made[pair].verdicts() == {"path-established"}
            return connected and made[pair].carries(b"own")


@pytest.mark.parametrize(
    ("source", "suffix"),
    [(OWN, ""), (OWN, ":own"), (OWN, ":Own,nat=symmetric"), (PLAIN, ":Plain")],
    ids=["the-only-one", "by-key", "class-with-parameter", "plain-mininet"],
)
def test_the_reference_programs_run_in_a_topology_of_ones_own(
    tmp_path: Path, source: str, suffix: str
) -> None:
    path = tmp_path / "own.py"
    path.write_text(source, encoding="utf-8")
    assert warm.call(_TIMEOUT, _connect, tmp_path, f"{path}{suffix}")
    assert not (tmp_path / "__pycache__").exists()


def _load(text: str) -> None:
    from natlab.network.loading import load

    load(text)


def _refusal(text: str) -> str:
    with pytest.raises(UsageError) as caught:
        warm.call(_TIMEOUT, _load, text)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("three_nats", "unknown topology 'three_nats': choose from two_nats, shared_nat"),
        ("/nowhere/own.py", "there is no topology file /nowhere/own.py"),
        ("/nowhere/own.py:Own", "there is no topology file /nowhere/own.py"),
        ("two_nats,nat_a", "'nat_a' is no parameter: give name=value"),
        (
            "two_nats,nat_c=none",
            "topology two_nats has no parameter 'nat_c': it has nat_a, nat_b",
        ),
        ("two_nats,nat_a=none,nat_a=none", "nat_a stands there twice"),
        ("two_nats,nat_a=cone", "unknown NAT 'cone': choose from none, full-cone"),
    ],
)
def test_a_topology_that_is_not_there_is_refused(text: str, words: str) -> None:
    assert words in _refusal(text)


def _topo(*lines: str) -> str:
    body = "".join(f"        {line}\n" for line in lines)
    return f"{HEAD}class T(Topo):\n    def build(self):\n{body}"


TWO = ("self.addHost('server')", "self.addHost('h2')")
WRONG = {
    "syntax": ("def (", "", "cannot be executed: SyntaxError"),
    "raises": ("1 / 0", "", "cannot be executed: ZeroDivisionError: division by zero"),
    "exits": ("raise SystemExit(3)", "", "cannot be executed: SystemExit: 3"),
    "no-topos": ("x = 1", "", "names no topology: add topos = {'name': YourTopo}, or :CLASS"),
    "several": ("topos = {'a': 1, 'b': 2}", "", "has several topologies: add one of :a, :b"),
    "no-such": (_topo("pass"), ":U", "has no topology 'U': it has T"),
    "no-factory": ("topos = {'a': 1}", "", "is no class or function that makes a Topo"),
    "no-topo": ("topos = {'a': dict}", "", "is a dict: it has to be a Mininet Topo"),
    "build-fails": (_topo("self.nothing"), ":T", "cannot be built: AttributeError: 'T' object"),
    "no-server": (
        _topo("self.addHost('h1')", "self.addHost('h2')", "self.addLink('h1', 'h2')"),
        ":T",
        "no server: call one host `server`, or give a LabNode role='server'",
    ),
    "node-class": (
        "from mininet.node import CPULimitedHost\n" + _topo("self.addHost('r', cls=CPULimitedHost)"),
        ":T",
        "r is a CPULimitedHost, whose own config() the lab would not run",
    ),
    "host-option": (_topo("self.addHost('h1', cores=1)"), ":T", "h1 has cores, which the lab cannot"),
    "host-in-root": (
        _topo("self.addHost('h1', inNamespace=False)"),
        ":T",
        "h1 has inNamespace=False: a node of the lab has a network of its own",
    ),
    "switch-class": (
        "from mininet.node import UserSwitch\n" + _topo("self.addSwitch('s1', cls=UserSwitch)"),
        ":T",
        "switch s1 is a UserSwitch: the lab has learning bridges only",
    ),
    "switch-loop": (
        _topo(
            "a, b = self.addSwitch('s1'), self.addSwitch('s2')",
            "self.addLink(a, b)",
            "self.addLink(a, b)",
        ),
        ":T",
        "the link between s1 and s2 closes a loop of switches",
    ),
    "link-option": (
        _topo(*TWO, "self.addLink('server', 'h2', delay='5ms')"),
        ":T",
        "the link between server and h2 has delay: the lab sets conditions of links itself",
    ),
    "link-class": (
        "from mininet.link import TCLink\n" + _topo(*TWO, "self.addLink('server', 'h2', cls=TCLink)"),
        ":T",
        "the link between server and h2 is a TCLink: only Link and LabLink can be made here",
    ),
    "address": (
        _topo("self.addHost('server', ip='10.0.0')", TWO[1], "self.addLink('server', 'h2')"),
        ":T",
        "'10.0.0' is no address: give one like 10.0.0.1/24",
    ),
    "same-name": (
        _topo(*TWO, "self.addLink('server', 'h2', intfName1='x', intfName2='x')"),
        ":T",
        "two interfaces are called x: give each a name of its own",
    ),
    "long-name": (
        _topo(*TWO, "self.addLink('server', 'h2', intfName1='an-endless-name-of-one')"),
        ":T",
        "interface name 'an-endless-name-of-one': Linux takes 1 to 15 bytes",
    ),
    "name": (
        _topo(TWO[0], "self.addHost('../h 2')", "self.addLink('server', '../h 2')"),
        ":T",
        "'../h 2' cannot be a node's name: give letters, digits",
    ),
    "interface": (
        _topo(*TWO, "self.addLink('server', 'h2', intfName1='a/b')"),
        ":T",
        "interface name 'a/b': give letters, digits",
    ),
    "no-link": (_topo(*TWO), ":T", "it has no link: add one between two nodes"),
    "same-address": (
        _topo(
            "self.addHost('server', ip='10.0.0.1/24')",
            "self.addHost('h2', ip='10.0.0.1/24')",
            "one, other = self.addSwitch('s1'), self.addSwitch('s2')",
            *("self.addLink('server', one)", "self.addLink(one, other)", "self.addLink(other, 'h2')"),
        ),
        ":T",
        "h2 and server both have 10.0.0.1 on one network",
    ),
    "same-address-on-a-link": (
        _topo(
            "self.addHost('server', ip='10.0.0.1/24')",
            "self.addHost('h2', ip='10.0.0.1/8')",
            "self.addLink('server', 'h2')",
        ),
        ":T",
        "h2 and server both have 10.0.0.1 on one network",
    ),
    "loose": (        "from natlab.network.nodes import LabNode\n"
        + _topo("self.addHost('server', cls=LabNode, addresses={'e0': ['10.0.0.1/8']})"),
        ":T",
        "server has no link at e0",
    ),
    "unnamed": (
        "from natlab.network.nodes import LabNode\n"
        + _topo("self.addHost('server', cls=LabNode, addresses={})", TWO[1])
        + "        self.addLink('server', 'h2')\n",
        ":T",
        "server has a link at server-eth0, which its addresses do not name",
    ),
}  # fmt: skip


def _load_in(seconds: float, text: str) -> None:
    from natlab.network import loading

    with patch.object(loading, "PATIENCE", seconds):
        loading.load(text)


@pytest.mark.parametrize("source", ["while True: pass", _topo("while True: pass")])
def test_a_file_that_never_comes_to_an_end_is_refused(tmp_path: Path, source: str) -> None:
    path = tmp_path / "own.py"
    path.write_text(source, encoding="utf-8")
    with pytest.raises(UsageError, match=r"own\.py.* cannot be .*: it took over 0\.2 s$"):
        warm.call(_TIMEOUT, _load_in, 0.2, f"{path}:T")


def test_hosts_of_different_networks_may_have_one_address(tmp_path: Path) -> None:
    path = tmp_path / "own.py"
    hosts = (f"self.addHost('h{n}', ip='10.0.0.2/24')" for n in (1, 2))
    links = (f"self.addLink('server', 'h{n}', params1={{'ip': '10.0.0.{n}5/24'}})" for n in (1, 2))
    path.write_text(_topo("self.addHost('server')", *hosts, *links), encoding="utf-8")
    warm.call(_TIMEOUT, _load, f"{path}:T")


@pytest.mark.parametrize("name", WRONG)
def test_each_thing_that_can_be_wrong_has_its_words(tmp_path: Path, name: str) -> None:
    source, suffix, words = WRONG[name]
    path = tmp_path / "own.py"
    path.write_text(source, encoding="utf-8")
    assert re.search(re.escape(words), _refusal(f"{path}{suffix}"))
