"""Each topology: what its NATs let connect and what they do not, by datagrams through the tunnel."""

# ruff: noqa: PLC0415 - only a sandbox imports Mininet, whose code is full of warnings

from __future__ import annotations

import socket
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from nat_traversal.aio.nat64 import NO_PREFIX
from nat_traversal.errors import UsageError
from natlab.sandbox.netns import in_namespace
from tests import ROOT
from tests.lab import warm
from tests.lab.pairs import PYTHON, Pair, events, prepare, start, start_server, tunnels

_TIMEOUT = 50.0
CONNECTED, FAILED = {"path-established"}, {"attempt-failed"}


def _try(
    directory: Path, module: str, options: dict[str, object], *pairs: Pair
) -> dict[Pair, set[str]]:
    """What the clients of each pair say, all pairs at once; datagrams cross where they say so."""
    from natlab.network.network import standing
    from natlab.programs.programs import Programs

    prepare(len(pairs))
    topology = import_module(f"topologies.{module}").topos[module](**options)
    with standing(topology) as network, Programs(directory) as programs:
        start_server(network, programs)
        with tunnels(network, programs, *pairs) as standing_tunnels:
            said = {pair: tunnel.verdicts() for pair, tunnel in standing_tunnels.items()}
            for number, (pair, tunnel) in enumerate(standing_tunnels.items()):
                if said[pair] == CONNECTED:
                    assert tunnel.carries(b"pair %d" % number), pair
            return said


def attempt(
    directory: Path, module: str, options: dict[str, object], *pairs: Pair
) -> dict[Pair, set[str]]:
    return warm.call(_TIMEOUT, _try, directory, module, options, *pairs)


def test_hosts_that_share_a_nat_each_reach_a_host_elsewhere(tmp_path: Path) -> None:
    pairs = [Pair("host_a1", "host_b"), Pair("host_a2", "host_b"), Pair("host_a3", "host_b")]
    assert attempt(tmp_path, "shared_nat", {"hosts": 3}, *pairs) == dict.fromkeys(pairs, CONNECTED)


HAIRPIN = [
    ("port-restricted-cone", FAILED),
    ("full-cone", FAILED),
    ("EIM+APDF+hairpin-external-source", CONNECTED),
    ("EIM+EIF+hairpin-external-source", CONNECTED),
]
"""NATs that two hosts share, and whether they meet there, told only each other's external endpoint."""


@pytest.mark.parametrize(
    ("nat", "outcome"), [*HAIRPIN, ("EIM+APDF+hairpin-internal-source", CONNECTED)]
)
def test_hosts_that_share_a_nat_meet_where_it_hairpins(
    tmp_path: Path, nat: str, outcome: set[str]
) -> None:
    inside, outside = Pair("host_a1", "host_a2"), Pair("host_a1", "host_b")
    assert attempt(tmp_path, "shared_nat", {"nat_a": nat}, inside, outside) == {
        inside: outcome,
        outside: CONNECTED,
    }


@pytest.mark.parametrize(
    ("kinds", "outcome"),
    [
        ({}, CONNECTED),
        ({"cgn_a": "symmetric", "nat_b": "full-cone", "cgn_b": "full-cone"}, CONNECTED),
        # One symmetric NAT of the two on its way makes a side symmetric.
        ({"cgn_a": "symmetric"}, FAILED),
        ({"nat_a": "symmetric"}, FAILED),
    ],
    ids=["port-restricted", "symmetric-carrier-to-cones", "symmetric-carrier", "symmetric-home"],
)
def test_behind_two_nats_the_stricter_decides(
    tmp_path: Path, kinds: dict[str, object], outcome: set[str]
) -> None:
    pair = Pair("host_a", "host_b")
    assert attempt(tmp_path, "double_nat", kinds, pair) == {pair: outcome}


# The homes' NATs have sent to external endpoints, and drop what comes from internal ones.
@pytest.mark.parametrize(
    ("cgn", "outcome"), [*HAIRPIN, ("EIM+APDF+hairpin-internal-source", FAILED)]
)
def test_homes_behind_one_carrier_meet_where_it_hairpins(
    tmp_path: Path, cgn: str, outcome: set[str]
) -> None:
    neighbours, first, second = (
        Pair("host_a", "host_b"),
        Pair("host_a", "host_c"),
        Pair("host_c", "host_b"),
    )
    assert attempt(tmp_path, "shared_cgn", {"cgn": cgn}, neighbours, first, second) == {
        neighbours: outcome,
        first: CONNECTED,
        second: CONNECTED,
    }


@pytest.mark.parametrize("nat", ["symmetric", "linux-masquerade", "none"])
def test_a_public_peer_can_be_reached_from_behind_any_nat(tmp_path: Path, nat: str) -> None:
    pair = Pair("host_a", "host_b")
    assert attempt(tmp_path, "public_peer", {"nat_a": nat}, pair) == {pair: CONNECTED}


def test_every_two_of_a_star_connect_at_the_same_time_where_the_nats_allow(tmp_path: Path) -> None:
    names = ["host_1", "host_2", "host_3", "host_4"]
    pairs = [Pair(one, other) for at, one in enumerate(names) for other in names[at + 1 :]]
    nats = "port-restricted-cone/restricted-cone/full-cone/symmetric"
    forbidden = Pair("host_1", "host_4")  # the symmetric one and the one that filters by port
    assert attempt(tmp_path, "star", {"peers": 4, "nats": nats}, *pairs) == {
        pair: FAILED if pair == forbidden else CONNECTED for pair in pairs
    }


