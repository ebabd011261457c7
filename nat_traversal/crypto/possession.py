"""Proof that a client has the key that holds its id: a MAC under the X25519 result of that key and the server's. Pure.

Nobody else can make it, and it is worth nothing elsewhere: the nonce and the server's key are fresh for
each connection, and the id and the server as the client sees it are bound as well. With TLS a server that
lies, and hands another server's challenge on, gets a proof that this other one does not take: their
certificates differ. Without TLS that does not hold. The server takes `via` as it is told, since it
may not know its own address from outside.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass

from nat_traversal.crypto.noise import SymmetricState

NAME = b"nat-traversal 2: possession of the key that holds an id, X25519, SHA-256"
"""Names the construction, so that no other protocol derives the same octets."""


@dataclass(frozen=True, slots=True)
class Claim:
    """All that a proof is bound to. None of it is secret."""

    nonce: bytes
    """The server's, for this connection: 16 octets."""
    server: bytes
    """The server's X25519 key, for this connection: 32 octets."""
    owner: bytes
    """The client's, which holds the id: 32 octets."""
    id: str
    via: str
    """The server's IP address as the client sees it; empty: unknown."""
    certificate: bytes
    """SHA-256 of the server's certificate, 32 octets; empty without TLS."""

    def encode(self) -> bytes:
        """Octets in which no two claims are alike: each value with its length before it."""
        values = (
            self.nonce,
            self.server,
            self.owner,
            self.id.encode(),
            self.via.encode(),
            self.certificate,
        )
        return b"".join(len(value).to_bytes(2, "big") + value for value in values)


def proof(secret: bytes, claim: Claim) -> bytes:
    """32 octets. `secret` is the X25519 result of both keys."""
    state = SymmetricState(NAME)
    state.mix_hash(claim.encode())
    state.mix_key(secret)
    return state.derive(b"proof")


def is_proof(secret: bytes, claim: Claim, claimed: bytes) -> bool:
    """Whether `claimed` is that proof; takes the same time whatever it is."""
    return hmac.compare_digest(proof(secret, claim), claimed)
