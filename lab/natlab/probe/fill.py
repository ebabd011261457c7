"""Ask a NAT for every mapping that it can have, and see which port each gets.

Each datagram comes from an inside endpoint of its own, and all go to one remote. Sockets would be too
many, so the datagrams are made here and sent by one raw socket for each host. Nearly all of the time goes
by in the kernel: so one host asks for a half of the ports, and several for the rest.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from nat_traversal.wire.behavior import PortAllocation
from nat_traversal.wire.endpoint import Endpoint
from natlab.behavior import NatBehavior, Unsolicited
from natlab.errors import NetworkError
from natlab.nat.ruleset import Firewall
from natlab.probe.finding import Finding
from natlab.probe.sockets import TIMEOUT, Host, Outside
from natlab.sandbox.netns import in_namespace, udp_socket

if TYPE_CHECKING:
    from natlab.network.network import Network

PORTS = range(1024, 65536)
"""From which the inside hosts send, and which a NAT gives."""
BLOCK = 1024
"""Ports that `block-per-host` gives each host."""
WANTED = {
    PortAllocation.PRESERVING: "every port once, each its own",
    PortAllocation.RANDOM: "every port once",
    PortAllocation.SEQUENTIAL: "every port once, each the next",
    PortAllocation.BLOCK_PER_HOST: "every port of each block once",
}
"""The words for one host that asks for all. For several at once: without the part after a comma."""
_PAUSE_EVERY = 64
"""Datagrams of each host that are under way before those that arrived are read: a receive buffer holds more."""
_MOST_TRACKED = Path("/proc/sys/net/netfilter/nf_conntrack_max")
_FENCE = 0xFFFF_FFFF


@dataclass(frozen=True, slots=True)
class _Sender:
    """One inside host, and the number of the first of its datagrams."""

    host: Host
    ports: range
    first: int


def findings(
    network: Network, hosts: Sequence[Host], outside: Outside, behavior: NatBehavior
) -> Iterator[Finding]:
    """nat_a is asked for every port that it has: half of them by one host, the rest by three at once."""
    remote, allocation = Host(outside.pid, outside.first), behavior.allocation
    by_iptables = network.nat("nat_a").firewall is Firewall.IPTABLES
    stock = behavior.unsolicited is Unsolicited.ORDER_SENSITIVE
    in_blocks = allocation is PortAllocation.BLOCK_PER_HOST
    network.forget("nat_a")
    if by_iptables and allocation is PortAllocation.RANDOM:
        return  # connection tracking looks for free ports, and not for long
    half = len(PORTS) // 2
    alone, together = PORTS[:half], PORTS[half:]
    claims = "half filled by one host", "filled up by three at once"
    if in_blocks:
        alone = together = PORTS[:BLOCK]
        claims = "filled by one host", "filled by three at once"
    if stock:  # several hosts would be the same to it
        alone, claims = PORTS, ("filled by one host", "")
    with ExitStack() as stack:
        filling = _Filling(allocation, remote, stack)
        yield Finding(claims[0], WANTED[allocation], filling.ask(hosts[:1], alone))
        if in_blocks:
            network.forget("nat_a")
            filling = _Filling(allocation, remote, stack)
        if not stock:
            wanted = WANTED[allocation].partition(",")[0]
            yield Finding(claims[1], wanted, filling.ask(hosts, together, apart=by_iptables))
    network.forget("nat_a")


class _Filling:
    """Asks a NAT, which has to have forgotten everything, until each of its ports has an owner."""

    def __init__(self, allocation: PortAllocation, remote: Host, stack: ExitStack) -> None:
        self._allocation = allocation
        self._receiver = stack.enter_context(udp_socket(remote.pid, remote.address))
        self._receiver.settimeout(TIMEOUT)
        self._taken: set[int] = set()

    def ask(self, hosts: Sequence[Host], ports: range, *, apart: bool = False) -> str:
        """The fate of as many datagrams as there are `ports`, from all `hosts` at once, in words.

        They send from the same ports, the first of those, or with `apart` each from its own.
        With `block-per-host` each host sends as many datagrams as there are `ports`, since each has a block.
        Raises `NetworkError` if not even a mapping that stands lets anything through, or this
        machine tracks fewer connections than a NAT has ports.
        """
        in_blocks = self._allocation is PortAllocation.BLOCK_PER_HOST
        each = len(ports) if in_blocks else len(ports) // len(hosts)
        senders = [
            _Sender(host, ports[n * each : (n + 1) * each] if apart else ports[:each], n * each)
            for n, host in enumerate(hosts)
        ]
        _check_room(hosts[0], len(self._taken) + each * len(hosts))
        return self._words(senders, self._fates(senders, each))

    def _fates(self, senders: Sequence[_Sender], each: int) -> list[tuple[int, int]]:
        target = Endpoint(*self._receiver.getsockname())
        got: list[tuple[int, int]] = []
        with ExitStack() as stack:
            raw = []
            for sender in senders:
                with in_namespace(sender.host.pid):
                    raw.append(
                        stack.enter_context(
                            socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
                        )
                    )
            pool = stack.enter_context(ThreadPoolExecutor(len(senders)))
            for start in range(0, each, _PAUSE_EVERY):
                part = range(start, min(start + _PAUSE_EVERY, each))
                under_way = [
                    pool.submit(_send, sender, opened, part, target)
                    for sender, opened in zip(senders, raw, strict=True)
                ]
                for sent in under_way:
                    sent.result()
                got += _read(self._receiver, len(senders))
        return got

    def _words(self, senders: Sequence[_Sender], got: Sequence[tuple[int, int]]) -> str:
        """As in `WANTED` where all is as it should be."""
        wrong = []
        wanted = sum(len(sender.ports) for sender in senders)
        if len(got) != wanted:
            wrong.append(f"{wanted - len(got)} of {wanted} lost")
        known = len(self._taken)
        self._taken.update(port for _, port in got)
        shared = known + len(got) - len(self._taken)
        if shared:
            wrong.append(f"{shared} ports given twice")
        strays = sum(not _may_have(senders, self._allocation, *one) for one in got)
        if strays:
            wrong.append(f"{strays} ports that are not the NAT's to give")
        alone = len(senders) == 1
        if alone and self._allocation is PortAllocation.PRESERVING:
            moved = sum(senders[0].ports[number] != port for number, port in got)
            wrong += [f"{moved} not kept"] if moved else []
        if alone and self._allocation is PortAllocation.SEQUENTIAL:
            leaps = sum(after - before != 1 for (_, before), (_, after) in pairwise(got))
            wrong += [f"{leaps} not the next"] if leaps else []
        if wrong:
            return ", ".join(wrong)
        return WANTED[self._allocation] if alone else WANTED[self._allocation].partition(",")[0]


def _send(sender: _Sender, raw: socket.socket, part: range, target: Endpoint) -> None:
    """Datagrams `part` of one host on a processor of its own, and a fence: again from the first port."""
    allowed = sorted(os.sched_getaffinity(os.getpid()))
    os.sched_setaffinity(0, {allowed[sender.first // len(sender.ports) % len(allowed)]})
    make = _Datagrams(sender.host.address, target)
    for number in part:
        raw.sendto(make(sender.ports[number], sender.first + number), (target.address, 0))
    raw.sendto(make(sender.ports[0], _FENCE), (target.address, 0))


def _read(receiver: socket.socket, fences: int) -> list[tuple[int, int]]:
    """Number and external port of what arrives, until a fence of every host has."""
    found = []
    while fences:
        try:
            payload, (_, port) = receiver.recvfrom(64)
        except TimeoutError:
            raise NetworkError(
                f"a mapping that stood let nothing through for {TIMEOUT:g} s"
            ) from None
        (number,) = struct.unpack("!I", payload)
        if number == _FENCE:
            fences -= 1
        else:
            found.append((number, port))
    return found


def _check_room(host: Host, wanted: int) -> None:
    with in_namespace(host.pid):
        most = int(_MOST_TRACKED.read_text(encoding="ascii"))
    if most < wanted:
        raise NetworkError(
            f"this machine tracks {most} connections at most and a NAT has {wanted} ports: as root,"
            f" sysctl -w net.netfilter.nf_conntrack_max={2 * len(PORTS)}"
        )


class _Datagrams:
    """Makes UDP datagrams of four octets from one address to one endpoint, with their checksums."""

    def __init__(self, address: str, target: Endpoint) -> None:
        addresses = socket.inet_aton(address) + socket.inet_aton(target.address)
        # Length and the rest are filled in by the kernel (raw(7)).
        self._ip = struct.pack("!BBHHHBBH", 0x45, 0, 0, 0, 0, 64, socket.IPPROTO_UDP, 0) + addresses
        self._port = target.port
        self._sum = (
            sum(struct.unpack("!4H", addresses)) + socket.IPPROTO_UDP + 12 + 12 + target.port
        )

    def __call__(self, port: int, number: int) -> bytes:
        total = self._sum + port + (number >> 16) + (number & 0xFFFF)
        total = (total & 0xFFFF) + (total >> 16)
        total = ~(total + (total >> 16)) & 0xFFFF
        return self._ip + struct.pack("!HHHHI", port, self._port, 12, total or 0xFFFF, number)


def _may_have(
    senders: Sequence[_Sender], allocation: PortAllocation, number: int, port: int
) -> bool:
    if allocation is not PortAllocation.BLOCK_PER_HOST:
        return port in PORTS
    (sender,) = (each for each in senders if number - each.first in range(len(each.ports)))
    return port // BLOCK == int(sender.host.address.rpartition(".")[2])
