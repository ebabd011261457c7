"""MACs of the handshake, and nonces that need no memory. Pure: the standard library alone."""

from __future__ import annotations

import hmac
from dataclasses import replace
from typing import TypeVar

from nat_traversal.wire import datagrams
from nat_traversal.wire.endpoint import Endpoint
from nat_traversal.wire.octets import MAC_BYTES as MAC_OCTETS
from nat_traversal.wire.octets import NONCE_BYTES as NONCE_OCTETS

S = TypeVar("S", bound=datagrams.Signed)


def mac(key: bytes, message: bytes) -> bytes:
    """HMAC-SHA-256 (RFC 2104), cut to 16 octets (RFC 4868 section 2.1)."""
    return hmac.digest(key, message, "sha256")[:MAC_OCTETS]


def is_mac(key: bytes, message: bytes, claimed: bytes) -> bool:
    """Whether `claimed` is that MAC; takes the same time whatever it is."""
    return hmac.compare_digest(mac(key, message), claimed)


def signed(datagram: S, key: bytes) -> S:
    """The same datagram with its MAC under `key`."""
    return replace(datagram, mac=mac(key, datagrams.signed_part(datagram)))


def is_signed(datagram: datagrams.Signed, key: bytes) -> bool:
    """Whether the datagram bears its MAC under `key`."""
    return is_mac(key, datagrams.signed_part(datagram), datagram.mac)


def nonce(secret: bytes, token: bytes, remote: Endpoint) -> bytes:
    """8 octets that only the holder of `secret` can foretell, for one round and one remote address.

    The other side echoes them. The echo proves that what was sent to `remote` arrives there: nobody
    else has seen them. The secret is local and never sent, so one remembers nothing.
    """
    return hmac.digest(secret, token + str(remote).encode(), "sha256")[:NONCE_OCTETS]


def is_nonce(secret: bytes, token: bytes, remote: Endpoint, claimed: bytes) -> bool:
    """Whether `claimed` is the nonce sent to `remote` in that round."""
    return hmac.compare_digest(nonce(secret, token, remote), claimed)
