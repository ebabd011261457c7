"""Which external port a new mapping gets, as nftables rules. Pure, as `natlab.nat.rules`, of which it is a part.

Ports are made bit by bit: nft has no way to make one of a number that old and new ones agree on.
"""

from __future__ import annotations

from collections.abc import Iterator

from nat_traversal.wire.behavior import PortAllocation

_HIGHEST_BIT = 1 << 15
_BLOCKS, _BLOCK_BITS = range(2, 18), 10
"""The last numbers of the internal addresses that have a block of ports, and its size as a power of 2."""


def port_rules(allocation: PortAllocation) -> Iterator[str]:
    """The rules of a chain that writes a source port into the packet, be it free or not."""
    match allocation:
        case PortAllocation.PRESERVING | PortAllocation.RANDOM:
            yield from map(_flip, range(16))
            yield f"udp sport < 1024 udp sport set udp sport ^ {_HIGHEST_BIT}"
        case PortAllocation.SEQUENTIAL:
            yield f"udp sport set {_HIGHEST_BIT}"
            # All count together: a packet that passes one of these rules passes each.
            for bit in range(15):
                count = f"numgen inc mod {2 << bit} >= {1 << bit}"
                yield f"{count} udp sport set udp sport ^ {1 << bit}"
        case PortAllocation.BLOCK_PER_HOST:
            # A host without a block gets no port: nothing would tell it from others.
            known = ", ".join(f"0.0.0.{host}" for host in _BLOCKS)
            yield f"ip saddr & 0.0.0.255 != {{ {known} }} drop"
            first = ", ".join(f"0.0.0.{host} : {host << _BLOCK_BITS}" for host in _BLOCKS)
            yield f"udp sport set ip saddr & 0.0.0.255 map {{ {first} }}"
            yield from map(_flip, range(_BLOCK_BITS))


def _flip(bit: int) -> str:
    """One bit of the source port, by chance."""
    return f"numgen random mod 2 == 1 udp sport set udp sport ^ {1 << bit}"