def _addresses_seen(directory: Path) -> list[str]:
    from natlab.network.network import standing
    from natlab.programs.programs import Programs
    from natlab.topologies.multi_homed import MultiHomed

    pair = Pair("host_a", "host_b")
    with standing(MultiHomed()) as network, Programs(directory) as programs:
        start_server(network, programs)
        with tunnels(network, programs, pair) as made:
            assert made[pair].verdicts() == CONNECTED
            assert made[pair].carries(b"over Wi-Fi")
            remote = [
                event["remote"]
                for event in events(made[pair].clients["host_b"])
                if event["event"] == "path-established"
            ]
    return [str(endpoint).partition(":")[0] for endpoint in remote]


def test_a_multi_homed_host_uses_wifi_while_it_has_it(tmp_path: Path) -> None:
    assert warm.call(_TIMEOUT, _addresses_seen, tmp_path) == ["203.0.113.2"]


def test_a_dual_stack_pair_connects_over_ipv4(tmp_path: Path) -> None:
    pair = Pair("host_a", "host_b")
    assert attempt(tmp_path, "dual_stack", {}, pair) == {pair: CONNECTED}


def _ipv6_only(directory: Path) -> str:
    from natlab.network.network import standing
    from natlab.programs.programs import Programs
    from natlab.topologies.dual_stack import DualStack

    with standing(DualStack()) as network, Programs(directory) as programs:
        start_server(network, programs)
        argv = [*PYTHON, "client", "--server", "192.0.2.2"]
        argv += ["-r", "nobody", "--listen", "5300", "--once", "--json"]
        client = start(programs, "client", argv, network.pid("host_c"))
        assert client.wait(timeout=20) == 3
        said = next(e for e in events(client) if e["event"] == "server-lost")
        return f"{said['reason']}: {said['remedy']}"


def test_an_ipv6_only_host_has_no_way_to_the_ipv4_server_and_is_told(tmp_path: Path) -> None:
    said = warm.call(_TIMEOUT, _ipv6_only, tmp_path)
    assert said == f"cannot connect to 192.0.2.2:6545: Network is unreachable: {NO_PREFIX}"


def _ipv6_datagrams() -> list[tuple[str, str | None]]:
    """What gets through between the server, host_a and the IPv6-only host_c, and from whom."""
    from natlab.network.network import standing
    from natlab.topologies.dual_stack import SERVER_IPV6, DualStack

    with standing(DualStack()) as network:

        def opened(node: str, address: str) -> socket.socket:
            with in_namespace(network.pid(node)):
                made = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
            made.bind((address, 5000))
            return made

        with (
            opened("server", SERVER_IPV6) as server,
            opened("host_a", "2001:db8:a:1::2") as host_a,
            opened("host_c", "2001:db8:c:1::2") as host_c,
        ):
            told: list[tuple[str, str | None]] = []

            def send(what: str, source: socket.socket, target: socket.socket, wait: float) -> None:
                source.sendto(what.encode(), target.getsockname()[:2])
                target.settimeout(wait)
                try:
                    data, sender = target.recvfrom(100)
                except TimeoutError:
                    told.append((what, None))
                else:
                    assert data == what.encode()
                    told.append((what, f"{sender[0]}:{sender[1]}"))

            send("unasked", server, host_a, 0.5)
            send("out", host_a, server, 20)
            send("answer", server, host_a, 20)
            send("first punch", host_a, host_c, 0.5)
            send("second punch", host_c, host_a, 20)
            send("third", host_a, host_c, 20)
            return told


def test_ipv6_is_filtered_statefully_and_nothing_is_translated() -> None:
    assert warm.call(_TIMEOUT, _ipv6_datagrams) == [
        ("unasked", None),
        ("out", "2001:db8:a:1::2:5000"),
        ("answer", "2001:db8:5::2:5000"),
        ("first punch", None),
        ("second punch", "2001:db8:c:1::2:5000"),
        ("third", "2001:db8:a:1::2:5000"),
    ]


def _plain_mininet(name: str, host: str, target: str) -> str:
    done = subprocess.run(
        [
            *(str(Path(sys.executable).with_name("mn")), "--custom", f"topologies/{name}.py"),
            *("--topo", name, "--controller", "none"),
        ],
        cwd=ROOT,
        input=f"{host} ping -c 1 -W 5 {target}\n",
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout + done.stderr


@pytest.mark.parametrize(
    ("name", "host"),
    [
        ("shared_nat", "host_a2"),
        ("double_nat", "host_b"),
        ("shared_cgn", "host_a"),
        ("public_peer", "host_b"),
        ("multi_homed", "host_a"),
        ("star", "host_3"),
        ("dual_stack", "host_b"),
        ("nat64", "host_b"),
        ("regions", "host_b"),
    ],
)
def test_every_topology_configures_itself_under_plain_mn(name: str, host: str) -> None:
    said = warm.call(_TIMEOUT, _plain_mininet, name, host, "192.0.2.2")
    assert "1 packets transmitted, 1 received" in said, said


def _bad(module: str, options: dict[str, object]) -> None:
    import_module(f"topologies.{module}").topos[module](**options)


@pytest.mark.parametrize(
    ("module", "options", "words"),
    [
        ("shared_nat", {"hosts": 0}, "0 hosts cannot share a NAT here: give 1 to 99"),
        ("star", {"peers": "many"}, "'many' peers cannot be around one router: give 1 to 250"),
        ("star", {"nats": "symmetric/cone"}, "unknown NAT 'cone': choose from none, full-cone"),
        ("shared_cgn", {"cgn": "none"}, "cgn has to translate: a carrier's NAT cannot be `none`"),
    ],
)
def test_a_topology_that_cannot_be_is_refused_with_words(
    module: str, options: dict[str, object], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        warm.call(_TIMEOUT, _bad, module, options)
