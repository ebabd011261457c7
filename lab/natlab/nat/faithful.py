"""NATs that the nftables table cannot make as they are defined, and why. Pure."""

from __future__ import annotations

from nat_traversal.errors import UsageError
from nat_traversal.wire.behavior import Filtering, Hairpin, Mapping, PortAllocation, Refresh
from natlab.behavior import NatBehavior, Overflow, Pooling
from natlab.nat import ipv6
from natlab.terms import AfterError, IcmpErrors, Parity, Payload, TcpFiltering, TcpMapping

DEPTH: dict[Mapping | Filtering, int] = {
    **{term: depth for depth, term in enumerate(Mapping)},
    **{term: depth for depth, term in enumerate(Filtering)},
}
"""How much of the remote endpoint counts: nothing, its address, or its port as well."""


def refuse_the_unfaithful(behavior: NatBehavior) -> None:
    """Raise `UsageError`, with the reason, for what the table cannot make."""
    ipv6.refuse_the_unfaithful(behavior.ipv6, behavior.ipv6_filtering)
    independent = behavior.mapping is Mapping.ENDPOINT_INDEPENDENT
    opens = independent or behavior.filtering is Filtering.ENDPOINT_INDEPENDENT
    if behavior.hairpin is Hairpin.EXTERNAL_SOURCE and not opens:
        raise UsageError(
            f"no rules make {behavior}: the port that one host knows of another is open to a"
            " third party alone, so hairpin-external-source goes with EIM or EIF"
        )
    if behavior.refresh is Refresh.BOTH and DEPTH[behavior.filtering] < DEPTH[behavior.mapping]:
        raise UsageError(
            f"no rules make {behavior}: a stranger's packet does not tell which of several mappings"
            " it refreshes, so inbound-refresh needs a filter no wider than the mapping"
        )
    by_endpoint = behavior.filtering is Filtering.ADDRESS_AND_PORT_DEPENDENT
    if behavior.overflow is Overflow.EVICT and not (behavior.sessions and by_endpoint):
        raise UsageError(
            f"no rules make {behavior}: a wider filter lets in whose session has ended, so evict goes"
            " with APDF, and with a limit as sessions-4096"
        )
    if behavior.overflow is Overflow.EVICT and behavior.hairpin is not Hairpin.NONE:
        raise UsageError(
            f"no rules make {behavior}: hairpinned sessions have no place to be evicted of"
        )
    if behavior.pooling is Pooling.ARBITRARY and behavior.addresses == 1:
        raise UsageError(
            f"no rules make {behavior}: arbitrary needs more than one address, as addresses-2"
        )
    if behavior.blocks_udp and (behavior.sessions or behavior.background):
        raise UsageError(
            f"no rules make {behavior}: sessions and background are about UDP, which does not pass"
        )
    if behavior.addresses > 1 and behavior.tcp_mapping is TcpMapping.FRESH:
        raise UsageError(f"no rules make {behavior}: tcp-apdm goes with one address")
    if (
        behavior.addresses > 1
        and behavior.tcp_filtering is not TcpFiltering.ADDRESS_AND_PORT_DEPENDENT
    ):
        raise UsageError(
            f"no rules make {behavior}: a port is of one address here, so {behavior.tcp_filtering}"
            " goes with one address"
        )
    if behavior.after_error is AfterError.CLOSES and (
        behavior.blocks_udp or behavior.filtering is Filtering.ENDPOINT_INDEPENDENT
    ):
        raise UsageError(
            f"no rules make {behavior}: an open filter has nothing to close, so icmp-closes goes with"
            " ADF or APDF, and with UDP"
        )
    if behavior.after_error is AfterError.CLOSES and behavior.icmp_errors is IcmpErrors.DROPPED:
        raise UsageError(f"no rules make {behavior}: an error that is dropped closes nothing")
    drawn = (PortAllocation.RANDOM, PortAllocation.PRESERVING)
    if behavior.parity is Parity.KEPT and behavior.allocation not in drawn:
        raise UsageError(f"no rules make {behavior}: port-parity goes with random or preserving")
    if behavior.payload is Payload.REWRITTEN and (behavior.blocks_udp or behavior.addresses > 1):
        raise UsageError(f"no rules make {behavior}: alg goes with UDP, and with one address")
