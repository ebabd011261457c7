"""Each preset is what it is called, and an impostor is noticed, on this machine's kernel."""

# ruff: noqa: PLC0415 - only a sandbox imports Mininet, whose code is full of warnings

from __future__ import annotations

import re
import socket

import pytest

from nat_traversal.wire.behavior import Filtering, Mapping
from natlab.behavior import NINE, Unsolicited
from natlab.errors import NatMismatchError
from natlab.nat.ruleset import Firewall
from natlab.presets import PRESETS, preset
from natlab.probe.observe import Observation, check
from tests.lab import warm
from tests.lab.impostors import DNAT, DROP_INPUT, SNAT, impostor, replace_nat_a

_TIMEOUT = 40.0


def _observe(
    nat_a: str, nat_b: str, firewall: Firewall = Firewall.NFTABLES
) -> tuple[Observation, Observation]:
    from natlab.probe.network import probe_all
    from natlab.topologies.two_nats import two_nats_network

    with two_nats_network(nat_a, nat_b, firewall) as network:
        found = probe_all(network)
        return found["nat_a"], found["nat_b"]


def _observe_impostor(name: str, iptables: str) -> Observation:
    """NAT a is called `name`, has a second address, and these rules instead of its own."""
    from natlab.probe.network import probe_nat
    from natlab.topologies.two_nats import two_nats_network

    with two_nats_network(name, "none") as network:
        replace_nat_a(network, iptables)
        return probe_nat(network, "nat_a")


@pytest.mark.parametrize("name", [*PRESETS, *NINE])
def test_each_preset_is_what_it_is_called_on_either_side(name: str) -> None:
    for observed in warm.call(_TIMEOUT, _observe, name, name):
        check(preset(name), observed)


@pytest.mark.parametrize("name", PRESETS)
def test_each_classic_preset_is_what_it_is_called_as_iptables_too(name: str) -> None:
    for observed in warm.call(_TIMEOUT, _observe, name, name, Firewall.IPTABLES):
        check(preset(name), observed)


@pytest.mark.parametrize(
    ("name", "mapping", "filtering", "unsolicited"),
    [
        ("full-cone", "endpoint-independent", "endpoint-independent", "drop"),
        ("restricted-cone", "endpoint-independent", "address-dependent", "drop"),
        ("port-restricted-cone", "endpoint-independent", "address-and-port-dependent", "drop"),
        ("symmetric", "address-and-port-dependent", "address-and-port-dependent", "drop"),
        (
            "linux-masquerade",
            "endpoint-independent",
            "address-and-port-dependent",
            "order-sensitive",
        ),
    ],
)
def test_what_the_probes_see_behind_each_nat(
    name: str, mapping: str, filtering: str, unsolicited: str
) -> None:
    observed, public = warm.call(_TIMEOUT, _observe, name, "none")
    assert (observed.mapping, observed.filtering) == (Mapping(mapping), Filtering(filtering))
    assert observed.unsolicited is Unsolicited(unsolicited)
    assert observed.translated
    assert observed.closed_until_sent
    assert observed.silent == (unsolicited == "drop")
    assert not public.translated
    assert not public.closed_until_sent


def test_the_evidence_shows_the_port_move_that_an_order_sensitive_nat_makes() -> None:
    order_sensitive, dropping = warm.call(
        _TIMEOUT, _observe, "linux-masquerade", "port-restricted-cone"
    )
    for observed, moves in ((order_sensitive, True), (dropping, False)):
        first, stranger, second = [
            probe for probe in observed.probes if probe.question == "after a stranger"
        ]
        assert (first.source, stranger.source) == (second.source, second.target)
        assert stranger.target == first.seen_as
        assert not stranger.arrived
        assert (second.seen_as != first.seen_as) is moves


@pytest.mark.parametrize("called", PRESETS)
@pytest.mark.parametrize("really", PRESETS)
def test_no_preset_passes_for_another(called: str, really: str, observations: Observations) -> None:
    if called == really:
        check(preset(called), observations[really])
        return
    with pytest.raises(NatMismatchError, match=f"this NAT is not {called}: it should be"):
        check(preset(called), observations[really])


Observations = dict[str, Observation]


