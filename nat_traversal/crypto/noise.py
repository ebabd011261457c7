"""The symmetric state of the Noise framework (revision 34, section 5.2) over SHA-256.

It has the chaining key, the running hash, MixHash, MixKey, MixKeyAndHash and Split; it has no message
patterns and no handshake encryption. Published vectors of Noise are tests of this file.
"""

from __future__ import annotations

import hashlib
import hmac

HASH_OCTETS = 32


def hkdf(chaining_key: bytes, material: bytes, outputs: int) -> list[bytes]:
    """Noise's HKDF (section 4.3): `outputs` (1 to 3) keys of 32 octets. It is RFC 5869 with no info."""
    secret = hmac.digest(chaining_key, material, "sha256")
    found: list[bytes] = []
    block = b""
    for number in range(1, outputs + 1):
        block = hmac.digest(secret, block + bytes([number]), "sha256")
        found.append(block)
    return found


def expand(secret: bytes, info: bytes, octets: int) -> bytes:
    """HKDF-Expand (RFC 5869 section 2.3): `octets` (at most 8,160) that `info` names."""
    blocks = [b""]
    while sum(map(len, blocks)) < octets:
        blocks.append(hmac.digest(secret, blocks[-1] + info + bytes([len(blocks)]), "sha256"))
    return b"".join(blocks)[:octets]


class SymmetricState:
    """Chaining key and transcript hash, both 32 octets. Its repr shows neither."""

    def __init__(self, name: bytes) -> None:
        self._hash = (
            name.ljust(HASH_OCTETS, b"\0")
            if len(name) <= HASH_OCTETS
            else hashlib.sha256(name).digest()
        )
        self._chaining_key = self._hash

    @property
    def transcript_hash(self) -> bytes:
        """Of everything mixed with `mix_hash`, in order. No secret."""
        return self._hash

    def mix_hash(self, data: bytes) -> None:
        """Bind `data` to everything that is derived from now on."""
        self._hash = hashlib.sha256(self._hash + data).digest()

    def mix_key(self, material: bytes) -> bytes:
        """Mix a secret in, for example a DH result; the key for what follows at once."""
        self._chaining_key, key = hkdf(self._chaining_key, material, 2)
        return key

    def mix_key_and_hash(self, material: bytes) -> bytes:
        """Mix a pre-shared key in (section 9); the key for what follows at once."""
        self._chaining_key, bound, key = hkdf(self._chaining_key, material, 3)
        self.mix_hash(bound)
        return key

    def split(self) -> tuple[bytes, bytes]:
        """The initiator's key and the responder's (section 5.2)."""
        first, second = hkdf(self._chaining_key, b"", 2)
        return first, second

    def derive(self, label: bytes) -> bytes:
        """32 octets for one purpose, bound to all that was mixed."""
        return expand(self._chaining_key, label + self._hash, 32)
