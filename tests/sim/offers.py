"""What hosts bring to a round in tests that speak to the server without an agent."""

from __future__ import annotations

from nat_traversal.wire import INSTANCE_BYTES, KEY_BYTES
from nat_traversal.wire import messages as m
from nat_traversal.wire.offers import Offer, Suite, Trust

PUBLIC = b"p" * KEY_BYTES
OFFER = Offer(b"i" * INSTANCE_BYTES, PUBLIC, b"", Trust.SERVER, (Suite.AES_256_GCM,))


def register(
    host_id: str = "host_a",
    peer_id: str = "host_b",
    key: bytes = bytes(32),
    generation: int = 0,
    *,
    owner: bytes = b"",
) -> m.Register:
    """As a client says it first."""
    return m.Register(1, (2,), host_id, peer_id, key, generation, OFFER, owner=owner)
