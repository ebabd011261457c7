"""Numbered datagrams over one link of a network, and what captures at its ends say of them."""

# ruff: noqa: PLC0415 - only a sandbox imports Mininet, whose code is full of warnings

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from natlab.network.addressing import SERVER

if TYPE_CHECKING:
    from natlab.capture.taps import Capture
    from natlab.topologies.two_nats import TwoNatsNetwork

LINK = ("nat_a", "internet")
_ENDS = {"nat_a-wan": "nat_a", "internet-a": "internet"}
_PORT = 4000
_MORE, _GIVE_UP = 0.2, 5.0


def capture_link(network: TwoNatsNetwork) -> Capture:
    """Both ends of `LINK`."""
    from natlab.capture.taps import Capture, Tap

    return Capture([Tap(network.pid(node), interface) for interface, node in _ENDS.items()])


def send_and_wait(
    network: TwoNatsNetwork, count: int, gap: float, size: int = 60, expected: int | None = None
) -> list[int]:
    """Datagrams from host_a to the server, one every `gap` s; the numbers of those that arrived, in
    that order. Once `expected` are there (None: all), more may come for as long as `_MORE`."""
    import select
    import time

    from natlab.sandbox.netns import udp_socket

    with ExitStack() as stack:
        pid = network.pid("host_a")
        sender = stack.enter_context(udp_socket(pid, network.address("host_a")))
        receiver = stack.enter_context(udp_socket(network.pid("server"), str(SERVER.ip), _PORT))
        receiver.setblocking(False)
        arrived: list[int] = []

        def take(seconds: float) -> bool:
            readable, _, _ = select.select([receiver], [], [], seconds)
            if readable:
                arrived.append(int.from_bytes(receiver.recv(9000)[:4], "big"))
            return bool(readable)

        start = time.monotonic()
        for number in range(count):
            while (left := start + number * gap - time.monotonic()) > 0:
                take(left)
            sender.sendto(number.to_bytes(4, "big") + bytes(size - 4), (str(SERVER.ip), _PORT))
        wanted = count if expected is None else expected
        while take(_MORE if len(arrived) >= wanted else _GIVE_UP):
            pass
        return arrived


def crossings(capture: Capture) -> dict[int, list[float]]:
    """Datagram number to the seconds that each of its arrivals at the router took."""
    left: dict[int, float] = {}
    took: dict[int, list[float]] = {}
    for packet in capture.packets:
        if packet.destination.port != _PORT:
            continue
        number = int.from_bytes(packet.payload[:4], "big")
        if packet.point == "nat_a-wan" and packet.outgoing:
            left[number] = packet.time
            took[number] = []
        elif packet.point == "internet-a" and not packet.outgoing:
            took[number].append(packet.time - left[number])
    return took
