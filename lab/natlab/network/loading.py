"""A topology by its name here, or by the path of somebody's own file.

    two_nats,nat_a=symmetric
    ~/lab/my_topology.py:MyTopo,homes=3

The lab takes over the wishes of plain Mininet topologies that it can fulfil faithfully: hosts with
addresses and a default route, switches as learning bridges. The rest is refused with the reason.
"""

from __future__ import annotations

import re
import runpy
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from inspect import Parameter, signature
from pathlib import Path
from typing import Any

from mininet.link import Link
from mininet.node import Host, Node, OVSBridge, OVSSwitch
from mininet.nodelib import LinuxBridge
from mininet.topo import Topo

from nat_traversal.errors import NatTraversalError, UsageError
from natlab.network.addressing import Role
from natlab.network.base import check_address, check_interface, check_name, mac_address
from natlab.network.nodes import LabLink, LabNode

NAMES = (
    "two_nats",
    "shared_nat",
    "double_nat",
    "shared_cgn",
    "public_peer",
    "multi_homed",
    "dual_stack",
    "nat64",
    "regions",
    "star",
)
"""The topologies that come with the lab."""
PATIENCE = 20.0
"""Seconds that a user's file has to name its nodes and links."""
_SWITCHES = (None, OVSSwitch, OVSBridge, LinuxBridge)
_HOST_WORDS = {"cls", "ip", "defaultRoute", "role", "inNamespace"}
_SWITCH_WORDS = {"cls", "isSwitch", "dpid", "failMode"}
_LINK_WORDS = {"cls", "node1", "node2", "port1", "port2", "intfName1", "intfName2"}
_LINK_WORDS |= {"addr1", "addr2", "params1", "params2"}


def load(text: str) -> Topo:
    """The topology that `text` describes, with every node and link one of the lab's.

    `text` is a name of `NAMES`, or ``PATH.py[:NAME]`` where NAME is a key of the file's `topos` or one
    of its classes; then ``,parameter=value`` as for ``mn --topo``. Raises `UsageError`, in one line.
    """
    what, *settings = text.split(",")
    options: dict[str, object] = {}
    for each in settings:
        name, value = _setting(each, text)
        if name in options:
            raise UsageError(f"topology {text!r}: {name} stands there twice")
        options[name] = value
    if what in NAMES:
        return _built(import_module(f"natlab.topologies.{what}").topos[what], what, options)
    path, colon, name = what.rpartition(":")
    if not colon:
        path, name = what, ""
    if not path.endswith(".py"):
        raise UsageError(
            f"unknown topology {what!r}: choose from {', '.join(NAMES)}, or give PATH.py:NAME"
        )
    topology = _built(_choose(_execute(Path(path).expanduser()), path, name), what, options)
    adopt(topology, path)
    return topology


def _setting(text: str, whole: str) -> tuple[str, object]:
    name, separator, value = text.partition("=")
    if not separator or not name.isidentifier():
        raise UsageError(f"topology {whole!r}: {text!r} is no parameter: give name=value")
    return name, int(value) if re.fullmatch(r"-?[0-9]{1,9}", value) else value


