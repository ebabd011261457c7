"""Questions to a client whether it has the key that holds an id. Needs X25519, so the package `cryptography`."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from nat_traversal.crypto.possession import Claim, is_proof
from nat_traversal.errors import KeyRefusedError
from nat_traversal.wire import CHALLENGE_BYTES
from nat_traversal.wire.messages import Challenge, Register


class KeyPair(Protocol):
    """`nat_traversal.crypto.dh.KeyPair`."""

    @property
    def public(self) -> bytes: ...

    def exchange(self, public: bytes) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Question:
    """One question to one connection."""

    claim: Claim
    pair: KeyPair = field(repr=False)

    @property
    def message(self) -> Challenge:
        """Its form on the wire."""
        return Challenge(self.claim.nonce, self.claim.server)

    def is_answered_by(self, mac: bytes) -> bool:
        """Whether `mac` proves that the client has the key."""
        try:
            return is_proof(self.pair.exchange(self.claim.owner), self.claim, mac)
        except KeyRefusedError:
            return False


class Possession:
    """Makes questions. `certificate` is the SHA-256 of the server's, empty without TLS."""

    def __init__(
        self,
        make_key: Callable[[random.Random], KeyPair],
        rng: random.Random,
        certificate: bytes = b"",
    ) -> None:
        self._make_key = make_key
        self._rng = rng
        self._certificate = certificate

    def question(self, register: Register) -> Question:
        """A question to the client that registers so, with a nonce and a key of its own."""
        pair = self._make_key(self._rng)
        nonce = self._rng.randbytes(CHALLENGE_BYTES)
        claim = Claim(
            nonce, pair.public, register.owner, register.id, register.via, self._certificate
        )
        return Question(claim, pair)
