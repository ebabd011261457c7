"""A path that a client in the world says is established."""

from __future__ import annotations

from dataclasses import dataclass

from nat_traversal.wire.endpoint import Endpoint


@dataclass(frozen=True, slots=True)
class Claim:
    """A path that an agent says is established: what it told, and what it ordered."""

    attempt: int
    round: int
    method: str
    remote: Endpoint
    generation: int
    binding: bytes
    """The same at both ends: of one round alone."""
