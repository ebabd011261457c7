"""Ports that a real miniupnpd leads to the client: a pair that nothing else opens is direct, and none is left behind."""

# ruff: noqa: PLC0415 - only a sandbox imports Mininet, whose code is full of warnings

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from tests.lab import warm
from tests.lab.pairs import Pair, events, start_server, tunnels, ways

PAIR = Pair("host_a", "host_b")
METHODS = ("--methods", "ordered-hello,port-mapping")
MAPS, STRICT = "APDM+APDF+port-mapping", "port-restricted-cone"


def _connected(nats: tuple[str, str], without: str, directory: Path) -> dict[str, object]:
    """Each client's method, the ports that its router has led, and those that are left when both have ended."""
    from natlab.nat import asked
    from natlab.network.network import standing
    from natlab.programs.programs import Programs
    from natlab.sandbox.netns import in_namespace
    from natlab.topologies.two_nats import TwoNats

    def led(nat: str) -> int:
        with in_namespace(network.pid(nat)):
            listed = subprocess.run(
                ["nft", "list", "chain", "inet", asked.TABLE, "asked_in"],
                capture_output=True, text=True, check=True,
            )  # fmt: skip
        return listed.stdout.count("dnat")

    with standing(TwoNats(*nats)) as network, Programs(directory) as programs:
        nat = next(name for name in ("nat_a", "nat_b") if network.rules[name].miniupnpd)
        node = network.node(nat)
        if without:
            assert node.rules is not None
            configuration = node.rules.miniupnpd.replace(f"{without}=yes", f"{without}=no")
            node.rules = replace(node.rules, miniupnpd=configuration)
            node.ask_anew()
        start_server(network, programs)
        with tunnels(network, programs, PAIR, options=METHODS) as found:
            (tunnel,) = found.values()
            tunnel.wait_until_established()  # a router may answer after the first attempt
            assert tunnel.carries(b"by the router's port")
            during = led(nat)
            for client in tunnel.clients.values():
                client.terminate()
            said = [list(events(client)) for client in tunnel.clients.values()]
        return {
            "methods": [
                event["method"]
                for each in said
                for event in each
                if event["event"] == "path-established"
            ],
            "forwarded": sum(e["event"] == "port-forwarded" for each in said for e in each),
            "led": (during, led(nat)),
        }


@pytest.mark.parametrize(
    ("nats", "without"),
    [
        ((MAPS, STRICT), ""),
        ((STRICT, MAPS), "enable_natpmp"),
        (("symmetric", "EIM+APDF+order-sensitive+inbound-refresh+port-mapping"), ""),
    ],
    ids=["pcp", "upnp", "stock-linux"],
)
def test_a_router_that_maps_ports_makes_the_pair_direct(
    nats: tuple[str, str], without: str, tmp_path: Path
) -> None:
    assert warm.call(50.0, _connected, nats, without, tmp_path) == {
        "methods": ["port-mapping", "port-mapping"],
        "forwarded": 1,
        "led": (1, 0),
    }


LATE = ("--methods", "ordered-hello,port-mapping,relay", "--set", "router-look=1")
"""The next attempt would follow after two minutes at the earliest."""


def _late(nats: tuple[str, str], directory: Path) -> dict[str, object]:
    """The router begins to map ports when the first attempt has failed: each client's ways, how many attempts failed, and
    whether the next was due later than all this."""
    from natlab.network.network import standing
    from natlab.programs.programs import Programs
    from natlab.topologies.two_nats import TwoNats

    with standing(TwoNats(*nats)) as network, Programs(directory) as programs:
        node = network.node("nat_a")
        assert node.rules is not None
        maps = node.rules
        node.rules = replace(maps, miniupnpd="")
        node.ask_anew()
        start_server(network, programs)
        options = (*LATE, "--set", "retry-first=240")
        with tunnels(network, programs, PAIR, options=options) as found:
            (tunnel,) = found.values()
            for client in tunnel.clients.values():
                client.wait_for_line('"event": "not-direct"', timeout=30.0)
            assert tunnel.carries(b"by the relay")
            node.rules = maps
            node.ask_anew()
            for client in tunnel.clients.values():
                client.wait_for_line('"event": "path-moved".*"port-mapping"', timeout=30.0)
            assert tunnel.carries(b"by the router's port")
            said = [list(events(client)) for client in tunnel.clients.values()]
            taken = [ways(client) for client in tunnel.clients.values()]
    failed = [event for each in said for event in each if event["event"] == "not-direct"]
    return {
        "ways": taken,
        "failed": len(failed),
        "waits": min(float(str(event["retry_in"])) for event in failed) > 100.0,
    }


def test_a_router_that_begins_to_map_ports_while_the_pair_is_relayed_makes_it_direct(
    tmp_path: Path,
) -> None:
    assert warm.call(80.0, _late, (MAPS, STRICT), tmp_path) == {
        "ways": [["relay", "port-mapping"]] * 2,
        "failed": 2,
        "waits": True,
    }
