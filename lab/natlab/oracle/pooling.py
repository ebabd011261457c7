"""Which address of a NAT's pool an internal address is paired with: Linux' hash of it. Pure.

nftables' ``jhash`` is Bob Jenkins' lookup3 (Linux, include/linux/jhash.h) of the address' four octets, scaled to the
size of the pool (include/linux/math.h, `reciprocal_scale`).
"""

from __future__ import annotations

from ipaddress import IPv4Address

_INITIAL = 0xDEAD_BEEF
_SEED = 1
_WORD = 0xFFFF_FFFF
_ROTATIONS = (14, 11, 25, 16, 4, 14, 24)


def paired_place(address: str, places: int) -> int:
    """The place in a pool of so many `places` for all mappings of an internal address."""
    octets = IPv4Address(address).packed
    start = (_INITIAL + len(octets) + _SEED) & _WORD
    a, b, c = (start + int.from_bytes(octets, "little")) & _WORD, start, start
    for rotation in _ROTATIONS:
        # Each step mixes the last word into the one before it, and all move on by one.
        c = ((c ^ b) - _rotated(b, rotation)) & _WORD
        a, b, c = b, c, a
    return (b * places) >> 32


def _rotated(word: int, by: int) -> int:
    return ((word << by) | (word >> (32 - by))) & _WORD
