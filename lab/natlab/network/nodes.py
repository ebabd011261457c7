"""Mininet nodes and links that configure themselves, without the parts that a lab cell has no use for.

A stock Mininet node is an interactive bash, and every address costs a conversation with it. Here a
`cat` holds a node's namespaces and ends with this process. Lines of ``ip -batch``, mostly without
a process, make all of a node's settings. bash starts when somebody asks for `cmd()` or uses the `mn` prompt.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_interface
from itertools import count
from pathlib import Path
from types import MappingProxyType

from mininet.link import Intf, Link
from mininet.node import Node

from nat_traversal.errors import UsageError
from natlab.errors import NetworkError
from natlab.nat.rules import Firewall, RouterPorts, RuleSet, rules_for
from natlab.network.addressing import Role
from natlab.network.names import ask_for_names
from natlab.network.port_mapper import PortMapper
from natlab.network.syn_holder import SynHolder
from natlab.network.translator import Nat64, Translator
from natlab.presets import Preset, preset
from natlab.sandbox.machine import NO_SYSFS
from natlab.sandbox.netns import IP, NFT, NODE_MARK, Command, in_namespace, run_together, set_sysctl

_HOLDER = ("mnexec", "-dnp", "cat")
# mnexec would end where it cannot mount /sys.
_HOLDER_WITHOUT_SYSFS = ("unshare", "--net", "--mount", "sh", "-c", "echo $$; exec cat")
_indices = count(100)
_BRIDGE_SETTINGS = ("net.bridge.bridge-nf-call-iptables", "net.bridge.bridge-nf-call-ip6tables")
FORWARDING = rules_for(preset("none"), RouterPorts("", "", "", ""))
"""Loaded into a router: it forwards, and nothing else."""


@dataclass(frozen=True, slots=True)
class Nat:
    """A NAT's behaviour, and all that is needed to make it another one."""

    preset: Preset
    ports: RouterPorts
    firewall: Firewall = Firewall.NFTABLES

    @property
    def rules(self) -> RuleSet:
        return rules_for(self.preset, self.ports, self.firewall)


