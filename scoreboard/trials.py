"""The trials of every rival: pairs of NATs, harder places, faults, and a quiet minute. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

from natlab.faults.grammar import parse_fault
from natlab.presets import PRESETS
from natlab.testbed.program_file import ByExchange, Keep, ProgramFile, Start

PRESET_PAIRS, PLACES, FAULTS, IDLE = "presets", "places", "faults", "idle"
SUITES = (PRESET_PAIRS, PLACES, FAULTS, IDLE)
LINKS = "10ms"
"""The one-way delay of each NAT's link to the internet, so 40 ms from host to host and back."""
_SAME_NAT = {"host_a": "host_a1", "host_b": "host_a2"}
_FAULTS_WITHIN = 120.0
"""Seconds for a path before the fault, and for the next one after it."""
_AFTER_FAULT = 2.0
"""Seconds that a trial goes on when datagrams are answered again: its recovery is measured then."""


@dataclass(frozen=True, slots=True)
class Group:
    """Trials that one run of the matrix does: pairs of NATs in one topology, perhaps with faults."""

    suite: str
    name: str
    title: str
    pairs: Sequence[tuple[str, str]]
    topology: str | None = None
    """None: the program file's own."""
    faults: Sequence[str] = ()
    nodes: Mapping[str, str] | None = None
    """The hosts of the program file, and those that stand for them."""
    idle: float = 0.0
    """Seconds."""


_FAULT_PAIRS = (
    ("port-restricted-cone", "port-restricted-cone"),
    ("full-cone", "symmetric"),
    ("linux-masquerade", "restricted-cone"),
)
_FAULT_AT = "at=20s"

GROUPS = (
    Group(IDLE, "idle", "an idle minute", _FAULT_PAIRS[:1], idle=60.0),
    Group(PRESET_PAIRS, "presets", "every pair of presets", tuple(product(PRESETS, PRESETS))),
    Group(
        PLACES,
        "carrier",
        "carrier's NAT",
        (("cgnat", "cgnat"), ("cgnat", "port-restricted-cone"), ("cgnat", "symmetric")),
    ),
    Group(
        PLACES,
        "behind-carrier",
        "home routers, each behind a carrier's NAT",
        (("home-router", "home-router"),),
        "double_nat,nat_a={nat_a},cgn_a=cgnat,nat_b={nat_b},cgn_b=cgnat",
    ),
    Group(
        PLACES,
        "one-carrier",
        "two homes behind one carrier's NAT",
        (("home-router", "home-router"),),
        "shared_cgn,nat_a={nat_a},nat_b={nat_b},cgn=cgnat",
    ),
    Group(
        PLACES,
        "same-nat",
        "both hosts behind one NAT",
        (("home-router", "home-router"),),
        "shared_nat,nat_a={nat_a},nat_b={nat_b}",
        nodes=_SAME_NAT,
    ),
    Group(
        PLACES,
        "udp-blocked",
        "no UDP on one side",
        (("udp-blocked", "none"), ("udp-blocked", "port-restricted-cone")),
    ),
    Group(
        FAULTS, "nat-reboot", "NAT reboot", _FAULT_PAIRS, faults=(f"{_FAULT_AT}:nat-reboot nat_a",)
    ),
    Group(
        FAULTS,
        "hand-over",
        "hand-over",
        _FAULT_PAIRS,
        "multi_homed,nat_a={nat_a},nat_b={nat_b},nat_c=port-restricted-cone",
        (f"{_FAULT_AT}:link-down host_a-wifi",),
    ),
    Group(
        FAULTS,
        "wan-address",
        "WAN address",
        _FAULT_PAIRS,
        faults=(f"{_FAULT_AT}:wan-address nat_a 203.0.113.66",),
    ),
    Group(
        FAULTS,
        "suspend",
        "60 s suspend",
        _FAULT_PAIRS,
        faults=(f"{_FAULT_AT}:signal a STOP", "at=80s:signal a CONT"),
    ),
)


def placed(file: ProgramFile, group: Group) -> ProgramFile:
    """The program file as `group` wants it. Only trials without a path keep their captures."""
    file = replace(file, capture=Keep.FAILED)
    if group.faults:
        faults = tuple(map(parse_fault, group.faults))
        file = replace(
            file, faults=faults, within=max(file.within, _FAULTS_WITHIN), settle=_AFTER_FAULT
        )
    if group.idle:
        file = replace(file, idle=group.idle)
    if group.topology is not None:
        file = replace(file, topology=group.topology)
    if group.nodes is not None:
        file = _moved(file, group.nodes)
    return file


def _moved(file: ProgramFile, nodes: Mapping[str, str]) -> ProgramFile:
    def peer(start: Start) -> Start:
        return replace(start, node=nodes.get(start.node, start.node))

    success = file.success
    if isinstance(success, ByExchange):
        sender, receiver = nodes[success.sender], nodes[success.receiver]
        success = replace(success, sender=sender, receiver=receiver)
    one, other = file.between
    return replace(
        file,
        peers=tuple(map(peer, file.peers)),
        success=success,
        between=(nodes[one], nodes[other]),
    )
