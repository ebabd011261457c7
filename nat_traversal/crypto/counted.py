"""Counters of frames as octets, and the nonces that they make: for whole runs of frames at once. Pure."""

from __future__ import annotations

COUNTER_OCTETS = 6
MAX_COUNTER = (1 << 48) - 1
NONCE_OCTETS = 12
"""Of both suites (RFC 5116 section 3.2): the kind, zeros, the counter. So the kind is authentic, and costs
nothing more."""
MOST_AT_ONCE = 256
"""Frames that are sealed or opened in one loop: the last octets of their counters differ."""
OCTETS = [bytes([octet]) for octet in range(256)]
"""Each octet alone."""
NONCE_HEADS = [octet.ljust(NONCE_OCTETS - COUNTER_OCTETS, b"\0") for octet in OCTETS]
"""By kind: a nonce as far as the counter."""
_COUNTED = bytes(range(256))


class Nonces:
    """The nonces of the last counters: 256 that differ in their last octet only, and those after them."""

    def __init__(self) -> None:
        self._upper = (-1, -1)
        self._nonces: list[bytes] = []

    def of(self, kind: int, counter: int, count: int) -> list[bytes]:
        """Of `count` counters from this one on, at most `MOST_AT_ONCE`."""
        upper, low = divmod(counter, 256)
        if (kind, upper) != self._upper:
            is_next = (kind, upper - 1) == self._upper and len(self._nonces) > 256
            self._nonces = self._nonces[256:] if is_next else self._block(kind, upper)
            self._upper = kind, upper
        if low + count > len(self._nonces):
            self._nonces += self._block(kind, upper + 1)
        return self._nonces[low : low + count]

    @staticmethod
    def _block(kind: int, upper: int) -> list[bytes]:
        head = NONCE_HEADS[kind] + upper.to_bytes(COUNTER_OCTETS - 1, "big")
        return [head + octet for octet in OCTETS]


def counted(counter: int, count: int) -> list[bytes]:
    """Each octet of `count` counters from this one on, at most 256: all first octets, then all second ones, …"""
    low = counter & 0xFF
    before = min(count, 256 - low)
    head = counter.to_bytes(COUNTER_OCTETS, "big")
    columns = [OCTETS[octet] * before for octet in head[:-1]]
    columns.append(_COUNTED[low : low + before])
    if before < count:
        columns = [
            one + other
            for one, other in zip(columns, counted(counter + before, count - before), strict=True)
        ]
    return columns