class LabNode(Node):  # type: ignore[misc]
    """A host, NAT, router or server. `rules` is what makes it forward or translate.

    `addresses` are CIDR texts by interface name; `routes` what ``ip route replace`` takes; `bridges`
    are names of bridges of its own, each with the interfaces that it joins (a home router's LAN
    side). An IPv6 address makes it dual-stack, without one it has no IPv6 at all; `firewall` is for
    ``nft -f -``.
    """

    def __init__(
        self,
        name: str,
        *,
        addresses: Mapping[str, Sequence[str]],
        routes: Sequence[str] = (),
        rules: RuleSet | None = None,
        role: Role = Role.HOST,
        nat: Nat | None = None,
        bridges: Mapping[str, Sequence[str]] = MappingProxyType({}),
        firewall: str = "",
        nat64: Nat64 | None = None,
        resolver: str = "",
        **params: object,
    ) -> None:
        self.addresses = dict(addresses)
        self.routes = routes
        self.rules = rules
        self.role = Role(role)
        self.nat = nat
        self.bridges = bridges
        self.firewall = firewall
        self.holder: subprocess.Popen[bytes] | None = None
        self.nat64 = nat64
        self.resolver = resolver
        self.translator: Translator | None = None
        self.running: list[PortMapper | SynHolder] = []
        """The programs that run here for the rules."""
        super().__init__(name, **params)

    @classmethod
    def setup(cls) -> None:
        """Mininet asks for ifconfig here; these nodes only need mnexec, which says so itself."""

    def startShell(self, mnopts: str | None = None) -> None:  # noqa: N802
        """First the namespaces; bash joins them when it is wanted."""
        if self.holder is None:
            try:
                # Without Mininet's -c: it closes each number that a file may have, one by one.
                self.holder = subprocess.Popen(
                    _HOLDER_WITHOUT_SYSFS if NO_SYSFS in os.environ else _HOLDER,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    # By the mark `lab shell` finds it. More would be copied for each node, and read by `cat`.
                    env={"PATH": os.environ.get("PATH", os.defpath), NODE_MARK: self.name},
                    start_new_session=NO_SYSFS in os.environ,  # mnexec makes its own
                )
            except OSError as error:
                raise NetworkError(
                    f"cannot start mnexec: {error.strerror}; install Debian's mininet package"
                ) from None
            self.pid = self.holder.pid
            return
        self.inNamespace = False  # else Mininet would give bash a namespace of its own
        super().startShell(mnopts or f"-da{self.holder.pid}")
        self.inNamespace = True
        self.pid = self.holder.pid

    def wait_until_held(self) -> None:
        """Return when the namespaces exist. Raises `NetworkError` if they could not be made."""
        assert self.holder is not None
        assert self.holder.stdout is not None
        # mnexec -p tells its pid after it has left the old namespaces (-n).
        if not self.holder.stdout.closed:
            told = self.holder.stdout.readline()
            self.holder.stdout.close()
            if not told:
                raise NetworkError(f"mnexec could not make the namespaces of {self.name}")
            if self.has_ipv6:
                # Else each link-local address is on probation for a second, and a router whose is
                # cannot ask for the neighbours to which it forwards.
                with in_namespace(self.pid):
                    set_sysctl("net.ipv6.conf.default.accept_dad", 0)

    def cmd(self, *args: object, **kwargs: object) -> object:
        if self.shell is None:
            self.startShell()
        return super().cmd(*args, **kwargs)

    def sendCmd(self, *args: object, **kwargs: object) -> None:  # noqa: N802
        if self.shell is None:
            self.startShell()
        super().sendCmd(*args, **kwargs)

    def early_commands(self) -> list[Command]:
        """The commands that can run before the node has interfaces."""
        texts = (
            (NFT, self.rules.nft if self.rules else ""),
            (NFT, self.firewall),
            (("ipset", "restore"), self.rules.ipset if self.rules else ""),
        )
        return [Command(words, text, self.pid) for words, text in texts if text]

    def late_commands(self) -> list[Command]:
        """The commands that have to wait for the early ones and for the links."""
        lines = ["link set dev lo up"]
        for bridge, members in self.bridges.items():
            lines.append(f"link add name {bridge} type bridge forward_delay 0")
            lines += [f"link set dev {member} master {bridge}" for member in members]
        lines += self.interface_lines(self.addresses) + self.route_lines(self.addresses)
        commands = [Command(IP, "\n".join(lines) + "\n", self.pid)]
        if self.rules and self.rules.iptables:
            commands.append(Command(("iptables-restore",), self.rules.iptables, self.pid))
        return commands

    def interface_lines(self, interfaces: Iterable[str]) -> list[str]:
        """Addresses, and up, as lines of ``ip -batch``."""
        lines = []
        for interface in interfaces:
            lines += [_address_line(address, interface) for address in self.addresses[interface]]
            lines.append(f"link set dev {interface} up")
        return lines

    def route_lines(self, interfaces: Iterable[str]) -> list[str]:
        """The routes over these interfaces, which go when they are down, for ``ip -batch``."""
        wanted = set(interfaces)
        return [f"route replace {each}" for each in self.routes if self._interface(each) in wanted]

    def _interface(self, route: str) -> str | None:
        """Where `route` leads: ``dev`` says it, or whose network the gateway is in."""
        words = route.split()
        if "dev" in words:
            return words[words.index("dev") + 1]
        gateway = ip_address(words[words.index("via") + 1])
        for interface, addresses in self.addresses.items():
            if any(gateway in ip_interface(text).network for text in addresses):
                return interface
        raise UsageError(f"{self.name}: no interface is in the network of the route {route!r}")

    @property
    def has_ipv6(self) -> bool:
        return any(":" in text for group in self.addresses.values() for text in group)

    def apply_sysctls(self) -> None:
        with in_namespace(self.pid):
            if self.has_ipv6 and self.rules:
                set_sysctl("net.ipv6.conf.all.forwarding", 1)
            if self.bridges:
                # 1 in a new namespace: frames between LAN hosts would pass through the NAT's rules.
                # They are there only if br_netfilter is loaded, as Docker does.
                for setting in _BRIDGE_SETTINGS:
                    if Path("/proc/sys", *setting.split(".")).exists():
                        set_sysctl(setting, 0)
            for name, value in self.rules.sysctls if self.rules else ():
                set_sysctl(name, value)

    def config(self, **_params: object) -> dict[str, object]:
        """Mininet's hook, node by node, after the links are made."""
        run_together(self.early_commands())
        run_together(self.late_commands())
        self.apply_sysctls()
        self.ask_anew()
        return {}

    def ask_anew(self) -> None:
        """Run what the rules want and knows nothing yet, and a translator. The interfaces have to exist. Then
        programs here may ask for names."""
        self._end_programs()
        if self.rules is not None and self.rules.miniupnpd:
            self.running.append(PortMapper(self.pid, self.rules.miniupnpd))
        if self.rules is not None and self.rules.syn_group:
            self.running.append(SynHolder(self.pid, self.rules.syn_group))
        if self.nat64 is not None and self.translator is None:
            self.translator = Translator(self.pid, self.nat64)

        if self.resolver:
            ask_for_names(self.pid, self.resolver)
            self.resolver = ""

    def _end_programs(self) -> None:
        while self.running:
            self.running.pop().end()

    def terminate(self) -> None:
        super().terminate()
        self.end()

    def end(self) -> None:
        """Give up the namespaces. The kernel removes their interfaces when the last process left."""
        self._end_programs()
        if self.translator is not None:
            self.translator.end()
            self.translator = None
        if self.holder is not None:
            self.holder.kill()
            self.holder.wait()
            for pipe in (self.holder.stdin, self.holder.stdout):
                if pipe is not None:
                    pipe.close()
            self.holder = None


