"""From what was heard to the verdict. Pure; nothing that cannot be told is guessed."""

from __future__ import annotations

from itertools import pairwise

from nat_traversal.check.plan import AGES, base, headers
from nat_traversal.check.questions import Heard, Known, Tcp
from nat_traversal.check.verdict import Ipv6, Pooling, Udp, Verdict
from nat_traversal.wire.behavior import Filtering, Hairpin, Mapping, PortAllocation
from nat_traversal.wire.port_mapping import MappingProtocol

ONE_ADDRESS = "one address only: a server with --alternate, or another with two addresses, tells it"
_NO_SERVER = "no server was given"
_NO_ANSWER = "nothing comes back over UDP"
_NO_NAT = "there is no NAT"
_FEWEST = 4
"""Ports that an allocation is told from."""
_MOST_STEP = 24
"""From one port of a sequential NAT to the next one: others make mappings meanwhile."""
_MOST_BLOCK = 4096
"""Ports in a block, at most. Eight random ones lie as close by chance less than once in ten million."""
_PORTS = 64_512
"""From 1024 on."""


def verdict(known: Known) -> Verdict:
    """The verdict of all that is known when the questions are over."""
    not_told: dict[str, str] = {}
    first = known.heard.get("mapping-1")
    udp = _udp(known, first, not_told)
    aside = _aside(known, not_told)
    if first is None or first.mapped is None:
        why = _NO_SERVER if known.server is None else _NO_ANSWER
        for name in _NEED_UDP:
            not_told[name] = why
        return Verdict(known.server, udp, port_mapping=aside[1], ipv6=aside[0], not_told=not_told)
    is_nat = first.mapped != known.sockets.get("mapping")
    mapping = _mapping(known, not_told)
    filtering = _filtering(known, mapping, not_told)
    ports = _ports(known)
    return Verdict(
        known.server,
        udp,
        min(each.round_trip for each in known.heard.values() if each is not None and each.mapped),
        is_nat,
        _addresses(known),
        mapping,
        filtering,
        _order_sensitive(known, mapping, filtering, not_told),
        _allocation(known, ports, not_told, is_nat=is_nat),
        tuple(external for _, external in ports),
        _pooling(known, not_told, is_nat=is_nat),
        _hairpin(known, not_told, is_nat=is_nat),
        _lifetime(known, not_told, is_nat=is_nat),
        _mtu(known, not_told),
        *aside,
        not_told,
    )


_NEED_UDP = (
    "nat",
    "mapping",
    "filtering",
    "order_sensitive",
    "allocation",
    "pooling",
    "hairpin",
    "lifetime",
    "mtu",
)


def _udp(known: Known, first: Heard | None, not_told: dict[str, str]) -> Udp | None:
    if first is not None:
        return Udp.PASSES
    if known.server is None:
        not_told["udp"] = _NO_SERVER
    elif known.tcp is Tcp.OPEN:
        if known.echo is None:
            return Udp.BLOCKED
        return Udp.NO_UDP if known.echo else Udp.TCP_ONLY
    else:
        not_told["udp"] = _unreachable(known)
    return None


def _unreachable(known: Known) -> str:
    """Nothing came over UDP, and no TCP connection opened."""
    server = known.server
    if known.refused or known.tcp is Tcp.REFUSED:
        return (
            f"nothing answers STUN on UDP port {server and server.port} of {server and server.address}: "
            "the host is there, so give the port of its server, or start one there"
        )
    return (
        f"nothing at {server} answers, neither over UDP nor over TCP: is that its address, does it run, "
        "and do its firewall and this network let that port pass?"
    )


def _mapping(known: Known, not_told: dict[str, str]) -> Mapping | None:
    """RFC 5780 section 4.3."""
    if known.other is None:
        not_told["mapping"] = ONE_ADDRESS
        return None
    one, two, three = (known.mapped(f"mapping-{number}") for number in (1, 2, 3))
    if two is None or three is None:
        not_told["mapping"] = f"the server's other address, {known.other.address}, does not answer"
        return None
    if one == two == three:
        return Mapping.ENDPOINT_INDEPENDENT
    return Mapping.ADDRESS_DEPENDENT if two == three else Mapping.ADDRESS_AND_PORT_DEPENDENT


def _filtering(known: Known, mapping: Mapping | None, not_told: dict[str, str]) -> Filtering | None:
    """RFC 5780 section 4.4, and a control: silence means a filter only if the server does speak up."""
    server, other = known.server, known.other
    if other is None or server is None:
        not_told["filtering"] = ONE_ADDRESS
        return None
    if known.mapped("filtering-1") is None:
        not_told["filtering"] = "the server has stopped answering"
        return None
    both, port = known.heard.get("filtering-2"), known.heard.get("filtering-3")
    errors = [each.error for each in (both, port) if each is not None and each.error]
    if errors:
        not_told["filtering"] = f"the server refuses CHANGE-REQUEST with error {errors[0]}"
        return None
    if both is not None and both.source.address != server.address:
        return Filtering.ENDPOINT_INDEPENDENT
    if port is not None and port.source.port != server.port:
        return Filtering.ADDRESS_DEPENDENT
    if both is not None or port is not None:
        not_told["filtering"] = "the server ignores CHANGE-REQUEST"
        return None
    if "control-1" in known.heard and known.heard["control-1"] is None:
        not_told["filtering"] = (
            f"no answer from {other} came, also where nothing can keep it out: "
            "the server does not send from there, or a firewall on the way drops it"
        )
        return None
    if mapping is None:
        not_told["filtering"] = not_told["mapping"]
        return None
    return Filtering.ADDRESS_AND_PORT_DEPENDENT


