"""The key schedule of a path: everything that both hosts know goes in, one key a purpose comes out. Pure.

Noise-derived, and no Noise handshake: both ephemeral keys are known before any role is, since the
server hands them out with the round. So all DH results are mixed at once, in the order of Noise's
tokens (revision 34, section 7.4): ee, and with identities es, se, ss; then a psk, if there is one.
The initiator is the host whose id sorts first.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from nat_traversal.crypto.noise import SymmetricState
from nat_traversal.wire.offers import Offer, Suite

NAME = b"nat-traversal 2: ee [es se ss] [psk], X25519, SHA-256, all before the first message"
"""Names the construction, so that no other protocol derives the same keys."""


@dataclass(frozen=True, slots=True)
class Party:
    """One host of a round: its id, and what it brings."""

    id: str
    offer: Offer


@dataclass(frozen=True, slots=True)
class Transcript:
    """Everything that both sides must agree on before a key is any use."""

    version: int
    token: bytes
    round: int
    role_a: str
    """The id of the host in role A."""
    initiator: Party
    responder: Party
    suite: Suite

    def encode(self) -> bytes:
        """Octets in which no two transcripts are alike: each value with its length before it."""
        values = [
            bytes([self.version, self.round]),
            self.token,
            self.role_a.encode(),
            self.suite.encode(),
        ]
        for party in (self.initiator, self.responder):
            offer = party.offer
            values += [
                party.id.encode(),
                offer.instance,
                offer.public,
                offer.identity,
                offer.trust.encode(),
                *(suite.encode() for suite in offer.suites),
                b"",
            ]
        return b"".join(len(value).to_bytes(2, "big") + value for value in values)


@dataclass(frozen=True, slots=True)
class DirectionKeys:
    """The keys of one direction, 32 octets each. They never show."""

    seal: bytes = field(repr=False)
    handshake: bytes = field(repr=False)
    """For the MAC of HELLO and CONFIRM."""


@dataclass(frozen=True, slots=True)
class PathKeys:
    """All keys of a round or an epoch, as one of the two hosts uses them."""

    sending: DirectionKeys = field(repr=False)
    receiving: DirectionKeys = field(repr=False)
    chain: bytes = field(repr=False)
    """Only for the next epoch."""
    transcript_hash: bytes
    """The same on both sides, and public; binds an epoch to the round."""


def choose(initiator: Iterable[str], responder: Iterable[str]) -> Suite | None:
    """The first suite of the initiator that the responder offers as well; None if there is none.
    One of the two is this host, which offers only what it knows."""
    theirs = set(responder)
    return next((Suite(suite) for suite in initiator if suite in theirs), None)


def derive(
    transcript: Transcript,
    *,
    is_initiator: bool,
    secrets: Iterable[bytes],
    psk: bytes | None,
) -> PathKeys:
    """The keys of a round. `secrets` are the DH results in the order ee, es, se, ss; none without
    encryption, when only the token keeps strangers out."""
    state = SymmetricState(NAME)
    state.mix_hash(transcript.encode())
    if transcript.suite is Suite.NONE:
        state.mix_key(transcript.token)
    for secret in secrets:
        state.mix_key(secret)
    if psk is not None:
        state.mix_key_and_hash(psk)
    return _keys(state, is_initiator=is_initiator)


def next_epoch(keys: PathKeys, secret: bytes, bound: bytes, *, is_initiator: bool) -> PathKeys:
    """The keys after a rekey. `secret` is the DH result of two fresh ephemeral keys, `bound` what was
    said about it in the old epoch. The new keys tell nothing about the old ones."""
    state = SymmetricState(NAME + b", rekey")
    state.mix_hash(keys.transcript_hash)
    state.mix_hash(bound)
    state.mix_key(keys.chain)
    state.mix_key(secret)
    return _keys(state, is_initiator=is_initiator)


def _keys(state: SymmetricState, *, is_initiator: bool) -> PathKeys:
    first, second = (
        DirectionKeys(state.derive(b"seal " + way), state.derive(b"handshake " + way))
        for way in (b"initiator to responder", b"responder to initiator")
    )
    return PathKeys(
        sending=first if is_initiator else second,
        receiving=second if is_initiator else first,
        chain=state.derive(b"chain"),
        transcript_hash=state.transcript_hash,
    )