def _address_line(address: str, interface: str) -> str:
    # Without nodad the kernel looks for an owner of an IPv6 address for a second before it is used.
    return f"address replace {address} dev {interface}" + (" nodad" if ":" in address else "")


class LabIntf(Intf):  # type: ignore[misc]
    """An interface whose node configures it."""

    def config(self, **_params: object) -> dict[str, object]:
        for first in self.node.addresses.get(self.name, ())[:1]:  # a bridge's member has none
            self.ip, self.prefixLen = first.split("/")
        return {}


class LabLink(Link):  # type: ignore[misc]
    """A veth pair made directly in its nodes' namespaces, which end it when they end.

    With `batch` the ``ip`` command is added to that list instead of being run.
    """

    def __init__(
        self, node1: LabNode, node2: LabNode, *, batch: list[str] | None = None, **params: object
    ) -> None:
        self.batch = batch
        super().__init__(node1, node2, **{**params, "intf": LabIntf})

    def makeIntfPair(  # noqa: N802, PLR0917 - Mininet's signature
        self,
        name1: str,
        name2: str,
        address1: str,
        address2: str,
        node1: LabNode,
        node2: LabNode,
        **_params: object,
    ) -> None:
        # With equal indices at both ends, as they are by default, the kernel puts off noticing that
        # the link is up, by as much as a second (linkwatch_urgent_event in net/core/link_watch.c).
        line = (
            f"link add name {name1} netns {node1.pid} address {address1} index {next(_indices)}"
            f" type veth peer name {name2} netns {node2.pid} address {address2}"
            f" index {next(_indices)}\n"
        )
        if self.batch is not None:
            self.batch.append(line)
            return
        node1.wait_until_held()
        node2.wait_until_held()
        run_together([Command(IP, line)])

    def stop(self) -> None:
        pass