def _execute(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise UsageError(f"there is no topology file {path}")
    try:
        with _in_time():
            return runpy.run_path(str(path), run_name="lab_topology_file")
    except (Exception, SystemExit, _LateError) as error:  # noqa: BLE001 - it is the user's code
        raise UsageError(f"{path} cannot be executed: {_told(error)}") from None


def _choose(found: dict[str, Any], path: str, name: str) -> Callable[..., object]:
    topos = found.get("topos")
    if not isinstance(topos, dict):
        topos = {}
    classes = {
        key: value
        for key, value in found.items()
        if isinstance(value, type)
        and issubclass(value, Topo)
        and value.__module__ == "lab_topology_file"
    }
    if name:
        chosen = topos.get(name, classes.get(name))
        if chosen is None:
            names = ", ".join([*topos, *(key for key in classes if key not in topos)]) or "nothing"
            raise UsageError(f"{path} has no topology {name!r}: it has {names}")
    elif len(topos) == 1:
        (chosen,) = topos.values()
    elif topos:
        raise UsageError(f"{path} has several topologies: add one of :{', :'.join(topos)}")
    else:
        raise UsageError(f"{path} names no topology: add topos = {{'name': YourTopo}}, or :CLASS")
    if not callable(chosen):
        raise UsageError(f"{path}: topos[{name!r}] is no class or function that makes a Topo")
    made: Callable[..., object] = chosen
    return made


def _built(make: Callable[..., object], what: str, options: dict[str, object]) -> Topo:
    known = _parameters(make)
    for name in options.keys() - known if known is not None else ():
        raise UsageError(
            f"topology {what} has no parameter {name!r}: it has {', '.join(known or ()) or 'none'}"
        )
    try:
        with _in_time():
            made = make(**options)
    except NatTraversalError:
        raise
    except (Exception, _LateError) as error:  # noqa: BLE001 - it is the user's code
        raise UsageError(f"topology {what} cannot be built: {_told(error)}") from None
    if not isinstance(made, Topo):
        raise UsageError(f"topology {what} is a {type(made).__name__}: it has to be a Mininet Topo")
    return made


def _parameters(make: Callable[..., object]) -> Mapping[str, Parameter] | None:
    """The names that `make` takes, or None if it takes any. Mininet hands a Topo's on to `build`."""
    own = vars(make) if isinstance(make, type) and issubclass(make, Topo) else {}
    asked = partial(own["build"], None) if "build" in own and "__init__" not in own else make
    try:
        known = signature(asked).parameters
    except ValueError:  # as of some builtins
        return None
    if any(each.kind is Parameter.VAR_KEYWORD for each in known.values()):
        return None
    return known


class _LateError(BaseException):
    """The user's code goes on and on. No `Exception`: that code may catch those."""


@contextmanager
def _in_time() -> Iterator[None]:
    """Raises `_LateError` in a block that takes over `PATIENCE` seconds, where a timer can do that."""

    def late(_number: int, _frame: object) -> None:
        raise _LateError

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, PATIENCE)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _told(error: BaseException) -> str:
    if isinstance(error, _LateError):
        return f"it took over {PATIENCE:g} s"
    text = str(error).partition("\n")[0]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _called(kind: Any) -> str:
    return str(getattr(kind, "__name__", kind))


def adopt(topology: Topo, path: str) -> None:
    """Turn plain Mininet nodes and links into the lab's. Raises `UsageError` for what it cannot do."""

    def refuse(reason: str) -> None:
        raise UsageError(f"{path}: {reason}")

    try:
        links = [info for _, _, info in topology.links(sort=True, withInfo=True)]
        for info in links:
            _name_ends(info)
        for number, name in enumerate(topology.nodes(), 1):
            check_name(name)
            _adopt_node(topology, name, links, number)
        _check_interfaces(topology, links)
        _refuse_clashes(topology, links)
        for info in links:
            _adopt_link(topology, info)
    except UsageError as error:
        refuse(str(error))
    roles = [Role(topology.nodeInfo(name).get("role", Role.HOST)) for name in topology.nodes()]
    if not links:
        refuse("it has no link: add one between two nodes")
    if Role.SERVER not in roles:
        refuse("no server: call one host `server`, or give a LabNode role='server'")


def _name_ends(info: dict[str, Any]) -> None:
    words = sorted(set(info) - _LINK_WORDS)
    where = f"the link between {info['node1']} and {info['node2']}"
    if words:
        raise UsageError(
            f"{where} has {', '.join(words)}: the lab sets conditions of links itself, with"
            " --delay, --loss and the like"
        )
    kind = info.get("cls")
    if kind not in {None, Link, LabLink}:
        raise UsageError(f"{where} is a {_called(kind)}: only Link and LabLink can be made here")
    for end in "12":
        info.setdefault(f"intfName{end}", f"{info[f'node{end}']}-eth{info[f'port{end}']}")


def _ends(name: str, links: list[dict[str, Any]]) -> list[tuple[str, dict[str, Any]]]:
    """The interfaces of a node, in the order of its ports, each with what its link gives it."""
    ends = [
        (info[f"port{end}"], info[f"intfName{end}"], info.get(f"params{end}") or {})
        for info in links
        for end in "12"
        if info[f"node{end}"] == name
    ]
    return [(interface, given) for _, interface, given in sorted(ends, key=lambda end: end[0])]


