"""Real clients behind one NAT, one carrier's NAT, and with IPv6 take the rung that the model names."""

# ruff: noqa: PLC0415 - only a sandbox imports Mininet, whose code is full of warnings

from __future__ import annotations

from pathlib import Path

import pytest

from nat_traversal.wire.methods import MethodName
from natlab.oracle.neighbours import behind_one_carrier, behind_one_nat, with_ipv6
from tests.lab import warm
from tests.lab.pairs import Pair, events, start_server, tunnels

METHODS = (MethodName.ORDERED_HELLO, MethodName.HOST, MethodName.IPV6)
OPTIONS = ("--methods", ",".join(METHODS))
CONE = "EIM+APDF"
HAIRPIN = "EIM+EIF+hairpin-external-source"
PLACES = {
    "shared_nat,nat_a=symmetric": behind_one_nat("symmetric", METHODS),
    f"shared_nat,nat_a={HAIRPIN}": behind_one_nat(HAIRPIN, METHODS),
    f"shared_cgn,cgn={HAIRPIN}": behind_one_carrier(CONE, CONE, HAIRPIN, METHODS),
    f"shared_cgn,cgn={CONE}": behind_one_carrier(CONE, CONE, CONE, METHODS),
    "dual_stack,nat_a=full-cone,nat_b=symmetric": with_ipv6("full-cone", "symmetric", METHODS),
    "dual_stack,nat_a=symmetric,nat_b=symmetric": with_ipv6("symmetric", "symmetric", METHODS),
}
"""Topologies, and the rung of the two hosts that share a place; None: no direct path."""


def _methods(topology: str, directory: Path) -> set[str | None]:
    """The methods of both clients; None where a client says that there is no path."""
    from natlab.network.loading import load
    from natlab.network.network import standing
    from natlab.programs.programs import Programs

    with standing(load(topology)) as network, Programs(directory) as programs:
        hosts = sorted(name for name in network.names if name.startswith("host_"))
        pair = Pair(*[name for name in hosts if name != "host_c"][:2])
        start_server(network, programs)
        with tunnels(network, programs, pair, options=OPTIONS) as found:
            (tunnel,) = found.values()
            if tunnel.verdicts() != {"path-established"}:
                return {None}
            assert tunnel.carries(b"here")
            return {
                str(event["method"])
                for client in tunnel.clients.values()
                for event in events(client)
                if event["event"] == "path-established"
            }


@pytest.mark.parametrize("topology", PLACES)
def test_a_pair_takes_the_rung_that_the_model_names(topology: str, tmp_path: Path) -> None:
    assert warm.call(50.0, _methods, topology, tmp_path) == {PLACES[topology]}
