"""Hosts that have the server over IPv6 alone: the contract ends between their routers as the model says."""

# ruff: noqa: PLC0415 - only a sandbox imports Mininet, whose code is full of warnings

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from natlab.oracle.ipv6 import predict_ipv6
from natlab.oracle.outcome import Outcome
from tests.lab import warm
from tests.lab.pairs import Pair, events, start_server, tunnels

PAIR = Pair("host_a", "host_b")
OVER_IPV6 = ("--methods", "ordered-hello", "--server", "2001:db8:5::2")
NATS = (
    *("EIM+APDF", "EIM+APDF+ipv6-adf", "EIM+APDF+ipv6-eif"),
    *("EIM+APDF+nat66", "EIM+APDF+nat66-apdm"),
    *("EIM+APDF+nptv6", "EIM+APDF+nptv6+ipv6-eif"),
)
"""The matrix has them as `ipv6_only`. Here the addresses count at which each sees the other."""
HERE = ((NATS[3], NATS[5]), (NATS[4], NATS[6]))


@dataclass(frozen=True, slots=True)
class Seen:
    """`round` is None where there is no path; `remotes` are the peers' addresses, as client a and b have them."""

    round: int | None
    remotes: tuple[str, ...] = ()


def run(nats: tuple[str, str], directory: Path) -> Seen:
    """Real server and clients, which know each other's IPv6 addresses from the server alone."""
    from natlab.network.network import standing
    from natlab.programs.programs import Programs
    from natlab.topologies.dual_stack import DualStack

    with standing(DualStack(*nats)) as network, Programs(directory) as programs:
        start_server(network, programs, "--host", "::")
        with tunnels(network, programs, PAIR, options=OVER_IPV6) as found:
            (tunnel,) = found.values()
            if tunnel.verdicts() == {"attempt-failed"}:
                return Seen(None)
            assert tunnel.carries(b"over IPv6")
            paths = [
                next(each for each in events(client) if each["event"] == "path-established")
                for client in tunnel.clients.values()
            ]
            rounds = {each["round"] for each in paths}
            assert len(rounds) == 1
            remotes = (str(each["remote"]).rpartition(":")[0].strip("[]") for each in paths)
            return Seen(int(str(rounds.pop())), tuple(remotes))


def expected(nats: tuple[str, str]) -> Seen:
    said = predict_ipv6(*nats)
    if said.outcome is Outcome.FAILED:
        return Seen(None)
    shown = {each.sender: each.source.address for each in said.steps}
    return Seen(said.round, (shown["host_b"], shown["host_a"]))


@pytest.mark.parametrize("nats", HERE, ids=" x ".join)
def test_a_path_over_ipv6_is_as_predicted(nats: tuple[str, str], tmp_path: Path) -> None:
    assert warm.call(50.0, run, nats, tmp_path) == expected(nats)


def test_the_model_knows_where_ipv6_does_not_meet() -> None:
    apart = {
        nats
        for one in NATS
        for nats in ((one, each) for each in NATS)
        if expected(nats).round is None
    }
    strict = {NATS[0], NATS[3], NATS[5]}
    assert apart == {(NATS[4], NATS[4])} | {
        pair for each in strict for pair in ((each, NATS[4]), (NATS[4], each))
    }
