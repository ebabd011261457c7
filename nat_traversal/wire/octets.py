"""Octets of fixed length in datagrams, and the checks that all of them need."""

from __future__ import annotations

from nat_traversal.errors import LocalProtocolError, WireError
from nat_traversal.wire import PROTOCOL_VERSION

TAG_BYTES = 8
HANDLE_BYTES = 16
NONCE_BYTES = 8
CONNECTION_BYTES = 4
MAC_BYTES = 16
NO_MAC = bytes(MAC_BYTES)
FLAG = 0x01
"""HELLO: heard. CONFIRM: answer wanted. BOUND: it stands. LINK: answer wanted."""


def exactly(length: int, value: bytes) -> bytes:
    """`value`, which has `length` octets. Raises `LocalProtocolError`: struct would pad or cut it in silence."""
    if len(value) != length:
        raise LocalProtocolError(f"{length} octets are wanted, not {len(value)}")
    return value


def check_version(version: int) -> None:
    """Raises `WireError` for a version that this side does not speak."""
    if version != PROTOCOL_VERSION:
        raise WireError(f"datagram version {version}: this side speaks {PROTOCOL_VERSION}")


def check_flags(kind: str, flags: int) -> None:
    """Raises `WireError` for a bit that has no meaning."""
    if flags not in (0, FLAG):
        raise WireError(f"{kind} flags {flags:#x}: must be 0 or {FLAG:#x}")
