"""The NATs of a report in plain words, for readers who do not know the ids. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Mapping as MappingABC
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from nat_traversal.wire.behavior import Filtering, Hairpin, Mapping, PortAllocation, Refresh
from natlab.behavior import (
    LIFETIME,
    TCP_ESTABLISHED,
    TCP_TRANSITORY,
    TERMS,
    NatBehavior,
    Overflow,
    Pooling,
    PortMapping,
    Protocols,
    Unsolicited,
    usual_behavior,
)
from natlab.evidence.result import Report
from natlab.presets import preset
from natlab.terms import (
    AfterError,
    CrossingSyn,
    Fragments,
    IcmpErrors,
    Ipv6,
    Ipv6Filtering,
    Parity,
    Payload,
    Syn,
    TcpFiltering,
    TcpMapping,
)

_NO_NAT = "a public host, without a NAT"
_MAPPING: MappingABC[Mapping, str] = MappingProxyType(
    {
        Mapping.ENDPOINT_INDEPENDENT: "one external port for all destinations",
        Mapping.ADDRESS_DEPENDENT: "one external port for each destination address",
        Mapping.ADDRESS_AND_PORT_DEPENDENT: "one external port for each destination address and port",
    }
)
_FILTERING: MappingABC[Filtering, str] = MappingProxyType(
    {
        Filtering.ENDPOINT_INDEPENDENT: "lets everybody in, once the host has sent",
        Filtering.ADDRESS_DEPENDENT: "lets in the addresses to which the host has sent",
        Filtering.ADDRESS_AND_PORT_DEPENDENT: "lets in the addresses and ports to which the host has sent",
    }
)
_FLAGS: MappingABC[StrEnum, str] = MappingProxyType(
    {
        PortAllocation.PRESERVING: "keeps the internal port",
        PortAllocation.RANDOM: "chooses ports at random",
        PortAllocation.SEQUENTIAL: "chooses ports in sequence",
        PortAllocation.BLOCK_PER_HOST: "has a block of ports for each host",
        Hairpin.NONE: "does not hairpin",
        Hairpin.INTERNAL_SOURCE: "hairpins, and shows the internal source",
        Hairpin.EXTERNAL_SOURCE: "hairpins",
        Unsolicited.DROP: "drops other packets in silence",
        Unsolicited.REJECT: "answers other packets with an ICMP error",
        Unsolicited.ORDER_SENSITIVE: "moves the host to another port if the peer's packet comes first",
        Refresh.OUTBOUND: "only outbound packets refresh a mapping",
        Refresh.BOTH: "packets of both directions refresh a mapping",
        Refresh.ABSOLUTE: "nothing refreshes a mapping",
        Protocols.ANY: "lets every protocol through",
        Protocols.NO_UDP: "lets no UDP through",
        Protocols.TCP_ONLY: "lets nothing but TCP through",
        Overflow.REFUSE: "refuses new sessions when it is full",
        Overflow.EVICT: "ends an old session for a new one when it is full",
        Pooling.PAIRED: "has one external address for all mappings of a host",
        Pooling.ARBITRARY: "takes the next external address for each mapping",
        PortMapping.NONE: "leads no ports to hosts that ask",
        PortMapping.ASKED: "leads ports to hosts that ask",
        TcpMapping.ENDPOINT_INDEPENDENT: "keeps the port of TCP",
        TcpMapping.FRESH: "takes a random port for each TCP connection",
        TcpFiltering.ENDPOINT_INDEPENDENT: "lets everybody connect to a port of TCP that is in use",
        TcpFiltering.ADDRESS_DEPENDENT: "lets addresses connect to which the host has connected",
        TcpFiltering.ADDRESS_AND_PORT_DEPENDENT: "lets nobody else connect by TCP",
        CrossingSyn.LET_IN: "lets a SYN in that crosses the host's own",
        CrossingSyn.DROPPED: "drops a SYN that crosses the host's own",
        Syn.AS_REST: "treats a SYN from outside as the rest",
        Syn.DROP: "drops other SYNs in silence",
        Syn.RESET: "resets other TCP connections",
        Syn.UNREACHABLE: "answers other SYNs with an ICMP error",
        Syn.HELD: "answers other SYNs after six seconds, where the host connects to nobody meanwhile",
        IcmpErrors.TRANSLATED: "lets ICMP errors in",
        IcmpErrors.DROPPED: "lets no ICMP error in",
        AfterError.NOTHING: "keeps its filters after an ICMP error",
        AfterError.CLOSES: "closes to whom an ICMP error is about",
        Fragments.PASSED: "lets fragments through",
        Fragments.DROPPED: "drops fragments",
        Parity.ANY: "gives odd ports for even ones",
        Parity.KEPT: "gives even ports for even ones",
        Payload.LEFT: "leaves payloads alone",
        Payload.REWRITTEN: "rewrites addresses in payloads",
        Ipv6.FIREWALL: "translates no IPv6",
        Ipv6.NAT66: "has one IPv6 address for all hosts",
        Ipv6.NAT66_FRESH: "has one IPv6 address for all hosts, and a random port for each flow",
        Ipv6Filtering.ADDRESS_AND_PORT_DEPENDENT: "lets in over IPv6 to whom the host has sent",
        Ipv6Filtering.ADDRESS_DEPENDENT: "lets in over IPv6 the addresses to which the host has sent",
        Ipv6Filtering.ENDPOINT_INDEPENDENT: "lets everybody in over IPv6, once the host has sent",
        Ipv6.NAT64: "leads hosts that have IPv6 alone to IPv4",
        Ipv6.NPTV6: "gives each host its own IPv6 address in another prefix",
    }
)


@dataclass(frozen=True, slots=True)
class NatWords:
    """One NAT of a report. `id` is empty where there is no NAT."""

    name: str
    id: str
    mapping: str
    filtering: str
    flags: tuple[str, ...]
    """Unusual behaviour for such a mapping, a clause each."""

    def __str__(self) -> str:
        """``EIM+ADF: one external port for all destinations; lets in ...``, without the name."""
        known = f"{self.id}: " if self.id and self.id != self.name else ""
        return known + "; ".join(filter(None, [self.mapping, self.filtering, *self.flags]))


def in_words(name: str) -> NatWords:
    """The NAT with that name or id. Raises `UsageError` if there is none."""
    behavior = preset(name).behavior
    if behavior is None:
        return NatWords(name, "", _NO_NAT, "", ())
    mapping, filtering = _MAPPING[behavior.mapping], _FILTERING[behavior.filtering]
    return NatWords(name, str(behavior), mapping, filtering, tuple(_flags(behavior)))


def nats_of(report: Report) -> dict[str, NatWords]:
    """Every NAT of `report` by its name, in the order of the table."""
    names = dict.fromkeys(name for cell in report.cells for name in (cell.nat_a, cell.nat_b))
    return {name: in_words(name) for name in names}


def _flags(behavior: NatBehavior) -> Iterator[str]:
    usual = usual_behavior(behavior.mapping, behavior.filtering)
    for field in TERMS:
        term = getattr(behavior, field)
        if term is not getattr(usual, field):
            yield _FLAGS[term]
    if behavior.lifetime != LIFETIME:
        yield f"a mapping lives {behavior.lifetime} s"
    if behavior.sessions:
        yield f"has {behavior.sessions} sessions at most"
    if behavior.background:
        yield f"others send {behavior.background} datagrams a second through it, each from a new port"
    if behavior.addresses > 1:
        yield f"has {behavior.addresses} external addresses"
    if behavior.tcp_sessions:
        yield f"has {behavior.tcp_sessions} TCP connections at most"
    if behavior.tcp_established != TCP_ESTABLISHED:
        yield f"a TCP connection lives {behavior.tcp_established} s without a packet"
    if behavior.tcp_transitory != TCP_TRANSITORY:
        yield f"one that begins or closes lives {behavior.tcp_transitory} s"
