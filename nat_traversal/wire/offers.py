"""A host's offer for a round, as the server hands it to the peer: keys, and what it can and demands."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Suite(StrEnum):
    """How frames are sealed."""

    AES_256_GCM = "aes-256-gcm"
    CHACHA20_POLY1305 = "chacha20-poly1305"
    NONE = "plaintext"
    """Not at all; both sides must ask for it (`--plaintext`)."""


class Trust(StrEnum):
    """The voucher for the peer. It comes from local configuration alone, and nothing lowers it."""

    SERVER = "server"
    """Nobody but the server: sealed against those who only listen."""
    SHARED_KEY = "shared-key"
    IDENTITY = "identity"
    BOTH = "identity+shared-key"


@dataclass(frozen=True, slots=True)
class Offer:
    """Everything here is public. It is bound to the keys of the round."""

    instance: bytes
    """16 random octets: the process."""
    public: bytes
    """The public half of the ephemeral key of one socket: 32 octets, or none without encryption."""
    identity: bytes
    """The public half of the host's identity: 32 octets, or none."""
    trust: Trust
    suites: tuple[str, ...]
    """The preferred one first: `Suite`s, and what later versions name. Both sides bind them all."""
