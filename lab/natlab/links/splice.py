"""Cut a standing link open in the middle, so that something can stand between its two ends.

One end keeps its interface; that one's peer moves into this process's own namespace, where nothing
else is. The other end gets a new interface of the same name, index, address and routes, whose peer is
in this namespace as well. A frame then needs something to carry it from the one peer to the other.
Both ends show when a frame really left and really arrived, and what is lost on the way is seen to be.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from natlab.errors import NetworkError
from natlab.network.interfaces import compute_checksums, wait_until_running
from natlab.sandbox import iproute
from natlab.sandbox.netlink import Netlink
from natlab.sandbox.netns import IP, IP_ALL, Command, in_namespace, routing, run_together

_numbers = count(1)
_UP_WITHIN = 10.0
_FIRST_INDEX = 1_000_000


@dataclass(frozen=True, slots=True)
class End:
    """One end of a link: the process that holds its node's namespaces, and its interface there."""

    pid: int
    interface: str


@dataclass(frozen=True, slots=True)
class Splice:
    """An open link. `kept` and `renewed` are its ends, the others its two inner interfaces, here."""

    kept: End
    renewed: End
    at_kept: str
    at_renewed: str
    _configuration: str
    """Lines for ``ip -batch`` that configure the renewed end's interface."""
    _known_to_kept: tuple[str, ...]
    """The addresses of the renewed end."""
    mtu: int
    """Before the conditions, in octets."""

    def set_mtu(self, mtu: int) -> None:
        """Give the whole link another MTU. Raises `NetworkError`."""
        inner = [f"link set dev {name} mtu {mtu}\n" for name in (self.at_kept, self.at_renewed)]
        run_together([Command(IP, "".join(inner))])
        for end in (self.kept, self.renewed):
            set_mtu(end, mtu)

    def close(self) -> None:
        """Make the link what it was. Raises `NetworkError` if the kernel refuses."""
        name = self.renewed.interface
        run_together([Command(IP, f"link delete dev {self.at_renewed}\n")])
        moved = f"link set dev {self.at_kept} netns {self.renewed.pid} name {name}\n"
        run_together([Command(IP, moved)])
        restored = f"link set dev {name} mtu {self.mtu}\n{self._configuration}"
        forgotten = [
            f"neighbor delete {address} dev {self.kept.interface}\n"
            for address in self._known_to_kept
        ]
        run_together(
            [
                Command(IP, restored, self.renewed.pid),
                Command(
                    IP_ALL,
                    f"link set dev {self.kept.interface} mtu {self.mtu}\n{''.join(forgotten)}",
                    self.kept.pid,
                ),
            ]
        )
        _wait_for((self.kept, self.renewed), ())


def splice(kept: End, renewed: End) -> Splice:
    """Cut the veth pair between two ends open. Raises `NetworkError` if the kernel refuses.

    Nothing crosses until the two inner interfaces are joined.
    """
    number = next(_numbers)
    at_kept, at_renewed = f"link{number}-a", f"link{number}-b"
    name = renewed.interface
    link = _link(renewed)
    configuration = _configuration(renewed)
    run_together(
        [Command(IP, f"link set dev {name} netns {os.getpid()} name {at_kept}\n", renewed.pid)]
    )
    run_together([Command(IP, made_anew(link, at_renewed, number, os.getpid()), renewed.pid)])
    for inner in (at_kept, at_renewed):
        _silence(inner)
    up = "".join(f"link set dev {inner} up\n" for inner in (at_kept, at_renewed))
    run_together([Command(IP, configuration, renewed.pid), Command(IP, up)])
    _wait_for((kept, renewed), (at_kept, at_renewed))
    run_together([_neighbours(kept, renewed), _neighbours(renewed, kept)])
    return Splice(kept, renewed, at_kept, at_renewed, configuration, _addresses(renewed), link.mtu)


def made_anew(link: iproute.Interface, peer: str, number: int, here: int) -> str:
    """A line for ``ip -batch``, in the end's namespace, that makes `link` with a `peer` in another.

    That is the namespace of the process `here`. Not the other way round: Linux before 6.13 looks for
    an interface with the new one's index where the command runs, and there the old one is now.
    """
    # Equal indices at both ends would put off noticing that it is up (lab/natlab/network/nodes.py).
    return (
        f"link add name {link.name} index {link.index} mtu {link.mtu}"
        f" address {link.hardware} type veth peer name {peer} mtu {link.mtu}"
        f" index {_FIRST_INDEX + number} netns {here}\n"
    )


def set_mtu(end: End, mtu: int) -> None:
    """Give one end another MTU, in octets. Raises `NetworkError`."""
    run_together([Command(IP, f"link set dev {end.interface} mtu {mtu}\n", end.pid)])


def mtu_of(end: End) -> int:
    """The MTU of one end, in octets."""
    return _link(end).mtu


def _configuration(end: End) -> str:
    """All that the kernel forgets of an interface that goes, as ``ip -batch`` lines."""
    name = end.interface
    with _asking(end) as netlink:
        master = iproute.interface(netlink, name).master
        addresses, routes = iproute.addresses(netlink, name), iproute.routes(netlink, name)
    lines = [f"link set dev {name} master {master}"] if master else []
    lines += [
        f"address add {address} dev {name}" + (" nodad" if ":" in address else "")
        for address in addresses
    ]
    lines.append(f"link set dev {name} up")
    lines += [f"route replace {route}" for route in routes]
    return "\n".join(lines) + "\n"


def _neighbours(at: End, of: End) -> Command:
    """Tell one end the other's hardware address, so that no question about it crosses the link."""
    hardware = _link(of).hardware
    lines = [
        f"neighbor replace {address} lladdr {hardware} dev {at.interface} nud permanent\n"
        for address in _addresses(of)
    ]
    return Command(IP, "".join(lines), at.pid)


def _addresses(end: End) -> tuple[str, ...]:
    with _asking(end) as netlink:
        return tuple(each.partition("/")[0] for each in iproute.addresses(netlink, end.interface))


def _link(end: End) -> iproute.Interface:
    with _asking(end) as netlink:
        return iproute.interface(netlink, end.interface)


@contextmanager
def _asking(end: End) -> Iterator[Netlink]:
    try:
        with routing(end.pid) as netlink:
            yield netlink
    except OSError as error:
        raise NetworkError(f"cannot ask for {end.interface}: {error.strerror}") from None


def _silence(interface: str) -> None:
    """Keep the kernel from sending anything of its own from an inner interface."""
    setting = Path("/proc/sys/net/ipv6/conf", interface, "disable_ipv6")
    if setting.exists():
        setting.write_text("1\n", encoding="ascii")


def _wait_for(ends: Sequence[End], inner: Sequence[str]) -> None:
    """Until every interface sends. Checksums are computed before a frame leaves."""
    deadline = time.monotonic() + _UP_WITHIN
    for end in ends:
        with in_namespace(end.pid):
            _settle(end.interface, deadline)
    for interface in inner:
        _settle(interface, deadline)


def _settle(interface: str, deadline: float) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
        wait_until_running(handle, interface, deadline)
        compute_checksums(handle, interface)
