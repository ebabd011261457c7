"""Regions of the internet: each link between two of them takes its time, and can be cut and healed."""

# ruff: noqa: PLC0415 - only a sandbox imports Mininet

from __future__ import annotations

import time
from pathlib import Path

import pytest

from nat_traversal.errors import UsageError
from natlab.network.addressing import SERVER
from tests.lab import warm

# What is on its way when a link heals arrives: so the link that is cut is the shorter one by far.
_DELAYS = {"a_b": 0.02, "a_s": 0.1}
_PATIENCE = 20.0


def _crossings(directory: Path) -> tuple[list[tuple[str, bool]], dict[str, float], list[str]]:
    """Whether a datagram comes from host_a to host_b and to the server, before, during and after a cut; how
    long it took before; and what a wrong cut is told."""
    from natlab.faults.inject import Faults
    from natlab.links.conditions import PLAIN
    from natlab.network.loading import load
    from natlab.sandbox.netns import udp_socket
    from natlab.testbed.bed import bed

    came: list[tuple[str, bool]] = []
    took: dict[str, float] = {}
    told: list[str] = []
    topology = load("regions,nat_a=none,nat_b=none,a_b=20ms,a_s=100ms,b_s=100ms")
    with bed(topology, directory, lambda _: {"host_b-eth0": "host_b"}, PLAIN) as lab:
        network, faults = lab.network, Faults(lab.network, lab.programs)
        address = {name: network.address(name) for name in ("host_a", "host_b")}
        with (
            udp_socket(network.pid("host_a"), address["host_a"]) as sender,
            udp_socket(network.pid("host_b"), address["host_b"], 7000) as peer,
            udp_socket(network.pid("server"), str(SERVER.ip), 7000) as server,
        ):
            peer.settimeout(_PATIENCE)
            server.settimeout(_PATIENCE)

            def send(word: str) -> float:
                sent = time.monotonic()
                for target in (address["host_b"], str(SERVER.ip)):
                    sender.sendto(word.encode(), (target, 7000))
                return sent

            for word in ("before", "cut", "healed"):
                if word == "cut":
                    faults.cut("internet_a", "internet_b")
                if word == "healed":
                    faults.heal("internet_b", "internet_a")
                sent = send(word)
                heard = server.recv(64) == word.encode()
                took.setdefault("a_s", time.monotonic() - sent)
                came.append((f"{word}: server", heard))
                if word != "cut":
                    came.append((f"{word}: peer", peer.recv(64) == word.encode()))
                    took.setdefault("a_b", time.monotonic() - sent)
        for one, other in (("internet_a", "host_b"), ("internet_a", "internet_b")):
            try:
                faults.heal(one, other)
            except UsageError as error:
                told.append(str(error))
    return came, took, told


@pytest.fixture(scope="module")
def crossings(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[list[tuple[str, bool]], dict[str, float], list[str]]:
    return warm.call(60, _crossings, tmp_path_factory.mktemp("regions"))


def test_a_cut_between_two_regions_parts_them_and_nobody_else_until_it_heals(
    crossings: tuple[list[tuple[str, bool]], dict[str, float], list[str]],
) -> None:
    came, _, _ = crossings
    # The peer heard nothing of the cut time: the next that it heard was sent after.
    assert came == [
        ("before: server", True),
        ("before: peer", True),
        ("cut: server", True),
        ("healed: server", True),
        ("healed: peer", True),
    ]


def test_each_link_between_regions_takes_at_least_its_delay(
    crossings: tuple[list[tuple[str, bool]], dict[str, float], list[str]],
) -> None:
    _, took, _ = crossings
    assert all(took[link] >= delay for link, delay in _DELAYS.items()), took


def test_a_link_that_is_none_or_whole_is_told(
    crossings: tuple[list[tuple[str, bool]], dict[str, float], list[str]],
) -> None:
    _, _, told = crossings
    assert told == [
        "no link between internet_a and host_b: name two neighbours",
        "the link between internet_a and internet_b is not cut",
    ]