@pytest.fixture(scope="module")
def observations() -> Observations:
    pairs = (
        ("none", "full-cone"),
        ("restricted-cone", "port-restricted-cone"),
        ("symmetric", "linux-masquerade"),
    )
    return {
        name: observed
        for pair in pairs
        for name, observed in zip(pair, warm.call(_TIMEOUT, _observe, *pair), strict=True)
    }


@pytest.mark.parametrize(
    ("name", "iptables", "really"),
    [
        pytest.param(
            "full-cone",
            f"*filter\n{DROP_INPUT}COMMIT\n*nat\n{DNAT}{SNAT}\nCOMMIT\n",
            "EIM+EIF, open before sending",
            id="everything is forwarded inside",
        ),
        pytest.param(
            "restricted-cone",
            impostor(
                filter_rules=f"{DROP_INPUT}-A FORWARD -o nat_a-wan -p udp -m recent --name r --rdest --set\n"
                "-A FORWARD -i nat_a-wan -p udp -m recent --name r --rsource --rcheck -j ACCEPT\n",
                nat_rules=f"{DNAT}{SNAT}\n",
            ),
            "open before sending",
            id="the filter knows addresses but not which endpoint sent to them",
        ),
        pytest.param(
            "port-restricted-cone",
            impostor(
                filter_rules="-A INPUT -i nat_a-wan -p udp -j REJECT\n", nat_rules=f"{SNAT}\n"
            ),
            "EIM+APDF+reject",
            id="unsolicited packets are refused aloud",
        ),
        pytest.param(
            "port-restricted-cone",
            impostor(nat_rules=f"{SNAT}\n"),
            "EIM+APDF+order-sensitive",
            id="unsolicited packets are taken by the router",
        ),
        pytest.param(
            "symmetric",
            impostor(
                filter_rules=DROP_INPUT,
                nat_rules=f"{SNAT} -d 198.18.255.1\n{SNAT.replace('113.2', '113.9')} -d 198.18.255.2\n",
            ),
            "ADM+APDF",
            id="another external address for each remote address",
        ),
        pytest.param(
            "symmetric",
            impostor(filter_rules=DROP_INPUT, nat_rules=f"{SNAT}\n"),
            "EIM+APDF",
            id="a port for everybody",
        ),
    ],
)
def test_the_probes_notice_a_nat_that_is_not_what_it_is_called(
    name: str, iptables: str, really: str
) -> None:
    observed = warm.call(_TIMEOUT, _observe_impostor, name, iptables)
    with pytest.raises(NatMismatchError, match=re.escape(really)):
        check(preset(name), observed)


def test_a_nat_that_sends_from_a_foreign_address_is_noticed() -> None:
    rules = f"*nat\n{SNAT.replace('113.2', '113.9')}\nCOMMIT\n"
    with pytest.raises(
        NatMismatchError, match=r"from 203\.0\.113\.9 and should from 203\.0\.113\.2"
    ):
        warm.call(_TIMEOUT, _observe_impostor, "full-cone", rules)


def _without_checksum(name: str) -> tuple[str, str]:
    """What a server hears of a datagram that its sender gave no checksum, and of one that it gave one."""
    from natlab.sandbox.netns import udp_socket
    from natlab.topologies.two_nats import two_nats_network

    so_no_check = 11  # asm-generic/socket.h
    with (
        two_nats_network(name, "none") as network,
        udp_socket(network.pid("server"), "192.0.2.2", 5000) as server,
        udp_socket(network.pid("host_a"), "10.0.1.2", 4000) as without,
        udp_socket(network.pid("host_a"), "10.0.1.2", 4001) as usual,
    ):
        without.setsockopt(socket.SOL_SOCKET, so_no_check, 1)
        server.settimeout(10)
        heard = []
        for sender, text in ((without, b"without"), (usual, b"with")):
            sender.sendto(text, ("192.0.2.2", 5000))
            heard.append(server.recv(100).decode())
        first, second = heard
        return first, second


@pytest.mark.parametrize("name", ["symmetric", "cgnat", "EIM+EIF+sequential"])
def test_a_first_datagram_without_a_checksum_arrives(name: str) -> None:
    """Writing a port into it makes one that is wrong (RFC 768: zero means that there is none)."""
    assert warm.call(_TIMEOUT, _without_checksum, name) == ("without", "with")
