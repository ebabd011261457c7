"""The script that a cell's network is measured against makes the same network."""

# ruff: noqa: PLC0415 - only a sandbox imports Mininet, whose code is full of warnings

from __future__ import annotations

import re
import subprocess

import pytest

from natlab.cli.bench_lab import measure_bring_up
from natlab.network.addressing import NODES
from tests.lab import warm

_TIMEOUT = 40.0
_LOOKS = (
    ("ip", "-br", "address"),
    ("ip", "route"),
    ("iptables-save", "-t", "filter"),
    ("iptables-save", "-t", "nat"),
    ("nft", "list", "ruleset"),
)
_STATES = {"UP", "DOWN", "UNKNOWN", "LOWERLAYERDOWN", "linkdown"}
Seen = dict[str, list[str]]


def _look(prefix: tuple[str, ...]) -> list[str]:
    """Rules and sets as they are; of addresses and routes neither order, nor state, nor IPv6."""
    said = []
    for look in _LOOKS:
        done = subprocess.run([*prefix, *look], check=True, capture_output=True, text=True)
        lines = [line for line in done.stdout.splitlines() if not line.startswith(("#", ":"))]
        if look[0] == "ip":
            words = [re.sub(r"@\w+", "", line).split() for line in lines]
            lines = sorted(
                " ".join(w for w in line if w not in _STATES and ":" not in w) for line in words
            )
        said += lines
    return said


def _both(nat_a: str, nat_b: str) -> tuple[Seen, Seen]:
    from natlab.cli.bench_lab import _run, scripts
    from natlab.topologies.two_nats import TwoNats, two_nats_network

    with two_nats_network(nat_a, nat_b) as network:
        ours = {node: _look(("mnexec", "-a", str(network.pid(node)))) for node in NODES}
    up, down = scripts(TwoNats(nat_a=nat_a, nat_b=nat_b))
    _run(up)
    theirs = {node: _look(("ip", "netns", "exec", node)) for node in NODES}
    _run(down)
    return ours, theirs


@pytest.mark.parametrize("pair", [("full-cone", "symmetric"), ("none", "linux-masquerade")])
def test_the_script_makes_what_the_lab_makes(pair: tuple[str, str]) -> None:
    ours, theirs = warm.call(_TIMEOUT, _both, *pair)
    assert any("snat" in line or "MASQUERADE" in line for lines in ours.values() for line in lines)
    assert ours == theirs


def test_every_run_is_measured_and_the_ratio_is_of_pairs() -> None:
    measured = measure_bring_up("none", "none", pairs=2)
    assert len(measured.lab) == len(measured.script) == 2
    ratios = [a.both / b.both for a, b in zip(measured.lab, measured.script, strict=True)]
    assert min(ratios) <= measured.ratio <= max(ratios)
    assert [
        taken for taken in (*measured.lab, *measured.script) if not taken.up > 0 < taken.down
    ] == []
