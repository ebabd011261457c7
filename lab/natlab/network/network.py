"""Build a topology of the lab in the current sandbox, and take it down."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv6Interface, ip_interface
from typing import Any

from mininet.cli import CLI
from mininet.net import Mininet
from mininet.topo import Topo
from mininet.util import numCores

from nat_traversal.errors import UsageError
from natlab.nat.rules import RuleSet
from natlab.network.addressing import Role
from natlab.network.interfaces import LINK_TIMEOUT, compute_checksums, wait_until_running
from natlab.network.nodes import LabNode, Nat
from natlab.network.reload import flush_connections
from natlab.sandbox.netns import IP, NFT, Command, in_namespace, run_together, set_sysctl

# Else Mininet tries to raise the machine's limits, in which a sandbox has no say.
Mininet.inited = True
# Else it asks `grep`, a process for each network.
numCores.ncores = os.cpu_count() or 1
_IPV6_SWITCH = "net.ipv6.conf.{}.disable_ipv6"

Address = IPv4Interface | IPv6Interface
Topology = Topo
"""Mininet's own; its nodes are `LabNode`s."""


@dataclass(frozen=True, slots=True)
class Network:
    """A standing network of `LabNode`s, each known by its name. An unknown one is a `UsageError`."""

    mininet: Any
    """Mininet's own object, for its command line (`mininet.cli.CLI`)."""

    @property
    def names(self) -> tuple[str, ...]:
        """Every node, in the order of Mininet's list."""
        return tuple(node.name for node in self.mininet.hosts)

    def with_role(self, role: Role) -> tuple[str, ...]:
        """The nodes that are this, in the same order."""
        return tuple(node.name for node in self.mininet.hosts if node.role == role)

    def node(self, name: str) -> LabNode:
        """The node called `name`."""
        if name not in self.names:
            raise UsageError(f"there is no node {name!r}: choose from {', '.join(self.names)}")
        found: LabNode = self.mininet[name]
        return found

    def pid(self, node: str) -> int:
        """The process that holds the namespaces of `node`, for `in_namespace` and ``mnexec -a``."""
        return int(self.node(node).pid)

    def addresses(self, node: str) -> Mapping[str, tuple[Address, ...]]:
        """The addresses of each interface of `node`, in the order of its topology."""
        return {
            interface: tuple(map(ip_interface, texts))
            for interface, texts in self.node(node).addresses.items()
        }

    def address(self, node: str) -> str:
        """The first address of `node`, without its network."""
        found = (each for group in self.addresses(node).values() for each in group)
        return str(next(found).ip)

    @property
    def server(self) -> str:
        """The first node that is a server. Raises `UsageError` if the topology has none."""
        for name in self.with_role(Role.SERVER):
            return name
        raise UsageError("this topology has no server: give one node the role `server`")

    @property
    def delays(self) -> Mapping[tuple[str, str], float]:
        """Seconds, one way, that the topology gives to links between neighbours."""
        return dict(getattr(self.mininet.topo, "delays", {}))

    @property
    def rules(self) -> Mapping[str, RuleSet]:
        """The rules now loaded into each NAT, by node name."""
        nats = (self.node(name) for name in self.with_role(Role.NAT))
        return {node.name: node.rules for node in nats if node.rules}

    def nat(self, node: str) -> Nat:
        """The present preset of the NAT `node`. Raises `UsageError` if it is no NAT."""
        found: Nat | None = self.node(node).nat
        if found is None:
            raise UsageError(
                f"{node} is no NAT: choose from {', '.join(self.with_role(Role.NAT)) or 'none'}"
            )
        return found

    def prompt(self) -> None:
        """Mininet's own command line on the standing network, until the user leaves it."""
        CLI(self.mininet)

    def forget(self, *nats: str) -> None:
        """Clear everything that each of `nats` remembers, as a reboot does.

        Raises `UsageError` if one is none, and `NetworkError` if the kernel refuses.
        """
        for name in nats:
            self.nat(name)
        loaded = [(self.pid(name), rules) for name, rules in self.rules.items() if name in nats]
        for pid, rules in loaded:
            if rules.nft or rules.iptables:
                with in_namespace(pid):
                    flush_connections()
        ipv6 = [(self.pid(name), self.node(name).firewall) for name in nats]
        run_together(Command(NFT, text, pid) for pid, text in ipv6 if text)
        run_together(
            command
            for pid, rules in loaded
            for command, is_loaded in (
                (Command(NFT, rules.nft, pid), rules.nft),
                (Command(("ipset", "flush"), "", pid), rules.ipset),
            )
            if is_loaded
        )


@contextmanager
def standing(topology: Topo) -> Iterator[Network]:
    """The network of a topology of `LabNode`s, up and carrying traffic; down at the end of the block.

    To be used inside `natlab.sandbox.sandbox.call`. Raises `NetworkError` if a part cannot be made or a link
    does not come up.
    """
    with _up(topology) as net:
        yield Network(net)


@contextmanager
def _up(topology: Topo) -> Iterator[Mininet]:
    net = _LabNet(topo=topology, build=False, controller=None)
    try:
        net.build()
        yield net
    finally:
        net.stop()


class _LabNet(Mininet):  # type: ignore[misc]
    """Mininet that configures all nodes at once instead of one by one."""

    def addLink(self, node1: object, node2: object, **params: object) -> object:  # noqa: N802
        return super().addLink(node1, node2, batch=self.batch, **params)

    def build(self) -> None:
        self.batch: list[str] = []
        self.buildFromTopo(self.topo)
        nodes: list[LabNode] = self.hosts
        for node in nodes:
            node.wait_until_held()
            if not node.has_ipv6:
                with in_namespace(node.pid):
                    set_sysctl(_IPV6_SWITCH.format("all"), 1)
                    set_sysctl(_IPV6_SWITCH.format("lo"), 0)  # programs expect ::1
        links = Command(IP, "".join(self.batch))
        run_together([links, *(command for node in nodes for command in node.early_commands())])
        run_together(command for node in nodes for command in node.late_commands())
        deadline = time.monotonic() + LINK_TIMEOUT
        for node in nodes:
            node.apply_sysctls()
            with in_namespace(node.pid), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
                for interface in node.addresses:
                    wait_until_running(handle, interface, deadline)
                    compute_checksums(handle, interface)
        for node in nodes:
            node.ask_anew()
        self.built = True

    def stop(self) -> None:
        for node in self.hosts:  # all first, and then Mininet waits for each
            node.holder.kill()
        super().stop()
