"""Keys of frames as text, for who wants to read a capture of their own: a line for each direction of each epoch. Pure.

    NAT_TRAVERSAL_FRAMES 1f2e3d4c aes-256-gcm 00112233…

The connection that the frames bear, the way to seal, the key. As with SSLKEYLOGFILE of TLS programs, such a file
opens all that it has the keys of. Nothing writes one unless it is asked for.
"""

from __future__ import annotations

from collections.abc import Iterable

from nat_traversal.crypto.counted import COUNTER_OCTETS, NONCE_OCTETS
from nat_traversal.crypto.frames import (
    CONNECTION_OCTETS,
    HEADER_OCTETS,
    TAG_OCTETS,
)
from nat_traversal.wire.offers import Suite

LABEL = "NAT_TRAVERSAL_FRAMES"


def as_line(connection: bytes, suite: Suite, key: bytes) -> str:
    """One line, without its end: `key`, 32 octets, opens the frames that bear `connection`, 4 octets."""
    return f"{LABEL} {connection.hex()} {suite} {key.hex()}"


class KnownKeys:
    """The keys of a log. Lines that it does not understand are passed over, as other programs' are."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._keys: dict[bytes, tuple[Suite, bytes]] = {}
        for line in lines:
            match line.split():
                case [label, connection, suite, key] if label == LABEL and suite in set(Suite):
                    self._keys[bytes.fromhex(connection)] = Suite(suite), bytes.fromhex(key)

    def open(self, frame: bytes) -> bytes | None:
        """The content of a frame; None without its key, or for one that this key has not sealed."""
        found = self._keys.get(frame[1 : 1 + CONNECTION_OCTETS])
        if found is None or len(frame) < HEADER_OCTETS + TAG_OCTETS:
            return None
        suite, key = found
        if suite is Suite.NONE:
            return None
        from nat_traversal.crypto.seal import NotAuthentic, opener  # noqa: PLC0415

        kind = frame[:1].ljust(NONCE_OCTETS - COUNTER_OCTETS, b"\0")
        nonce = kind + frame[HEADER_OCTETS - COUNTER_OCTETS : HEADER_OCTETS]
        place = bytearray(len(frame) - HEADER_OCTETS - TAG_OCTETS)
        try:
            opener(suite, key)(nonce, frame[HEADER_OCTETS:], None, memoryview(place))
        except NotAuthentic:
            return None
        return bytes(place)
