"""Which external port a new mapping gets, as nftables rules. Pure, as `natlab.nat.nftables`, of which it is a part.

A port is written into the packet, where it can be claimed: the set `owned` gives each port to one
packet only, however many ask at once. Ports are made bit by bit: nft has no way to make one of a number
that old and new ones agree on.
"""

from __future__ import annotations

from collections.abc import Iterator

from nat_traversal.wire.behavior import PortAllocation
from natlab.terms import Parity

_HIGHEST_BIT = 1 << 15
_FIRST, _COUNT = 1024, 65536 - 1024
_BLOCKS, _BLOCK_BITS = range(2, 18), 10
"""The last numbers of the internal addresses that have a block of ports, and its size as a power of 2."""
_THROWS = 8
"""Random ports that are tried before every port is, one after the other."""
_FAN = 16
"""Rules of one chain of the search, each of which tries what the next chain tries."""
_OWN_BLOCK = "ip saddr & 0.0.0.255"

Chain = tuple[str, list[str]]


def rules(allocation: PortAllocation) -> Iterator[str]:
    """The rules that write a port into a packet which no other has, or drop it when there is none.

    The mark is 0 once a port is claimed.
    """
    if allocation is PortAllocation.BLOCK_PER_HOST:
        # A host without a block gets no port: nothing would tell it from others.
        known = ", ".join(f"0.0.0.{host}" for host in _BLOCKS)
        yield f"{_OWN_BLOCK} != {{ {known} }} drop"
    # A datagram without a checksum (RFC 768) gets none by being written to.
    yield "udp checksum 0 ct mark set 1"
    yield "meta mark set 1"
    if allocation is PortAllocation.PRESERVING:
        yield "jump claim"
    if allocation is not PortAllocation.SEQUENTIAL:
        yield from ["meta mark != 0 jump throw"] * _THROWS
    yield "meta mark != 0 jump search"
    yield "meta mark != 0 drop"
    yield "ct mark 1 udp checksum set 0"


def chains(allocation: PortAllocation, parity: Parity = Parity.ANY) -> Iterator[Chain]:
    """The chains to which `rules` jumps, each chain after those that it jumps to."""
    bits = range(parity is Parity.KEPT, 16)
    # The rate stands for "once": who comes second exceeds it. The kernel counts under a lock.
    once = "limit rate over 1/week burst 1 packets"
    yield "claim", [f"add @owned {{ udp sport {once} }} return", "meta mark set 0"]
    flip_any = [
        *map(_flip, bits),
        f"udp sport < {_FIRST} udp sport set udp sport ^ {_HIGHEST_BIT}",
    ]
    match allocation:
        case PortAllocation.PRESERVING | PortAllocation.RANDOM:
            yield "throw", [*flip_any, "jump claim"]
            yield from _search(_draw_any(bits), _COUNT)
        case PortAllocation.SEQUENTIAL:
            yield from _search(_draw_any(bits), _COUNT)
        case PortAllocation.BLOCK_PER_HOST:
            first = ", ".join(f"0.0.0.{host} : {host << _BLOCK_BITS}" for host in _BLOCKS)
            start = f"udp sport set {_OWN_BLOCK} map {{ {first} }}"
            yield "throw", [start, *map(_flip, range(_BLOCK_BITS)), "jump claim"]
            # A count for each block: else the ports that one host's packets try are not all.
            for host in _BLOCKS:
                count = f"meta mark set numgen inc mod {1 << _BLOCK_BITS} offset {1 << _BLOCK_BITS}"
                yield f"count_{host}", [count]
            counts = ", ".join(f"0.0.0.{host} : jump count_{host}" for host in _BLOCKS)
            draw = [f"{_OWN_BLOCK} vmap {{ {counts} }}", start, *map(_copy, range(_BLOCK_BITS))]
            yield from _search(draw, 1 << _BLOCK_BITS)


def _draw_any(bits: range) -> list[str]:
    """The next of all ports, in these bits. One count for all, so no two packets get the same."""
    count = f"meta mark set numgen inc mod {_COUNT} offset {_FIRST}"
    kept = f"udp sport & {(1 << bits.start) - 1}" if bits.start else "0"
    return [count, f"udp sport set {kept}", *map(_copy, bits)]


def _search(draw: list[str], count: int) -> Iterator[Chain]:
    """`draw` until a port is claimed, `count` times at least: nft has no loops, but chains in chains."""
    yield "draw", [*draw, "jump claim"]
    tries, below, level = 1, "draw", 0
    while tries < count:
        level += 1
        tries *= _FAN
        called = "search" if tries >= count else f"search_{level}"
        yield called, [f"meta mark != 0 jump {below}"] * _FAN
        below = called


def _flip(bit: int) -> str:
    """One bit of the source port, by chance."""
    return f"numgen random mod 2 == 1 udp sport set udp sport ^ {1 << bit}"


def _copy(bit: int) -> str:
    """One bit of the source port, from the mark."""
    return f"meta mark & {1 << bit} != 0 udp sport set udp sport ^ {1 << bit}"
