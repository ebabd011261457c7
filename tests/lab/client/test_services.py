"""The `--connect` side and a service on another host: firewalls in between, answers from elsewhere."""

# ruff: noqa: PLC0415 - only a sandbox imports Mininet, whose code is full of warnings

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from nat_traversal.aio.connector import Connector
from nat_traversal.aio.service import FixedService
from nat_traversal.machine.counters import Counters
from nat_traversal.settings import ClientSettings
from nat_traversal.wire.endpoint import Endpoint
from nat_traversal.wire.tray import Run
from natlab.links.conditions import LinkConditions
from natlab.sandbox.netns import NFT, Command, in_namespace, run_together, udp_socket
from tests.lab import warm
from tests.loopback.support import eventually

if TYPE_CHECKING:
    from natlab.network.network import Network

_TIMEOUT = 50.0
SERVICE = Endpoint("192.0.2.2", 7000)
OTHER_ADDRESS = "192.0.2.3"


@dataclass(frozen=True, slots=True)
class _Order:
    instance: bytes


@dataclass(slots=True)
class _Path:
    """Takes what goes to the other side."""

    order: _Order = field(default_factory=lambda: _Order(b"i" * 16))
    sent: list[bytes] = field(default_factory=list)

    def send_run(self, flow: int, from_listener: bool, run: Run) -> None:
        self.sent += map(bytes, run.parts())

    def send_alone(self, flow: int, from_listener: bool, run: Run, now: float) -> None:
        self.send_run(flow, from_listener, run)

    def flush(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Seen:
    """What became of the datagrams of one program."""

    came: list[bytes]
    """At the service."""
    answers: list[bytes]
    counted: dict[str, int]
    told: list[str]


class Side:
    """A connector on host_b, and the service's socket."""

    def __init__(self, network: Network, service: socket.socket) -> None:
        self._pid = network.pid("host_b")
        self.service = service
        self.counters = Counters()
        self.told: list[str] = []
        self.path = _Path()
        self.connector = Connector(
            FixedService([SERVICE]), self.counters, self.told.append, ClientSettings()
        )
        self.connector.attach(self.path)  # type: ignore[arg-type]

    def deliver(self, *payloads: bytes) -> None:
        with in_namespace(self._pid):
            for payload in payloads:
                self.connector.deliver(1, [memoryview(payload)])

    async def answered(self, count: int) -> None:
        await eventually(lambda: len(self.path.sent) >= count, f"{count} answers")

    def seen(self, came: list[bytes]) -> Seen:
        self.connector.close()
        return Seen(came, self.path.sent, self.counters.counted(), sorted(set(self.told)))


def _rule(network: Network, rule: str) -> None:
    text = f"table inet t {{ chain c {{ type filter hook input priority 0; {rule}; }}; }}\n"
    run_together([Command(NFT, text, network.pid("server"))])


def _rejected_in_a_burst(kind: str) -> Seen:
    from natlab.topologies.two_nats import two_nats_network

    with (
        two_nats_network("none", "none") as network,
        udp_socket(network.pid("server"), *SERVICE.sockaddr) as service,
    ):
        _rule(network, f"udp length 11 reject with {kind}")  # three octets
        service.settimeout(10)

        async def burst() -> Seen:
            side = Side(network, service)
            side.deliver(*[b"bad" if number % 4 == 0 else b"good" for number in range(40)])
            came: list[bytes] = []
            for number in range(30):
                data, source = service.recvfrom(100)
                came.append(data)
                service.sendto(b"%d" % number, source)
            await side.answered(30)
            # The last error may still be on its way; the datagram behind it is not.
            side.deliver(b"bad", b"the end")
            _, source = service.recvfrom(100)
            service.sendto(b"end", source)
            await side.answered(31)
            return side.seen(came)

        return asyncio.run(burst())


KINDS = {
    "icmp type host-prohibited": ("unreachable", "forbidden by a firewall"),
    "icmp type admin-prohibited": ("unreachable", "forbidden by a firewall"),
    "icmp type net-prohibited": ("unreachable", "forbidden by a firewall"),
    "icmp type net-unreachable": ("unreachable", "Network is unreachable"),
    "icmp type host-unreachable": ("unreachable", "No route to host"),
    "icmp type prot-unreachable": ("unreachable", "Protocol not available"),
    "icmp type port-unreachable": ("refused", ""),
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_firewall_rejects_costs_nothing_else_of_a_burst(kind: str) -> None:
    seen = warm.call(_TIMEOUT, _rejected_in_a_burst, kind)
    counter, words = KINDS[kind]
    assert seen.came == [b"good"] * 30
    assert len(seen.answers) == 31
    # Linux sends no more than six such errors at once, then one a second (icmp_ratelimit).
    assert seen.counted.keys() == {counter}
    assert 1 <= seen.counted[counter] <= 11
    where = f"{SERVICE.address}:{SERVICE.port}"
    assert seen.told == [
        f"a datagram to {where} was lost: {words}, says {SERVICE.address}"
        if words
        else f"nothing listens on {where}: start the service or correct --connect"
    ]


def _answered_from_elsewhere() -> tuple[Seen, list[bytes]]:
    from natlab.topologies.two_nats import two_nats_network

    with (
        two_nats_network("none", "none") as network,
        udp_socket(network.pid("server"), *SERVICE.sockaddr) as service,
        udp_socket(network.pid("server"), SERVICE.address) as transfer,
        udp_socket(network.pid("server"), OTHER_ADDRESS) as stranger,
    ):
        for each in (service, transfer):
            each.settimeout(10)

        async def transferred() -> tuple[Seen, list[bytes]]:
            side = Side(network, service)
            side.deliver(b"read")
            asked, source = service.recvfrom(100)
            stranger.sendto(b"forged", source)
            transfer.sendto(b"block 1", source)
            await side.answered(1)
            side.deliver(b"got 1")
            got = [transfer.recv(100)]
            transfer.sendto(b"block 2", source)
            await side.answered(2)
            side.deliver(b"got 2")
            got.append(transfer.recv(100))
            return side.seen([asked]), got

        return asyncio.run(transferred())


def test_a_transfer_from_another_port_works_and_another_host_is_not_heard() -> None:
    """As TFTP (RFC 1350 section 4). The service's other address may as well be another host."""
    seen, got = warm.call(_TIMEOUT, _answered_from_elsewhere)
    assert (seen.came, got) == ([b"read"], [b"got 1", b"got 2"])
    assert seen.answers == [b"block 1", b"block 2"]
    assert seen.counted == {"foreign": 1}
    assert len(seen.told) == 1
    assert seen.told[0].startswith(f"dropped what {OTHER_ADDRESS}:")


def _over_a_narrow_link(sizes: list[int]) -> tuple[Seen, list[int]]:
    from natlab.links.apply import conditioned
    from natlab.topologies.two_nats import two_nats_network

    with (
        two_nats_network("none", "none") as network,
        conditioned(network, {("server", "internet"): LinkConditions(mtu=1280)}),
        udp_socket(network.pid("server"), *SERVICE.sockaddr) as service,
    ):
        service.settimeout(10)
        rule = "type filter hook output priority 0; icmp type 3 icmp code 4 drop;"
        silent = f"table ip t {{ chain c {{ {rule} }}; }}\n"
        run_together([Command(NFT, silent, network.pid("internet"))])

        async def cross() -> tuple[Seen, list[int]]:
            side = Side(network, service)
            came = []
            for number, size in enumerate(sizes, start=1):
                side.deliver(bytes(size))
                data, source = service.recvfrom(65_536)
                came.append(len(data))
                service.sendto(data, source)
                await side.answered(number)
            return side.seen([]), came

        return asyncio.run(cross())


def test_a_service_behind_a_narrow_link_with_a_silent_router_gets_all_lengths_whole() -> None:
    sizes = [0, *range(1230, 1260), 1400, 1472, 1473, 9000, 65_507]
    seen, came = warm.call(_TIMEOUT, _over_a_narrow_link, sizes)
    assert came == sizes
    assert [len(answer) for answer in seen.answers] == sizes
    assert (seen.counted, seen.told) == ({}, [])
