"""Sealing and opening: AES-256-GCM or ChaCha20-Poly1305 (RFC 8439), from `cryptography`. Pure.

`cryptography` 43 and later write into our buffer, earlier ones (Debian 12 has 38) make a copy.
The nonce is the frame's kind and counter. A key never meets a counter twice: each direction of each epoch has
a key of its own, and counts up.
"""

from __future__ import annotations

from collections.abc import Callable

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

from nat_traversal.wire.offers import Suite

Octets = bytes | bytearray | memoryview
IntoPlace = Callable[[Octets, Octets, Octets | None, memoryview], object]
"""(nonce of 12 octets, what to read, header to authenticate, which frames do not have, place to write to). The
place overlaps nothing that is read. Sealing writes `TAG_OCTETS` more than it reads, opening as many fewer."""
NotAuthentic = InvalidTag
"""An opener raises this for octets that were not sealed with its key, or changed on the way."""
TAG_OCTETS = 16


def _cipher(suite: Suite, key: bytes) -> AESGCM | ChaCha20Poly1305:
    assert suite is not Suite.NONE, "plaintext is not sealed"
    return AESGCM(key) if suite is Suite.AES_256_GCM else ChaCha20Poly1305(key)


def sealer(suite: Suite, key: bytes) -> IntoPlace:
    """A function that seals with `key`, 32 octets."""
    cipher = _cipher(suite, key)
    if hasattr(cipher, "encrypt_into"):
        return cipher.encrypt_into

    def seal(nonce: Octets, plain: Octets, header: Octets | None, place: memoryview) -> None:
        place[:] = cipher.encrypt(bytes(nonce), bytes(plain), header and bytes(header))

    return seal


def opener(suite: Suite, key: bytes) -> IntoPlace:
    """A function that opens with `key`, 32 octets. It raises `NotAuthentic`."""
    cipher = _cipher(suite, key)
    if hasattr(cipher, "decrypt_into"):
        return cipher.decrypt_into

    def open_(nonce: Octets, sealed: Octets, header: Octets | None, place: memoryview) -> None:
        place[:] = cipher.decrypt(bytes(nonce), bytes(sealed), header and bytes(header))

    return open_
