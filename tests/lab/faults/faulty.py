"""Two NATs with faults, and datagrams through them."""

# ruff: noqa: PLC0415 - only a sandbox imports Mininet, whose code is full of warnings

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from natlab.nat.ruleset import Firewall
from natlab.probe.sockets import one_cpu

if TYPE_CHECKING:
    from natlab.faults.inject import Faults
    from natlab.topologies.two_nats import TwoNatsNetwork


TIMEOUT = 50.0
SERVER = ("192.0.2.2", 5000)


@contextmanager
def faulty(nat_a: str, nat_b: str = "none") -> Iterator[tuple[TwoNatsNetwork, Faults]]:
    from natlab.faults.inject import Faults
    from natlab.programs.programs import Programs
    from natlab.topologies.two_nats import two_nats_network

    firewall, _, name = nat_a.rpartition(" ")
    with (
        two_nats_network(name, nat_b, Firewall(firewall or "nftables")) as network,
        Programs(Path("/run")) as programs,
        one_cpu(),
    ):
        yield network, Faults(network, programs)


def say(text: str, source: socket.socket, target: tuple[str, int]) -> None:
    source.sendto(text.encode(), target)


def all_heard(at: socket.socket, last: str) -> list[str]:
    """All that arrives, in order, up to `last`, which has to come.

    On one CPU no datagram overtakes another: what was sent before `last` and is not here is lost.
    """
    return [text for text, _ in heard_from(at, last)]


def heard_from(at: socket.socket, last: str) -> list[tuple[str, tuple[str, int]]]:
    """As `heard`, with the source of each."""
    at.settimeout(10)
    heard: list[tuple[str, tuple[str, int]]] = []
    while not heard or heard[-1][0] != last:
        data, source = at.recvfrom(100)
        heard.append((data.decode(), source))
    return heard
