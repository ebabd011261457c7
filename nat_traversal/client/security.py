"""A client's demands of its peer, and the keys of a round. It comes from local configuration alone."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from nat_traversal.crypto import NEEDS_PACKAGE
from nat_traversal.crypto.epochs import Epochs
from nat_traversal.crypto.schedule import Party, PathKeys, Transcript, choose, derive
from nat_traversal.errors import KeyRefusedError, UsageError
from nat_traversal.paths.methods.method import HandshakeKeys
from nat_traversal.wire import INSTANCE_BYTES, PROTOCOL_VERSION
from nat_traversal.wire.datagrams import PROGRAMS
from nat_traversal.wire.messages import OpenRelay, OpenTurn, Role, StartRound
from nat_traversal.wire.offers import Offer, Suite, Trust


class KeyPair(Protocol):
    """`nat_traversal.crypto.dh.KeyPair`: only who seals needs the package behind it."""

    @property
    def public(self) -> bytes: ...

    def exchange(self, public: bytes) -> bytes: ...


def public_of(pair: KeyPair | None) -> bytes:
    """The half that travels; nothing without encryption."""
    return b"" if pair is None else pair.public


@dataclass(frozen=True, slots=True)
class Security:
    """The keys of one client. `plaintext`, `sealed` make the usual ones; no key shows in a repr."""

    make_key: Callable[[random.Random], KeyPair] | None = field(repr=False)
    """Makes an ephemeral key pair; None without encryption."""
    suites: tuple[Suite, ...]
    """Offered, the preferred one first."""
    psk: bytes | None = field(default=None, repr=False)
    """The shared key: 32 octets."""
    identity: KeyPair | None = None
    known: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    """Peers' public keys by id: 32 octets each."""

    @classmethod
    def plaintext(cls) -> Security:
        """No encryption, for study. The other side must ask for it too."""
        return cls(None, (Suite.NONE,))

    @classmethod
    def sealed(
        cls,
        *,
        suites: tuple[Suite, ...] = (Suite.AES_256_GCM, Suite.CHACHA20_POLY1305),
        psk: bytes | None = None,
        identity: KeyPair | None = None,
        known: Mapping[str, bytes] | None = None,
    ) -> Security:
        """Sealed paths. Raises `UsageError` where the package `cryptography` is missing."""
        try:
            # Without encryption nobody needs these. Both load here, not while HELLOs wait for them.
            from nat_traversal.crypto import dh, seal  # noqa: F401, PLC0415
        except ImportError:
            raise UsageError(NEEDS_PACKAGE) from None

        return cls(dh.KeyPair.generate, suites, psk, identity, known or {})

    @property
    def trust(self) -> Trust:
        """This side's demand, which it also offers."""
        if self.identity is None:
            return Trust.SERVER if self.psk is None else Trust.SHARED_KEY
        return Trust.IDENTITY if self.psk is None else Trust.BOTH

    def demanded(self, peer: str) -> bytes:
        """The identity that `peer` must have: 32 octets, or none."""
        return b"" if self.identity is None else self.known.get(peer, b"")

    def owner(self, rng: random.Random) -> KeyPair | None:
        """The key that holds this client's id at the server: its identity, or one of this process."""
        if self.identity is not None:
            return self.identity
        return None if self.make_key is None else self.make_key(rng)

    def offer(self, instance: bytes, public: bytes) -> Offer:
        """This side's offer for the round of the socket with that ephemeral key."""
        identity = b"" if self.identity is None else self.identity.public
        return Offer(instance, public, identity, self.trust, self.suites)

    def refusal(self, peer: str, theirs: Offer) -> str | None:
        """Why no round with `theirs` is possible, in one line; None if one is."""
        mismatch = self.mismatch(peer, theirs)
        if mismatch is None and Suite.NONE not in self.suites and not theirs.public:
            return f"{peer} sent no key for this round"
        return mismatch

    def mismatch(self, peer: str, theirs: Offer) -> str | None:
        """In one line, the demand of this side that `theirs` does not meet; None if it meets them all."""
        sealed = Suite.NONE not in self.suites
        if sealed != (Suite.NONE not in theirs.suites):
            here, there = ("this side", peer) if not sealed else (peer, "this side")
            return f"{here} has --plaintext, {there} has not: give it to both or to neither"
        if theirs.trust is not self.trust:
            return (
                f"this side asks for {_WORDS[self.trust]}, {peer} for {_WORDS[theirs.trust]}: "
                "give both the same kind of key"
            )
        if self.identity is not None and self.known.get(peer) != theirs.identity:
            if peer not in self.known:
                return f"no key of {peer} is known here: give it with --peer-key"
            return f"the host that answers as {peer} does not have its key"
        if choose(self.suites, theirs.suites) is None:
            return f"{peer} seals in no way that this side knows: update the older side"
        return None

    def keys(
        self, ids: tuple[str, str], start: StartRound, ours: Offer, pair: KeyPair | None
    ) -> RoundKeys:
        """The keys of the round that `start` begins, between this host and its peer: ``ids`` in that order.

        Raises `KeyRefusedError` with the refusal of what the peer offers, or for a key of the peer
        that cannot be used.
        """
        mine, other = ids
        if (refusal := self.refusal(other, start.peer)) is not None:
            raise KeyRefusedError(refusal)
        is_initiator = mine < other
        us, them = Party(mine, ours), Party(other, start.peer)
        initiator, responder = (us, them) if is_initiator else (them, us)
        suite = choose(initiator.offer.suites, responder.offer.suites)
        assert suite is not None, "refusal comes first"
        transcript = Transcript(
            version=PROTOCOL_VERSION,
            token=start.token,
            round=start.round,
            role_a=mine if start.role is Role.A else other,
            initiator=initiator,
            responder=responder,
            suite=suite,
        )
        secrets = [] if pair is None else self._secrets(pair, start.peer, is_initiator=is_initiator)
        keys = derive(transcript, is_initiator=is_initiator, secrets=secrets, psk=self.psk)
        return RoundKeys(keys, suite, is_initiator)

    def relay_keys(
        self, ids: tuple[str, str], order: OpenRelay | OpenTurn, ours: Offer, pair: KeyPair
    ) -> RoundKeys:
        """The keys of a relayed path; as `keys`. It is round 0, which no other path is, and the initiator is its A."""
        mine, other = ids
        role = Role.A if mine < other else Role.B
        start = StartRound(order.relay, 0, role, order.token, (), order.peer)
        return self.keys(ids, start, ours, pair)

    def _secrets(self, pair: KeyPair, theirs: Offer, *, is_initiator: bool) -> list[bytes]:
        """The DH results in Noise's order: ee, and with identities es, se, ss."""
        ee = pair.exchange(theirs.public)
        if self.identity is None:
            return [ee]
        ours_theirs = pair.exchange(theirs.identity)
        theirs_ours = self.identity.exchange(theirs.public)
        es_se = [ours_theirs, theirs_ours] if is_initiator else [theirs_ours, ours_theirs]
        return [ee, *es_se, self.identity.exchange(theirs.identity)]

    def epochs(
        self, keys: RoundKeys, ours: bytes, theirs: bytes, rng: random.Random, now: float
    ) -> Epochs:
        """Seals and opens the frames of the path that a round with `keys` has made. Each side's frames
        bear the connection (4 octets) that the other side chose."""
        return Epochs(
            keys.suite,
            keys.path,
            is_initiator=keys.is_initiator,
            ours=ours,
            theirs=theirs,
            rng=rng,
            generate=self.make_key,
            now=now,
            unsealed_kinds=PROGRAMS,
        )

    def vouched(self, peer: str) -> str:
        """The voucher for the peer of a path, for people."""
        if Suite.NONE in self.suites:
            return "not encrypted, since both sides have --plaintext"
        return {
            Trust.SERVER: f"sealed; the server vouches for {peer}",
            Trust.SHARED_KEY: f"sealed; {peer} has the shared key",
            Trust.IDENTITY: f"sealed; {peer} has the key that this side knows",
            Trust.BOTH: f"sealed; {peer} has its own key and the shared one",
        }[self.trust]


_WORDS = {
    Trust.SERVER: "no key",
    Trust.SHARED_KEY: "a shared key",
    Trust.IDENTITY: "an identity",
    Trust.BOTH: "an identity and a shared key",
}


@dataclass(frozen=True, slots=True)
class RoundKeys:
    """The keys of one round, and how they are used."""

    path: PathKeys
    suite: Suite
    is_initiator: bool

    def handshake(self, secret: bytes, connection: bytes) -> HandshakeKeys:
        """Those of the words before there is a path. `secret` makes nonces; the peer's frames will bear
        `connection`."""
        path = self.path
        return HandshakeKeys(path.sending.handshake, path.receiving.handshake, secret, connection)


def new_instance(rng: random.Random) -> bytes:
    """The random name of a process."""
    return rng.randbytes(INSTANCE_BYTES)