def _order_sensitive(
    known: Known,
    mapping: Mapping | None,
    filtering: Filtering | None,
    not_told: dict[str, str],
) -> bool | None:
    if mapping is None or filtering is None:
        not_told["order_sensitive"] = not_told.get("mapping") or not_told["filtering"]
        return None
    if filtering is Filtering.ENDPOINT_INDEPENDENT:
        return False  # nobody is a stranger
    if mapping is not Mapping.ENDPOINT_INDEPENDENT:
        not_told["order_sensitive"] = "each destination has a port of its own in any case"
        return None
    after = known.mapped("order-1")
    if after is None:
        not_told["order_sensitive"] = "the server has stopped answering"
        return None
    return after != known.mapped("filtering-1")


def _ports(known: Known) -> list[tuple[int, int]]:
    """Own and external port of each fresh socket, in order."""
    found = []
    for number in range(1, known.ports + 1):
        own, mapped = known.sockets.get(f"port-{number}"), known.mapped(f"port-{number}")
        if own is not None and mapped is not None:
            found.append((own.port, mapped.port))
    return found


def _allocation(
    known: Known, ports: list[tuple[int, int]], not_told: dict[str, str], *, is_nat: bool
) -> PortAllocation | None:
    if not is_nat:
        not_told["allocation"] = _NO_NAT
        return None
    if len(ports) < _FEWEST:
        not_told["allocation"] = f"only {len(ports)} of {known.ports} questions were answered"
        return None
    if 2 * sum(own == external for own, external in ports) > len(ports):
        return PortAllocation.PRESERVING
    external = [each for _, each in ports]
    steps = [(after - before) % _PORTS for before, after in pairwise(external)]
    if all(1 <= step <= _MOST_STEP for step in steps):
        return PortAllocation.SEQUENTIAL
    if max(external) - min(external) < _MOST_BLOCK:
        return PortAllocation.BLOCK_PER_HOST
    return PortAllocation.RANDOM


def _addresses(known: Known) -> tuple[str, ...]:
    server = known.server
    assert server is not None
    seen = [each.mapped.address for each in known.heard.values() if each and each.mapped]
    return tuple(sorted({each for each in seen if (":" in each) == (server.family == 6)}))


def _pooling(known: Known, not_told: dict[str, str], *, is_nat: bool) -> Pooling | None:
    if not is_nat:
        not_told["pooling"] = _NO_NAT
        return None
    return Pooling.PAIRED if len(_addresses(known)) == 1 else Pooling.ARBITRARY


def _hairpin(known: Known, not_told: dict[str, str], *, is_nat: bool) -> Hairpin | None:
    if not is_nat:
        not_told["hairpin"] = _NO_NAT
        return None
    if "hairpin-1" not in known.heard:
        not_told["hairpin"] = "the server has stopped answering"
        return None
    came = [known.heard[name] for name in ("hairpin-1", "hairpin-2")]
    sources = [each.source.address for each in came if each is not None]
    if not sources:
        return Hairpin.NONE
    inside = known.inside in sources
    return Hairpin.INTERNAL_SOURCE if inside else Hairpin.EXTERNAL_SOURCE


def _lifetime(
    known: Known, not_told: dict[str, str], *, is_nat: bool
) -> tuple[float, float | None] | None:
    if not is_nat or not known.lifetime:
        not_told["lifetime"] = "it takes time: ask with --lifetime" if is_nat else _NO_NAT
        return None
    if known.other is None:
        not_told["lifetime"] = ONE_ADDRESS
        return None
    lived = 0.0
    for age in AGES:
        name = f"life-{age}-again"
        if name not in known.heard:
            break
        heard = known.heard[name]
        if heard is not None and (heard.error or heard.at != f"life-{age}"):
            not_told["lifetime"] = "the server does not know RESPONSE-PORT (RFC 5780 section 7.5)"
            return None
        if heard is None:
            return lived, float(age)
        lived = float(age)
    if not lived:
        not_told["lifetime"] = f"mappings can be asked for from an age of {AGES[0]} s on"
        return None
    return lived, None


def _mtu(known: Known, not_told: dict[str, str]) -> int | None:
    server = known.server
    assert server is not None
    asked = [name for name in known.heard if name.startswith("mtu-")]
    passed = [int(name[4:]) for name in asked if known.heard[name] is not None]
    if not passed or max(passed) <= base(server):
        not_told["mtu"] = "the server answers no long requests"
        return None
    return max(passed) + headers(server)


def _aside(known: Known, not_told: dict[str, str]) -> tuple[Ipv6 | None, dict[str, bool]]:
    protocols = [str(each) for each in MappingProtocol]
    mapping = {each: known.heard[each] is not None for each in protocols if each in known.heard}
    if not mapping:
        not_told["port_mapping"] = "no IPv4 router is known on the way"
    return _ipv6(known, not_told), mapping


def _ipv6(known: Known, not_told: dict[str, str]) -> Ipv6 | None:
    name = "mapping" if known.server is not None and known.server.family == 6 else "ipv6"
    if name == "ipv6" and known.server_ipv6 is None:
        not_told["ipv6"] = (
            "the server has no IPv6 address" if known.server is not None else _NO_SERVER
        )
        return None
    if name in known.broken:
        not_told["ipv6"] = known.broken[name]
        return None
    mapped = known.mapped("mapping-1" if name == "mapping" else name)
    if mapped is None:
        return Ipv6.UNANSWERED
    return Ipv6.UNTRANSLATED if mapped == known.sockets.get(name) else Ipv6.TRANSLATED