def _adopt_node(topology: Topo, name: str, links: list[dict[str, Any]], number: int) -> None:
    info: dict[str, Any] = topology.nodeInfo(name)
    kind = info.get("cls")
    if isinstance(kind, type) and issubclass(kind, LabNode):
        if "addresses" not in info:
            raise UsageError(f"{name} is a LabNode without addresses: give some, by interface")
        return
    ends = _ends(name, links)
    if topology.isSwitch(name):
        _only(name, info, _SWITCH_WORDS)
        if kind not in _SWITCHES:
            raise UsageError(
                f"switch {name} is a {_called(kind)}: the lab has learning bridges only"
            )
        bridge = f"{name}-br"
        members = [interface for interface, _ in ends]
        info.clear()
        info.update(
            cls=LabNode,
            role=Role.ROUTER,
            addresses={**dict.fromkeys(members, ()), bridge: ()},
            bridges={bridge: members},
        )
        return
    if kind not in {None, Node, Host}:
        raise UsageError(
            f"{name} is a {_called(kind)}, whose own config() the lab would not run: make it a plain"
            " host, or a LabNode (a router: role='router', rules=FORWARDING)"
        )
    _only(name, info, _HOST_WORDS)
    if not info.get("inNamespace", True):
        raise UsageError(
            f"{name} has inNamespace=False: a node of the lab has a network of its own"
        )
    addresses: dict[str, list[str]] = {}
    for at, (interface, given) in enumerate(ends):
        texts = [given["ip"]] if "ip" in given else []
        if at == 0 and not texts:
            texts = [info.get("ip") or f"10.0.0.{number}/8"]  # Mininet's own way of counting
        for text in texts:
            check_address(text)
        addresses[interface] = texts
    route = info.get("defaultRoute")
    role = info.get("role", Role.SERVER if name == "server" else Role.HOST)
    info.clear()
    info.update(cls=LabNode, role=role, addresses=addresses)
    if route:
        info["routes"] = [f"default {route.removeprefix('default ')}"]


def _only(name: str, info: dict[str, Any], words: set[str]) -> None:
    strange = sorted(set(info) - words)
    if strange:
        raise UsageError(f"{name} has {', '.join(strange)}, which the lab cannot give it")


def _check_interfaces(topology: Topo, links: list[dict[str, Any]]) -> None:
    linked = [info[f"intfName{end}"] for info in links for end in "12"]
    for interface in linked:
        check_interface(interface)
        if linked.count(interface) > 1:
            raise UsageError(f"two interfaces are called {interface}: give each a name of its own")
    _refuse_loops(topology, links)
    for name in topology.nodes():
        info = topology.nodeInfo(name)
        own = {interface for interface, _ in _ends(name, links)}
        known = set(info["addresses"])
        if own - known:
            missing = ", ".join(sorted(own - known))
            raise UsageError(f"{name} has a link at {missing}, which its addresses do not name")
        loose = known - own - set(info.get("bridges") or ())
        if loose:
            raise UsageError(f"{name} has no link at {', '.join(sorted(loose))}")


def _refuse_loops(topology: Topo, links: list[dict[str, Any]]) -> None:
    """Learning bridges in a loop would repeat every broadcast for ever."""
    segments = _Segments(topology)
    for info in links:
        one, other = info["node1"], info["node2"]
        if {one, other} <= segments.switches and not segments.join(one, other):
            raise UsageError(f"the link between {one} and {other} closes a loop of switches")


def _refuse_clashes(topology: Topo, links: list[dict[str, Any]]) -> None:
    """An address that two nodes of one network have would reach either of them, or neither."""
    segments = _Segments(topology)
    for info in links:
        if {info["node1"], info["node2"]} <= segments.switches:
            segments.join(info["node1"], info["node2"])
    owners: dict[tuple[str, str], str] = {}
    for number, info in enumerate(links):
        met = {info["node1"], info["node2"]} & segments.switches
        segment = segments.root(min(met)) if met else f"link {number}"
        for end in "12":
            name = info[f"node{end}"]
            for text in topology.nodeInfo(name)["addresses"][info[f"intfName{end}"]]:
                address = text.partition("/")[0]
                other = owners.setdefault((segment, address), name)
                if other != name:
                    both = " and ".join(sorted((other, name)))
                    raise UsageError(f"{both} both have {address} on one network")


class _Segments:
    """Switches that are linked, each such group with one of them for its root."""

    def __init__(self, topology: Topo) -> None:
        self.switches = {
            name
            for name in topology.nodes()
            if set(topology.nodeInfo(name)["addresses"]) & {f"{name}-br"}
        }
        self._above = {name: name for name in self.switches}

    def root(self, name: str) -> str:
        while self._above[name] != name:
            name = self._above[name]
        return name

    def join(self, one: str, other: str) -> bool:
        """False if they were in one group before."""
        if self.root(one) == self.root(other):
            return False
        self._above[self.root(one)] = self.root(other)
        return True


def _adopt_link(topology: Topo, info: dict[str, Any]) -> None:
    for end in "12":
        interface = info[f"intfName{end}"]
        addresses = topology.nodeInfo(info[f"node{end}"])["addresses"][interface]
        if info.get(f"addr{end}") is None:
            info[f"addr{end}"] = mac_address(interface, addresses)
        info.pop(f"params{end}", None)
    info["cls"] = LabLink
