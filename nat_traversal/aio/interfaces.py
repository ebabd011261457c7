"""This host's own addresses, of the interfaces by which another host of the same network may reach it.

Never of Docker, libvirt, or tunnels, ours or others': their addresses mean nothing elsewhere. Linux tells
(netdevice(7)); other systems have none here.
"""

from __future__ import annotations

import contextlib
import re
import socket
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from nat_traversal.aio.features import LINUX
from nat_traversal.aio.packet_io import endpoint_of
from nat_traversal.wire.addresses import is_link_local, is_private, is_usable
from nat_traversal.wire.endpoint import Endpoint

_GET_FLAGS, _GET_ADDRESS = 0x8913, 0x8915
"""SIOCGIFFLAGS and SIOCGIFADDR of linux/sockios.h."""
_UP, _LOOPBACK, _POINT_TO_POINT, _RUNNING = 0x1, 0x8, 0x10, 0x40
_REQUEST = struct.Struct("16s24x")
_ELSEWHERE = re.compile(
    r"(docker|br-[0-9a-f]{12}$|veth[0-9a-f]|virbr|vnet|lxc|lxd|cni|cali|flannel|podman|kube|nerdctl"
    r"|tun|tap|wg|tailscale|zt|nebula|utun|ipsec|ppp)"
)
"""Beginnings of names: of containers, machines and tunnels."""
_INTERFACES = Path("/sys/class/net")
_ADDRESSES6 = Path("/proc/net/if_inet6")
_SOMEWHERE = Endpoint("2000::", 9)
"""In the range of addresses that the internet has (RFC 4291 section 2.4)."""
_FAR = Endpoint("1.0.0.0", 9)
"""The same of IPv4."""


def hosts_of(sock: socket.socket) -> tuple[Endpoint, ...]:
    """Where other hosts may reach that UDP socket in their own network."""
    here = endpoint_of(sock.getsockname())
    found = host_addresses() if sock.family == socket.AF_INET else []
    return tuple(Endpoint(address, here.port) for address in found)


def host_addresses(names: Callable[[], list[tuple[int, str]]] = socket.if_nameindex) -> list[str]:
    """The first IPv4 address of each interface that is up and leads to other hosts, the likeliest first: few are told."""
    if not LINUX:
        return []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        found = [
            Found(name, address, is_running=bool(_runs(sock, name)))
            for _, name in names()
            if is_plausible(name, _INTERFACES)
            for address in _addresses(sock, name)
        ]
    return likeliest_first(found, source_towards(_FAR), _INTERFACES)


class Found(NamedTuple):
    """An interface with an address of this host."""

    name: str
    address: str
    is_running: bool
    """A carrier is there."""


def likeliest_first(found: list[Found], outward: str | None, interfaces: Path) -> list[str]:
    """The addresses, of which another host of this network can reach the first most likely: `outward`, from which datagrams
    to the internet leave; those with a carrier; those of Ethernet and Wi-Fi; the kernel's order."""

    def doubts(each: Found) -> tuple[bool, bool, bool]:
        is_card = (interfaces / each.name / "device").exists()
        return each.address != outward, not each.is_running, not is_card

    return [each.address for each in sorted(found, key=doubts)]


def networks() -> frozenset[tuple[str, int, str]]:
    """The interfaces that lead to other hosts: name, whether a carrier is there, and the first IPv4 address; and the IPv6
    address by which this host reaches others."""
    found: set[tuple[str, int, str]] = set()
    if not LINUX:
        return frozenset(("", 1, each) for each in (source_towards(_FAR), ipv6_address()) if each)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for _, name in socket.if_nameindex():
            if is_plausible(name, _INTERFACES):
                found |= {(name, _runs(sock, name), each) for each in _addresses(sock, name)}
    if (ours := ipv6_address()) is not None:
        found.add(("", 1, ours))
    return frozenset(found)


def source_towards(remote: Endpoint) -> str | None:
    """The address of this host from which datagrams to `remote` would leave now; None: there is no way."""
    family = socket.AF_INET6 if remote.family == 6 else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.connect(remote.sockaddr)  # nothing is sent
            return endpoint_of(sock.getsockname()).address
    except OSError:
        return None


def has_ipv4() -> bool:
    """Whether this host has a way to IPv4 ones."""
    return source_towards(_FAR) is not None


def has_ipv6() -> bool:
    """The same of IPv6."""
    return source_towards(_SOMEWHERE) is not None


def ipv6_address() -> str | None:
    """The IPv6 address by which this host reaches others; None: it has no way to them, or one by a tunnel alone."""
    address = source_towards(_SOMEWHERE)
    if address is None:
        return None
    if is_private(address) or not is_usable(address) or is_link_local(address):
        return None
    name = _interface_of(address)
    return address if name is None or is_plausible(name, _INTERFACES) else None


def _interface_of(address: str) -> str | None:
    digits = socket.inet_pton(socket.AF_INET6, address).hex()
    with contextlib.suppress(OSError):
        for line in _ADDRESSES6.read_text(encoding="ascii").splitlines():
            if line.startswith(digits):
                return line.split()[-1]
    return None


def is_plausible(name: str, interfaces: Path) -> bool:
    """Whether another host may be behind the interface, by its name and by what it is."""
    return _ELSEWHERE.match(name) is None and not (interfaces / name / "tun_flags").exists()


def _runs(sock: socket.socket, name: str) -> int:
    """1 while the interface has a carrier."""
    import fcntl  # noqa: PLC0415 - not on every system

    with contextlib.suppress(OSError):
        request = _REQUEST.pack(name.encode())
        (flags,) = struct.unpack_from("h", fcntl.ioctl(sock, _GET_FLAGS, request), 16)
        return int(flags & _RUNNING != 0)
    return 0


def _addresses(sock: socket.socket, name: str) -> Iterator[str]:
    import fcntl  # noqa: PLC0415 - not on every system

    request = _REQUEST.pack(name.encode())
    with contextlib.suppress(OSError):  # it has no address, or is gone
        (flags,) = struct.unpack_from("h", fcntl.ioctl(sock, _GET_FLAGS, request), 16)
        if flags & _UP and not flags & (_LOOPBACK | _POINT_TO_POINT):
            yield socket.inet_ntoa(fcntl.ioctl(sock, _GET_ADDRESS, request)[20:24])
