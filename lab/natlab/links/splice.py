"""Cut a standing link open in the middle, so that something can stand between its two ends.

One end keeps its interface; that one's peer moves into this process's own namespace, where nothing
else is. The other end gets a new interface of the same name, index, address and routes, whose peer is
in this namespace as well. A frame then needs something to carry it from the one peer to the other.
Both ends show when a frame really left and really arrived, and what is lost on the way is seen to be.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from natlab.errors import NetworkError
from natlab.network.interfaces import compute_checksums, wait_until_running
from natlab.sandbox.netns import Command, in_namespace, run_together

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
        run_together([Command(_IP, "".join(inner))])
        for end in (self.kept, self.renewed):
            set_mtu(end, mtu)

    def close(self) -> None:
        """Make the link what it was. Raises `NetworkError` if the kernel refuses."""
        name = self.renewed.interface
        run_together([Command(_IP, f"link delete dev {self.at_renewed}\n")])
        moved = f"link set dev {self.at_kept} netns {self.renewed.pid} name {name}\n"
        run_together([Command(_IP, moved)])
        restored = f"link set dev {name} mtu {self.mtu}\n{self._configuration}"
        forgotten = [
            f"neighbor delete {address} dev {self.kept.interface}\n"
            for address in self._known_to_kept
        ]
        run_together(
            [
                Command(_IP, restored, self.renewed.pid),
                Command(
                    _IP_ALL,
                    f"link set dev {self.kept.interface} mtu {self.mtu}\n{''.join(forgotten)}",
                    self.kept.pid,
                ),
            ]
        )
        _wait_for((self.kept, self.renewed), ())


_IP = ("ip", "-batch", "-")
_IP_ALL = ("ip", "-force", "-batch", "-")


def splice(kept: End, renewed: End) -> Splice:
    """Cut the veth pair between two ends open. Raises `NetworkError` if the kernel refuses.

    Nothing crosses until the two inner interfaces are joined.
    """
    number = next(_numbers)
    at_kept, at_renewed = f"link{number}-a", f"link{number}-b"
    name = renewed.interface
    (link,) = _show(renewed.pid, "link", "show", "dev", name)
    configuration = _configuration(renewed)
    run_together(
        [Command(_IP, f"link set dev {name} netns {os.getpid()} name {at_kept}\n", renewed.pid)]
    )
    run_together([Command(_IP, made_anew(link, at_renewed, number, os.getpid()), renewed.pid)])
    for inner in (at_kept, at_renewed):
        _silence(inner)
    up = "".join(f"link set dev {inner} up\n" for inner in (at_kept, at_renewed))
    run_together([Command(_IP, configuration, renewed.pid), Command(_IP, up)])
    _wait_for((kept, renewed), (at_kept, at_renewed))
    run_together([_neighbours(kept, renewed), _neighbours(renewed, kept)])
    return Splice(
        kept, renewed, at_kept, at_renewed, configuration, _addresses(renewed), link["mtu"]
    )


def made_anew(link: dict[str, Any], peer: str, number: int, here: int) -> str:
    """A line for ``ip -batch``, in the end's namespace, that makes `link` with a `peer` in another.

    That is the namespace of the process `here`. Not the other way round: Linux before 6.13 looks for
    an interface with the new one's index where the command runs, and there the old one is now.
    """
    # Equal indices at both ends would put off noticing that it is up (lab/natlab/network/nodes.py).
    return (
        f"link add name {link['ifname']} index {link['ifindex']} mtu {link['mtu']}"
        f" address {link['address']} type veth peer name {peer} mtu {link['mtu']}"
        f" index {_FIRST_INDEX + number} netns {here}\n"
    )


def set_mtu(end: End, mtu: int) -> None:
    """Give one end another MTU, in octets. Raises `NetworkError`."""
    run_together([Command(_IP, f"link set dev {end.interface} mtu {mtu}\n", end.pid)])


def mtu_of(end: End) -> int:
    """The MTU of one end, in octets."""
    (link,) = _show(end.pid, "link", "show", "dev", end.interface)
    return int(link["mtu"])


def _configuration(end: End) -> str:
    """All that the kernel forgets of an interface that goes, as ``ip -batch`` lines."""
    name = end.interface
    (link,) = _show(end.pid, "link", "show", "dev", name)
    lines = []
    if "master" in link:
        lines.append(f"link set dev {name} master {link['master']}")
    lines += [
        f"address add {address['local']}/{address['prefixlen']} dev {name}"
        + (" nodad" if address["family"] == "inet6" else "")
        for address in _global_addresses(end)
    ]
    lines.append(f"link set dev {name} up")
    for family in ("-4", "-6"):
        for route in _show(end.pid, family, "route", "show", "dev", name):
            if route.get("protocol") == "kernel":
                continue
            words = [f"route replace {route['dst']} dev {name}"]
            for key, word in (("gateway", "via"), ("prefsrc", "src"), ("metric", "metric")):
                if key in route:
                    words.append(f"{word} {route[key]}")
            lines.append(" ".join(words))
    return "\n".join(lines) + "\n"


def _neighbours(at: End, of: End) -> Command:
    """Tell one end the other's hardware address, so that no question about it crosses the link."""
    (link,) = _show(of.pid, "link", "show", "dev", of.interface)
    lines = [
        f"neighbor replace {address} lladdr {link['address']} dev {at.interface} nud permanent\n"
        for address in _addresses(of)
    ]
    return Command(_IP, "".join(lines), at.pid)


def _addresses(end: End) -> tuple[str, ...]:
    return tuple(address["local"] for address in _global_addresses(end))


def _global_addresses(end: End) -> list[dict[str, Any]]:
    (found,) = _show(end.pid, "address", "show", "dev", end.interface)
    return [address for address in found["addr_info"] if address["scope"] == "global"]


def _show(pid: int, *words: str) -> list[dict[str, Any]]:
    with in_namespace(pid):
        done = subprocess.run(
            ["ip", "-j", *words],
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
    if done.returncode != 0:
        raise NetworkError(f"ip {' '.join(words)}: {done.stderr.strip()}")
    # With nothing to show, some versions say nothing, some say "[]", and old ones "[{}]".
    shown: list[dict[str, Any]] = json.loads(done.stdout or "[]")
    return [each for each in shown if each]


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
