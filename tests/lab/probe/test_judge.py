"""An independent judge: coturn's server outside and its RFC 5780 client inside name each NAT."""

# ruff: noqa: PLC0415 - only a sandbox imports Mininet, whose code is full of warnings

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from natlab.behavior import NINE
from natlab.nat.ruleset import Firewall
from natlab.network.addressing import SERVER, SERVER_SECOND
from natlab.presets import PRESETS, preset
from tests.lab import warm

_STUN_PORT = 3478
_TURNSERVER = (
    *("turnserver", "-n", "-L", str(SERVER.ip), "-L", str(SERVER_SECOND.ip), "-p", str(_STUN_PORT)),
    *("--no-auth", "--no-tcp", "--no-tls", "--log-file", "stdout"),
)
_VERDICT = re.compile(r"^(?:No NAT|NAT with .*)(?=!)", re.MULTILINE)


def _judge(directory: Path, presets: tuple[str, str], firewall: Firewall) -> list[dict[str, str]]:
    """What the judge says of the mapping (-m) and the filtering (-f) of NAT a and of NAT b.

    In separate runs with a NAT that has forgotten the one before: a mapping test opens filters.
    """
    from natlab.programs.programs import Programs
    from natlab.topologies.two_nats import two_nats_network

    # From 4.7 on coturn answers RFC 5780 requests only when told to; what it does not know ends it.
    offers = subprocess.run(["turnserver", "-h"], capture_output=True, text=True, check=False)
    extra = ("--rfc5780",) if re.search(r"^ --rfc5780", offers.stdout, re.MULTILINE) else ()
    said: list[dict[str, str]] = [{}, {}]
    with two_nats_network(*presets, firewall) as network, Programs(directory) as programs:
        server = programs.start("turnserver", (*_TURNSERVER, *extra), network.pid("server"))
        server.wait_until_bound("udp", _STUN_PORT + 1, timeout=20)
        for option, axis in (("-m", "Mapping"), ("-f", "Filtering")):
            clients = [
                programs.start(
                    f"{side.host_node}{option}",
                    ("turnutils_natdiscovery", option, "-L", str(side.host.ip), str(SERVER.ip)),
                    network.pid(side.host_node),
                )
                for side in (network.side_a, network.side_b)
            ]
            for client, words in zip(clients, said, strict=True):
                assert client.wait(timeout=30) == 0
                words[axis] = "\n".join(line.text for line in client.lines())
            network.forget("nat_a", "nat_b")
    return said


def _expected(name: str) -> dict[str, list[str]]:
    behavior = preset(name).behavior
    if behavior is None:
        return {
            axis: ["No NAT", f"NAT with Endpoint Independent {axis}"]
            for axis in ("Mapping", "Filtering")
        }
    return {
        "Mapping": [f"NAT with {_in_coturns_words(behavior.mapping)} Mapping"],
        "Filtering": [f"NAT with {_in_coturns_words(behavior.filtering)} Filtering"],
    }


def _in_coturns_words(term: str) -> str:
    return term.replace("-", " ").title().replace("And", "and")


NAMES = (*PRESETS, *NINE, "home-router")


@pytest.mark.parametrize("pair", list(zip(NAMES[::2], NAMES[1::2], strict=True)), ids=" and ".join)
def test_the_judge_agrees_with_the_name(pair: tuple[str, str], tmp_path: Path) -> None:
    _agrees(pair, warm.call(55, _judge, tmp_path, pair, Firewall.NFTABLES))


CLASSIC = tuple(PRESETS)


@pytest.mark.parametrize(
    "pair", list(zip(CLASSIC[::2], CLASSIC[1::2], strict=True)), ids=" and ".join
)
def test_the_judge_agrees_where_the_rules_are_iptables(
    pair: tuple[str, str], tmp_path: Path
) -> None:
    _agrees(pair, warm.call(55, _judge, tmp_path, pair, Firewall.IPTABLES))


def _agrees(pair: tuple[str, str], said_of_both: list[dict[str, str]]) -> None:
    for name, said in zip(pair, said_of_both, strict=True):
        assert {axis: _VERDICT.findall(text) for axis, text in said.items()} == _expected(name)
