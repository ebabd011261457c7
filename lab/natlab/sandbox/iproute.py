"""The lines of ``ip -batch`` that the lab writes, carried out by the kernel without a process; and what ``ip`` would show.

A process for each costs more than all that it does. A line that is not known here is left to ``ip`` itself.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_interface, ip_network

from natlab.sandbox.netlink import CREATE, EXCLUSIVE, REPLACE, Netlink, attribute, attributes

# linux/rtnetlink.h, if_link.h, if_addr.h, neighbour.h, veth.h
_NEW_LINK, _DELETE_LINK, _GET_LINK = 16, 17, 18
_NEW_ADDRESS, _DELETE_ADDRESS, _GET_ADDRESS = 20, 21, 22
_NEW_ROUTE, _DELETE_ROUTE, _GET_ROUTE = 24, 25, 26
_NEW_NEIGHBOUR, _DELETE_NEIGHBOUR = 28, 29
_LINK = struct.Struct("=BxHiII")
"""``struct ifinfomsg``: family, type, index, flags, which of them to change."""
_ADDRESS = struct.Struct("=BBBBI")
"""``struct ifaddrmsg``: family, length of the prefix, flags, scope, index."""
_ROUTE = struct.Struct("=BBBBBBBBI")
"""``struct rtmsg``: family, lengths of destination and source, TOS, table, protocol, scope, type, flags."""
_NEIGHBOUR = struct.Struct("=BxxxiHBB")
"""``struct ndmsg``: family, index, state, flags, type."""
_NUMBER = struct.Struct("=I")
_UP = 0x1
_MAC, _NAME, _MTU, _MASTER, _KIND, _NAMESPACE = 1, 3, 4, 10, 18, 19
_KIND_NAME, _KIND_DATA, _PEER, _FORWARD_DELAY = 1, 2, 1, 1
_WHOLE, _LOCAL = 1, 2
_NO_DAD = 0x02
_TO, _OUT, _GATEWAY, _METRIC, _FROM = 1, 4, 5, 6, 7
_MAIN, _BY_KERNEL, _BY_BOOT, _UNICAST = 254, 2, 3, 1
_EVERYWHERE, _ON_LINK, _NOWHERE = 0, 253, 255
_CLONED = 0x200
_DESTINATION, _HARDWARE, _PERMANENT = 1, 2, 0x80
_MAKE = {"add": CREATE | EXCLUSIVE, "replace": CREATE | REPLACE}
_UNMAKE = ("del", "delete")


class Unknown(Exception):  # noqa: N818 - no error: the line is for `ip` itself
    """A line has words that are not known here."""


@dataclass(frozen=True, slots=True)
class Step:
    """One line as a message. `body` looks interfaces up when it is called, as earlier lines may make them."""

    line: str
    kind: int
    body: Callable[[Netlink], bytes]
    flags: int = 0


def steps(text: str) -> list[Step]:
    """The lines of `text` as messages. Raises `Unknown`."""
    try:
        return [_step(line) for line in text.splitlines() if line.strip()]
    except (ValueError, IndexError):  # no number, address or pair of words where one belongs
        raise Unknown from None


def carry_out(netlink: Netlink, todo: Sequence[Step], *, force: bool = False) -> str | None:
    """Do them: what went wrong first, in words. They end there, unless `force` is given."""
    trouble = None
    for step in todo:
        try:
            error = netlink.request(step.kind, step.body(netlink), step.flags)
            words = os.strerror(error) if error else None
        except OSError as missing:  # the interface
            words = missing.strerror
        if words is not None:
            trouble = trouble or f"ip {step.line}: {words}"
            if not force:
                break
    return trouble


def _step(line: str) -> Step:
    what, verb, *words = line.split()
    known = {"link": _link, "address": _address, "route": _route, "neighbor": _neighbour}
    if what not in known:
        raise Unknown
    return known[what](line, verb, words)


def _pairs(words: Sequence[str], *keys: str) -> dict[str, str]:
    """Words that come in twos, each first one of `keys`."""
    found = dict(zip(words[::2], words[1::2], strict=True))
    if not found.keys() <= set(keys):
        raise Unknown
    return found


def _link(line: str, verb: str, words: list[str]) -> Step:
    if verb == "add":
        return _new_link(line, words)
    if words[0] != "dev":
        raise Unknown
    name, *rest = words[1:]
    if verb in _UNMAKE and not rest:
        return Step(line, _DELETE_LINK, lambda at: _LINK.pack(0, 0, _index(at, name), 0, 0))
    if verb != "set":
        raise Unknown
    change, flags = 0, 0
    if rest in (["up"], ["down"]):
        change, flags = _UP, _UP * (rest == ["up"])
        rest = []
    given = _pairs(rest, "master", "mtu", "netns", "name", "address")
    fixed = _told(given)

    def body(at: Netlink) -> bytes:
        master = given.get("master")
        joined = attribute(_MASTER, _NUMBER.pack(_index(at, master))) if master else b""
        return _LINK.pack(0, 0, _index(at, name), flags, change) + fixed + joined

    return Step(line, _NEW_LINK, body)


def _new_link(line: str, words: list[str]) -> Step:
    at = words.index("type")
    given = _pairs(words[:at], "name", "index", "mtu", "netns", "address")
    kind, *rest = words[at + 1 :]
    if kind == "bridge":
        options = _pairs(rest, "forward_delay")
        data = b"".join(
            attribute(_FORWARD_DELAY, _NUMBER.pack(int(delay))) for delay in options.values()
        )
    elif kind == "veth" and rest[0] == "peer":
        peer = _pairs(rest[1:], "name", "index", "mtu", "netns", "address")
        data = attribute(_PEER, _made(peer))
    else:
        raise Unknown
    inner = attribute(_KIND_NAME, kind.encode()) + attribute(_KIND_DATA, data)
    message = _made(given) + attribute(_KIND, inner)
    return Step(line, _NEW_LINK, lambda _: message, CREATE | EXCLUSIVE)


def _made(given: dict[str, str]) -> bytes:
    return _LINK.pack(0, 0, int(given.get("index", 0)), 0, 0) + _told(given)


def _told(given: dict[str, str]) -> bytes:
    """Name, MTU, hardware address and namespace of a link, as far as they are given."""
    told = b""
    if "name" in given:
        told += attribute(_NAME, given["name"].encode() + b"\0")
    if "mtu" in given:
        told += attribute(_MTU, _NUMBER.pack(int(given["mtu"])))
    if "address" in given:
        told += attribute(_MAC, _hardware(given["address"]))
    if "netns" in given:
        told += attribute(_NAMESPACE, _NUMBER.pack(int(given["netns"])))
    return told


def _address(line: str, verb: str, words: list[str]) -> Step:
    text, key, name, *rest = words
    if key != "dev" or rest not in ([], ["nodad"]):
        raise Unknown
    address = ip_interface(text)
    flags = _NO_DAD * bool(rest)
    told = attribute(_LOCAL, address.packed) + attribute(_WHOLE, address.packed)
    length = address.network.prefixlen

    def body(at: Netlink) -> bytes:
        index = _index(at, name)
        return _ADDRESS.pack(_family(address.version), length, flags, _EVERYWHERE, index) + told

    if verb in _UNMAKE:
        return Step(line, _DELETE_ADDRESS, body)
    return Step(line, _NEW_ADDRESS, body, _making(verb))


def _route(line: str, verb: str, words: list[str]) -> Step:
    to, *rest = words
    given = _pairs(rest, "via", "dev", "src", "metric")
    via = ip_address(given["via"]) if "via" in given else None
    if to == "default":
        version, length, told = (via.version if via else 4), 0, b""
    else:
        network = ip_network(to)
        version, length = network.version, network.prefixlen
        told = attribute(_TO, network.network_address.packed)
    if via is not None:
        if via.version != version:
            raise Unknown
        told += attribute(_GATEWAY, via.packed)
    if "src" in given:
        told += attribute(_FROM, ip_address(given["src"]).packed)
    if "metric" in given:
        told += attribute(_METRIC, _NUMBER.pack(int(given["metric"])))
    name, unmade = given.get("dev"), verb in _UNMAKE
    scope = _ON_LINK if via is None and version == 4 else _EVERYWHERE
    if unmade:
        scope = _NOWHERE if version == 4 else _EVERYWHERE
    by, kind = (0, 0) if unmade else (_BY_BOOT, _UNICAST)
    head = _ROUTE.pack(_family(version), length, 0, 0, _MAIN, by, scope, kind, 0)

    def body(at: Netlink) -> bytes:
        return head + told + (attribute(_OUT, _NUMBER.pack(_index(at, name))) if name else b"")

    if unmade:
        return Step(line, _DELETE_ROUTE, body)
    return Step(line, _NEW_ROUTE, body, _making(verb))


def _neighbour(line: str, verb: str, words: list[str]) -> Step:
    to, *rest = words
    given = _pairs(rest, "lladdr", "dev", "nud")
    address, name = ip_address(to), given.get("dev", "")
    if given.get("nud", "permanent") != "permanent" or not name:
        raise Unknown
    told = attribute(_DESTINATION, address.packed)
    if "lladdr" in given:
        told += attribute(_HARDWARE, _hardware(given["lladdr"]))

    def body(at: Netlink) -> bytes:
        head = _NEIGHBOUR.pack(_family(address.version), _index(at, name), _PERMANENT, 0, 0)
        return head + told

    if verb in _UNMAKE:
        return Step(line, _DELETE_NEIGHBOUR, body)
    return Step(line, _NEW_NEIGHBOUR, body, _making(verb))


def _making(verb: str) -> int:
    if verb not in _MAKE:
        raise Unknown
    return _MAKE[verb]


def _family(version: int) -> int:
    return socket.AF_INET if version == 4 else socket.AF_INET6


def _hardware(text: str) -> bytes:
    return bytes(int(part, 16) for part in text.split(":"))


def _index(netlink: Netlink, name: str) -> int:
    return int(_LINK.unpack_from(_asked(netlink, name))[2])


def _asked(netlink: Netlink, name: str) -> bytes:
    head = _LINK.pack(0, 0, 0, 0, 0)
    try:
        return netlink.ask(_GET_LINK, head + attribute(_NAME, name.encode() + b"\0"))
    except OSError as error:
        raise OSError(error.errno, f"there is no interface {name}") from None


@dataclass(frozen=True, slots=True)
class Interface:
    """An interface as the kernel knows it."""

    name: str
    index: int
    mtu: int
    hardware: str
    master: str | None
    """The bridge that it belongs to."""


def interface(netlink: Netlink, name: str) -> Interface:
    """The interface called `name`. Raises `OSError` if there is none."""
    message = _asked(netlink, name)
    found = attributes(message[_LINK.size :])
    master = None
    if _MASTER in found:
        told = netlink.ask(_GET_LINK, _LINK.pack(0, 0, _number(found[_MASTER]), 0, 0))
        master = attributes(told[_LINK.size :])[_NAME].rstrip(b"\0").decode()
    index, mtu = _LINK.unpack_from(message)[2], _number(found[_MTU])
    return Interface(name, index, mtu, found[_MAC].hex(":"), master)


def addresses(netlink: Netlink, name: str) -> list[str]:
    """Its addresses that are for more than its link, each with the length of its prefix. Raises `OSError`."""
    index, texts = _index(netlink, name), []
    for message in netlink.dump(_GET_ADDRESS, _ADDRESS.pack(0, 0, 0, 0, 0)):
        _, length, _, scope, at = _ADDRESS.unpack_from(message)
        if (at, scope) == (index, _EVERYWHERE):
            found = attributes(message[_ADDRESS.size :])
            texts.append(f"{ip_address(found.get(_LOCAL) or found[_WHOLE])}/{length}")
    return texts


def routes(netlink: Netlink, name: str) -> list[str]:
    """The routes over it that the kernel has not made by itself, as ``ip route`` takes them. Raises `OSError`."""
    index, lines = _index(netlink, name), []
    for message in netlink.dump(_GET_ROUTE, _ROUTE.pack(0, 0, 0, 0, 0, 0, 0, 0, 0)):
        family, length, _, _, table, by, _, _, flags = _ROUTE.unpack_from(message)
        found = attributes(message[_ROUTE.size :])
        if table != _MAIN or by == _BY_KERNEL or flags & _CLONED:
            continue
        if _OUT not in found or _number(found[_OUT]) != index:
            continue
        everywhere = "0.0.0.0/0" if family == socket.AF_INET else "::/0"
        words = [f"{ip_address(found[_TO])}/{length}" if length else everywhere, "dev", name]
        for key, word in ((_GATEWAY, "via"), (_FROM, "src")):
            if key in found:
                words += [word, str(ip_address(found[key]))]
        if _METRIC in found:
            words += ["metric", str(_number(found[_METRIC]))]
        lines.append(" ".join(words))
    return lines


def _number(octets: bytes) -> int:
    (number,) = _NUMBER.unpack(octets)
    return int(number)
