"""X25519 (RFC 7748): key pairs whose private half never shows. Pure."""

from __future__ import annotations

import random

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from nat_traversal.errors import KeyRefusedError

KEY_OCTETS = 32


class KeyPair:
    """One X25519 key pair. `private` are 32 octets; its repr shows the public half only."""

    __slots__ = ("_private", "public")

    def __init__(self, private: bytes) -> None:
        self._private = X25519PrivateKey.from_private_bytes(private)
        self.public = self._private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        """32 octets, for everybody."""

    @classmethod
    def generate(cls, rng: random.Random) -> KeyPair:
        """A fresh pair. `rng` must be a `random.SystemRandom` outside tests."""
        return cls(rng.randbytes(KEY_OCTETS))

    def exchange(self, public: bytes) -> bytes:
        """The secret shared with the holder of `public`: 32 octets.

        Raises `KeyRefusedError` for this pair's own public half, which a lying server could hand
        back to us, and for points of small order (RFC 7748 section 6.1).
        """
        if public == self.public:
            raise KeyRefusedError("the other side's key is this side's own: the server is lying")
        try:
            return self._private.exchange(X25519PublicKey.from_public_bytes(public))
        except ValueError:
            raise KeyRefusedError("the other side's key is no usable X25519 key") from None

    def __repr__(self) -> str:
        return f"KeyPair(public={self.public.hex()})"
