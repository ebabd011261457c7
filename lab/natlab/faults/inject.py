"""Make faults happen to a standing network and its programs.

Used inside the sandbox in which the network stands. Each method has happened when it returns: a fault
that could not be is an error, never a silence.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface, IPv6Address
from itertools import count
from signal import SIGKILL

from nat_traversal.errors import UsageError
from natlab.behavior import pool
from natlab.errors import NetworkError, ProgramError
from natlab.faults.grammar import Action, Fault, Injected, host_and_port, signal_number
from natlab.nat.forget import forget_endpoint
from natlab.network.addressing import Role
from natlab.network.interfaces import wait_until_running
from natlab.network.network import Network
from natlab.network.nodes import LabNode, Nat
from natlab.network.reload import load_rules
from natlab.presets import preset
from natlab.programs.program import Program
from natlab.programs.programs import Programs
from natlab.sandbox.netns import IP, Command, in_namespace, run_together

_LINK_TIMEOUT = 10.0
_ENDED_WITHIN = 10.0
_IPTABLES = {4: "iptables", 6: "ip6tables"}
_Words = tuple[str, ...]
"""A program of `_IPTABLES`, and what its rule matches."""


class Faults:
    """Makes faults happen to `network` and `programs`. Several threads may `inject`, one after the other.

    Every method raises `UsageError` for a node, interface or program that is not there, and
    `NetworkError` where the kernel refuses.
    """

    def __init__(self, network: Network, programs: Programs) -> None:
        self._network = network
        self._programs = programs
        self._restarted: dict[str, Program] = {}
        self._lost: dict[str, list[_Words]] = {}
        self._cut: set[frozenset[str]] = set()
        self._injecting = threading.RLock()
        self._actions: Mapping[Action, Callable[..., object]] = {
            Action.LINK_DOWN: self.link_down,
            Action.LINK_UP: self.link_up,
            Action.CUT: self.cut,
            Action.HEAL: self.heal,
            Action.NAT_REBOOT: self.reboot,
            Action.NAT_SWAP: self.swap,
            Action.WAN_ADDRESS: self.change_address,
            Action.EXPIRE: lambda nat, host: self.expire(nat, *host_and_port(host)),
            Action.BLOCK: self.block,
            Action.UNBLOCK: self.unblock,
            Action.RELAY_CUT: self.relay_cut,
            Action.RELAY_RESTORE: self.relay_restore,
            Action.SIGNAL: lambda name, which: self.signal(name, signal_number(which)),
            Action.RESTART: self.restart,
        }

    def inject(self, fault: Fault) -> Injected:
        """Make `fault` happen."""
        with self._injecting:
            self._actions[fault.action](*fault.arguments)
            return Injected(time.time(), fault)

    def check(self, fault: Fault) -> None:
        """Raise `UsageError` if `fault` names a node or interface that is not there.

        Programs may yet be started.
        """
        first, *others = fault.arguments
        match fault.action:
            case Action.LINK_DOWN | Action.LINK_UP:
                self._interfaces(first)
            case Action.CUT | Action.HEAL:
                self._ends(first, others[0])
            case Action.NAT_REBOOT | Action.NAT_SWAP:
                self._network.nat(first)
            case Action.WAN_ADDRESS:
                self._new_address(first, others[0])
            case Action.EXPIRE:
                self._network.nat(first)
                self._network.node(host_and_port(others[0])[0])
            case Action.BLOCK | Action.UNBLOCK:
                self._routers()
                self._way(first, others[0])
            case Action.RELAY_CUT | Action.RELAY_RESTORE:
                self._udp_of(first)

    def link_down(self, where: str) -> None:
        """Take an interface down, or all those of a node. Its routes go with it."""
        node, interfaces = self._interfaces(where)
        lines = [f"link set dev {interface} down" for interface in interfaces]
        run_together([_ip(node, lines)])

    def link_up(self, where: str) -> None:
        """Take it up again, with its addresses and routes; returns when the link carries frames.

        Raises `NetworkError` if the other end stays down.
        """
        node, interfaces = self._interfaces(where)
        run_together([_ip(node, node.interface_lines(interfaces))])
        deadline = time.monotonic() + _LINK_TIMEOUT
        with in_namespace(node.pid), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
            for interface in interfaces:
                wait_until_running(handle, interface, deadline)
        run_together([_ip(node, node.route_lines(interfaces))])

    def cut(self, one: str, other: str) -> None:
        """Nothing crosses the link between two neighbours from now on, and neither is told: no carrier is lost."""
        self._lose_frames("-I", one, other)

    def heal(self, one: str, other: str) -> None:
        """Undo `cut`."""
        self._lose_frames("-D", one, other)

    def reboot(self, nat: str) -> None:
        """The NAT forgets everything: connection tracking, and every set and map."""
        made = self._network.nat(nat)
        self._load(self._network.node(nat), made)

    def swap(self, nat: str, name: str) -> None:
        """The NAT becomes the preset `name` and remembers nothing.

        Raises `UsageError` where either is `none`: the hosts behind it have other addresses.
        """
        old = self._network.nat(nat)
        new = preset(name)
        if old.preset.behavior is None or new.behavior is None:
            raise UsageError(
                f"{nat} cannot change from {old.preset.name} to {new.name}: hosts behind `none` have"
                " addresses of their own"
            )
        node, wan = self._network.node(nat), old.ports.wan
        own = [text.partition("/")[0] for text in node.addresses[wan]]
        further = [each for each in pool(new.behavior, old.ports.wan_address) if each not in own]
        length = node.addresses[wan][0].partition("/")[2]
        run_together([_ip(node, [f"address add {each}/{length} dev {wan}" for each in further])])
        node.addresses[wan] = [*node.addresses[wan], *(f"{each}/{length}" for each in further)]
        self._load(node, replace(old, preset=new))

    def change_address(self, nat: str, address: str) -> None:
        """The NAT gets another external address of the same network, and remembers nothing."""
        old = self._network.nat(nat)
        node, wan = self._network.node(nat), old.ports.wan
        before, after = self._new_address(nat, address)
        lines = [f"address del {before} dev {wan}", f"address add {after} dev {wan}"]
        run_together([_ip(node, [*lines, *node.route_lines([wan])])])
        texts = [str(after) if text == str(before) else text for text in node.addresses[wan]]
        node.addresses[wan] = texts
        self._load(node, replace(old, ports=replace(old.ports, wan_address=str(after.ip))))

    def expire(self, nat: str, host: str, port: int | None = None) -> int:
        """The NAT forgets its UDP mappings of `host`, or of that port of it, and nothing else.

        Returns how many there were. Raises `NetworkError` if there was none.
        """
        self._network.nat(nat)
        inside = self._network.addresses(host)
        found = sum(
            forget_endpoint(self._network.pid(nat), str(address.ip), port)
            for group in inside.values()
            for address in group
            if address.version == 4
        )
        if not found:
            which = host if port is None else f"{host}:{port}"
            raise NetworkError(f"{nat} has no mapping of {which} that could expire")
        return found

    def block(self, source: str, target: str) -> None:
        """Routers lose everything from the addresses of node `source` to those of node `target`.

        Routers outside the NATs see the NATs' addresses: to block host_a's way to host_b name their
        NATs. The other direction stays open.
        """
        self._lose(f"the way from {source} to {target}", "blocked", self._way(source, target))

    def unblock(self, source: str, target: str) -> None:
        """Undo `block`."""
        self._let_through(f"the way from {source} to {target}", "blocked")

    def relay_cut(self, node: str) -> None:
        """Routers lose all UDP from and to the addresses of `node`. TCP still passes."""
        self._lose(f"the relay {node}", "cut", self._udp_of(node))

    def relay_restore(self, node: str) -> None:
        """Undo `relay_cut`."""
        self._let_through(f"the relay {node}", "cut")

    def signal(self, program: str, number: int) -> None:
        """Send a signal to a program that runs. After SIGKILL, return when it has ended."""
        running = self.program(program)
        if running.exit_status is not None:
            raise ProgramError(f"{program}: ended before, with status {running.exit_status}")
        running.signal(number)
        if number == SIGKILL:
            running.wait(timeout=_ENDED_WITHIN)

    def restart(self, program: str) -> Program:
        """Start a program again with the same command; if it runs, kill it first.

        Its output goes to files of its own, named with a number. It is not waited for.
        """
        old = self.program(program)
        if old.exit_status is None:
            self.signal(program, SIGKILL)
        name = next(
            name for name in (f"{program}-{n}" for n in count(2)) if not self._has_run(name)
        )
        new = self._programs.start(
            name, old.argv, old.node_pid, environment=old.environment, tell=old.tell
        )
        self._restarted[program] = new
        return new

    def program(self, name: str) -> Program:
        """The program that now runs as `name`: the last that was restarted, or the first.

        While a fault is being injected, its end is waited for.
        """
        with self._injecting:
            return self._restarted.get(name) or self._programs[name]

    def _has_run(self, name: str) -> bool:
        try:
            self._programs[name]
        except ProgramError:
            return False
        return True

    def _ends(self, one: str, other: str) -> list[tuple[LabNode, str]]:
        """Both ends of the link between two neighbours."""
        first, second = self._network.node(one), self._network.node(other)
        links = self._network.mininet.linksBetween(first, second)
        if len(links) != 1:
            many = "no link" if not links else f"{len(links)} links"
            raise UsageError(f"{many} between {one} and {other}: name two neighbours")
        return [(each.node, each.name) for each in (links[0].intf1, links[0].intf2)]

    def _lose_frames(self, verb: str, one: str, other: str) -> None:
        ends = self._ends(one, other)
        pair = frozenset((one, other))
        if (pair in self._cut) is (verb == "-I"):
            state = "cut already" if verb == "-I" else "not cut"
            raise UsageError(f"the link between {one} and {other} is {state}")
        for node, interface in ends:
            for program in _IPTABLES.values():
                match = ("PREROUTING", "-t", "raw", "-i", interface, "-j", "DROP")
                run_together([Command((program, "-w", verb, *match), "", node.pid)])
        self._cut ^= {pair}

    def _interfaces(self, where: str) -> tuple[LabNode, list[str]]:
        names = self._network.names
        for name in names:
            node = self._network.node(name)
            if name == where:
                return node, list(node.addresses)
            if where in node.addresses:
                return node, [where]
        raise UsageError(
            f"there is no node or interface {where!r}: the nodes are {', '.join(names)}"
        )

    def _new_address(self, nat: str, address: str) -> tuple[IPv4Interface, IPv4Interface]:
        """The external address of `nat`, and `address` with the same network."""
        made = self._network.nat(nat)
        if made.preset.behavior is None:
            raise UsageError(f"{nat} is `none`: its address is in no packet of its hosts")
        if made.preset.behavior.addresses > 1:
            raise UsageError(f"{nat} has several addresses, which belong together: none can change")
        node = self._network.node(nat)
        before = next(
            IPv4Interface(text)
            for text in node.addresses[made.ports.wan]
            if text.partition("/")[0] == made.ports.wan_address
        )
        network = before.network
        after = IPv4Interface(f"{address}/{network.prefixlen}")
        taken = {
            each.ip
            for name in self._network.names
            for group in self._network.addresses(name).values()
            for each in group
        }
        ends = {network.network_address, network.broadcast_address}
        if after.ip not in network or after.ip in taken | ends:
            raise UsageError(f"{nat} cannot become {address}: give a free address of {network}")
        return before, after

    def _load(self, node: LabNode, nat: Nat) -> None:
        load_rules(node, nat.rules)
        node.nat = nat

    def _way(self, source: str, target: str) -> list[_Words]:
        return [
            (_IPTABLES[one.version], "-s", str(one), "-d", str(to))
            for one in self._addresses(source)
            for to in self._addresses(target)
            if one.version == to.version
        ]

    def _udp_of(self, node: str) -> list[_Words]:
        return [
            (_IPTABLES[address.version], "-p", "udp", end, str(address))
            for address in self._addresses(node)
            for end in ("-s", "-d")
        ]

    def _addresses(self, node: str) -> list[IPv4Address | IPv6Address]:
        groups = self._network.addresses(node).values()
        return [address.ip for group in groups for address in group]

    def _lose(self, what: str, participle: str, rules: list[_Words]) -> None:
        if what in self._lost:
            raise UsageError(f"{what} is {participle} already")
        self._filter("-I", rules)
        self._lost[what] = rules

    def _let_through(self, what: str, participle: str) -> None:
        if what not in self._lost:
            raise UsageError(f"{what} is not {participle}")
        self._filter("-D", self._lost.pop(what))

    def _filter(self, verb: str, rules: list[_Words]) -> None:
        for name in self._routers():
            pid = self._network.pid(name)
            for program, *match in rules:  # they share a lock, so one after the other
                words = (program, "-w", verb, "FORWARD", *match, "-j", "DROP")
                run_together([Command(words, "", pid)])

    def _routers(self) -> Sequence[str]:
        routers = self._network.with_role(Role.ROUTER)
        if not routers:
            raise UsageError("this topology has no router that could lose anything")
        return routers


def _ip(node: LabNode, lines: Sequence[str]) -> Command:
    return Command(IP, "".join(f"{line}\n" for line in lines), node.pid)
