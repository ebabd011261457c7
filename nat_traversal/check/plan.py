"""The plan: from what is known, the questions to ask next (RFC 5780 section 4, and more)."""

from __future__ import annotations

from collections.abc import Callable

from nat_traversal.check.questions import Known, Question
from nat_traversal.paths.mtu import (
    BASE_IPV4,
    BASE_IPV6,
    HEADERS_IPV4,
    HEADERS_IPV6,
    STEP,
    usual_sizes,
)
from nat_traversal.wire.addresses import is_loopback
from nat_traversal.wire.endpoint import Endpoint
from nat_traversal.wire.port_mapping import PORT, SSDP, MappingProtocol

AGES = (5, 10, 20, 30, 45, 60, 90, 120, 150, 180, 240, 300, 420, 600, 900, 1200, 1800, 3600)
"""Ages of a mapping at which it is asked whether it lives, in seconds."""
_ETHERNET, _JUMBO = 1500, 9000
_FIRST_TRIES = 7


def next_questions(known: Known) -> list[Question]:
    """Those that the first step lacks which lacks any; none if all is told that can be."""
    for step in STEPS:
        lacking = [each for each in step(known) if each.name not in known.asked]
        if lacking:
            return lacking
    return []


def reach(known: Known) -> list[Question]:
    """Does the server answer at all? Beside it, questions that have nothing to do with it."""
    asked = []
    if known.server is not None:
        asked.append(Question("mapping-1", "mapping", known.server, tries=_FIRST_TRIES))
    if known.server_ipv6 is not None and not known.brief:
        asked.append(Question("ipv6", "ipv6", known.server_ipv6, is_aside=True))
    if known.router is not None and known.inside and _is_outward(known.inside):
        for protocol in MappingProtocol:
            to = SSDP if protocol is MappingProtocol.UPNP else Endpoint(known.router, PORT)
            name = str(protocol)
            asked.append(
                Question(name, name, to, protocol=protocol, tries=3, is_paced=False, is_aside=True)
            )
    return asked


def _is_outward(inside: str) -> bool:
    """An IPv4 router can be asked from that address."""
    return ":" not in inside and not is_loopback(inside)


def behavior(known: Known) -> list[Question]:
    """Mapping (RFC 5780 section 4.3) and filtering (4.4) with two addresses; ports of fresh sockets in any case."""
    server, other = known.server, known.other
    if server is None or known.mapped("mapping-1") is None or (known.brief and other is None):
        return []
    asked = []
    before = "mapping-1"
    if other is not None:
        asked = [
            Question("mapping-2", "mapping", Endpoint(other.address, server.port)),
            Question("mapping-3", "mapping", other, after="mapping-2"),
            Question("filtering-1", "filtering", server, after="mapping-3"),
            Question(
                "filtering-2",
                "filtering",
                server,
                change_address=True,
                change_port=True,
                after="filtering-1",
            ),
            Question("filtering-3", "filtering", server, change_port=True, after="filtering-1"),
        ]
        before = "filtering-1"
    # One after the other: else their order at the NAT would not be known.
    for number in range(1, known.ports + 1):
        name = f"port-{number}"
        asked.append(Question(name, name, server, after=before))
        before = name
    return asked


def order(known: Known) -> list[Question]:
    """After a stranger's packet was kept out, the same socket sends to the stranger."""
    server, other = known.server, known.other
    if server is None or other is None or known.heard.get("filtering-2") is not None:
        return []
    target = _stranger(known)
    return [] if target is None else [Question("order-1", "filtering", target)]


def control(known: Known) -> list[Question]:
    """Nothing came in from elsewhere: does the server answer from there at all, where the filter is open?"""
    server, target = known.server, _stranger(known)
    moved = known.mapped("order-1") != known.mapped("filtering-1")
    if (
        server is None
        or target is None
        or known.heard.get("filtering-2") is not None
        or known.heard.get("filtering-3") is not None
        or known.mapped("order-1") is None
        or moved
    ):
        return []
    changes = target.address != server.address
    return [
        Question("control-1", "filtering", server, change_address=changes, change_port=True),
    ]


def _stranger(known: Known) -> Endpoint | None:
    """The endpoint of the server that is farthest from the first one, and still has the same mapping."""
    server, other = known.server, known.other
    one, two, three = (known.mapped(f"mapping-{number}") for number in (1, 2, 3))
    if server is None or other is None or two is None:
        return None
    if one == two == three:
        return other
    return Endpoint(server.address, other.port) if two == three else None


def rest(known: Known) -> list[Question]:
    """Hairpinning (RFC 5780 section 4.5) and the path's MTU, side by side."""
    if known.server is None or known.mapped("mapping-1") is None or known.brief:
        return []
    return [*_hairpin(known), *_mtu(known)]


def _hairpin(known: Known) -> list[Question]:
    """Each of two sockets sends to where the server saw the other."""
    one, two = known.mapped("port-1"), known.mapped("port-2")
    if one is None or two is None or one == known.sockets.get("port-1"):
        return []
    return [
        Question("hairpin-1", "port-1", two, is_paced=False),
        Question("hairpin-2", "port-2", one, is_paced=False),
    ]


def _mtu(known: Known) -> list[Question]:
    """The usual sizes, then the middle of what remains below Ethernet's."""
    server = known.server
    assert server is not None
    sizes = usual_sizes(headers(server), base(server), _JUMBO - headers(server))
    asked = {int(name[4:]) for name in known.heard if name.startswith("mtu-")}
    if asked:
        passed = max((size for size in asked if known.heard[f"mtu-{size}"]), default=0)
        lost = min((size for size in asked if size > passed), default=0)
        sizes = []
        if base(server) < passed < _ETHERNET - headers(server) and lost - passed > STEP:
            sizes = [(passed + lost) // 8 * 4]
    return [Question(f"mtu-{size}", "mtu", server, octets=size, tries=3) for size in sizes]


def headers(endpoint: Endpoint) -> int:
    """Octets of the headers of IP and UDP towards `endpoint`."""
    return HEADERS_IPV4 if endpoint.family == 4 else HEADERS_IPV6


def base(endpoint: Endpoint) -> int:
    """Octets of UDP payload that every path there carries."""
    return BASE_IPV4 if endpoint.family == 4 else BASE_IPV6


def lifetime(known: Known) -> list[Question]:
    """Mappings of several ages, each asked once: a second socket has the server answer there (RFC 5780 section 4.6)."""
    server = known.server
    if server is None or not known.lifetime or known.other is None:
        return []
    ages = [age for age in AGES if age <= known.lifetime]
    fresh = [Question(f"life-{age}", f"life-{age}", server) for age in ages]
    if any(each.name not in known.heard for each in fresh):
        return fresh
    again = []
    for age in ages:
        mapped = known.mapped(f"life-{age}")
        if mapped is None:
            continue
        name = f"life-{age}-again"
        again.append(
            Question(name, "life", server, response_port=mapped.port, after=f"life-{age}", wait=age)
        )
        if known.heard.get(name) is None:  # not asked yet, or dead: older ones are as well
            break
    return again


STEPS: tuple[Callable[[Known], list[Question]], ...] = (
    reach,
    behavior,
    order,
    control,
    rest,
    lifetime,
)
"""In this order; each may be asked several times, as its answers tell more."""
