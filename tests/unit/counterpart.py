"""The other host of a round, played by a test: its offer, its keys, its signed words, its frames."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from typing import Any, TypeVar

from nat_traversal.client.security import KeyPair, RoundKeys, Security, new_instance
from nat_traversal.crypto.epochs import Epochs
from nat_traversal.crypto.proof import nonce, signed
from nat_traversal.crypto.schedule import DirectionKeys, PathKeys
from nat_traversal.paths.methods.method import HandshakeKeys
from nat_traversal.wire import messages as m
from nat_traversal.wire.datagrams import (
    PROGRAMS,
    Announce,
    Confirm,
    Hello,
    Kind,
    Signed,
    handle_of,
    tag_of,
)
from nat_traversal.wire.endpoint import Endpoint
from nat_traversal.wire.octets import NONCE_BYTES
from nat_traversal.wire.offers import Offer, Suite, Trust

TOKEN = bytes(range(16))
"""Of a round."""
NO_ECHO = bytes(NONCE_BYTES)
D = TypeVar("D", bound=Signed)


def an_offer(name: str = "x", *, public: bytes | None = None) -> Offer:
    """What a host named so might bring; for who only hands it on."""
    seed = name.encode()
    return Offer(
        instance=(b"instance " + seed).ljust(16)[:16],
        public=(b"public " + seed).ljust(32)[:32] if public is None else public,
        identity=b"",
        trust=Trust.SERVER,
        suites=(Suite.AES_256_GCM, Suite.CHACHA20_POLY1305),
    )


def an_announce(key: bytes, number: int = 1, generation: int = 1) -> Announce:
    """One that the holder of `key` has made."""
    return signed(Announce(handle_of(key), number, generation), key)


def altered(datagram: D) -> Iterator[D]:
    """The same with one field changed, each field in turn, each octet of those that have several. None is
    signed anew."""
    for each in fields(datagram):
        value: Any = getattr(datagram, each.name)
        others: list[Any] = []
        if isinstance(value, bytes):
            others = [
                value[:index] + bytes([value[index] ^ 1]) + value[index + 1 :]
                for index in range(len(value))
            ]
        elif isinstance(value, bool):
            others = [not value]
        elif isinstance(value, int):
            others = [number for number in (1, 2, 3) if number != value]
        elif isinstance(value, Endpoint):
            others = [Endpoint(value.address, value.port ^ 1), Endpoint("192.0.2.77", value.port)]
        else:
            assert isinstance(value, tuple), value
            others = [(*value, Endpoint("192.0.2.77", 7)), value[1:]]
        for other in others:
            change: dict[str, Any] = {each.name: other}
            if other != value:
                yield replace(datagram, **change)


class Voice:
    """What one side of a round says, signed with its key."""

    def __init__(self, keys: HandshakeKeys, token: bytes = TOKEN, round_: int = 1) -> None:
        self.keys = keys
        self.token = token
        self.round = round_

    def nonce(self, to: Endpoint) -> bytes:
        """What this side tells whoever is at `to`."""
        return nonce(self.keys.secret, self.token, to)

    def hello(
        self, step: int, *, to: Endpoint, echo: bytes = NO_ECHO, heard: bool = True, copy: int = 0
    ) -> Hello:
        hello = Hello(
            tag=tag_of(self.token),
            round=self.round,
            step=step,
            heard=heard,
            copy=copy,
            nonce=self.nonce(to),
            echo=echo,
            connection=self.keys.connection,
        )
        return signed(hello, self.keys.sending)

    def confirm(
        self, *, to: Endpoint, echo: bytes = NO_ECHO, wanted: bool = False, copy: int = 0
    ) -> Confirm:
        confirm = Confirm(
            tag=tag_of(self.token),
            round=self.round,
            answer_wanted=wanted,
            copy=copy,
            nonce=self.nonce(to),
            echo=echo,
            connection=self.keys.connection,
        )
        return signed(confirm, self.keys.sending)


class Counterpart:
    """The host `host_id` in rounds with `peer_id`. Sealed as a client is by default, unless told otherwise."""

    def __init__(
        self,
        host_id: str = "host_b",
        peer_id: str = "host_a",
        security: Security | None = None,
        *,
        seed: int = 7,
    ) -> None:
        self.rng = random.Random(seed)
        self.ids = host_id, peer_id
        self.security = security or Security.sealed()
        self.instance = new_instance(self.rng)
        make_key = self.security.make_key
        self.pair: KeyPair | None = make_key(self.rng) if make_key else None
        self.secret = self.rng.randbytes(32)
        self.connection = self.rng.randbytes(4)
        self.keys: RoundKeys | None = None

    @property
    def offer(self) -> Offer:
        return self.security.offer(self.instance, self.pair.public if self.pair else b"")

    def start(
        self,
        role: m.Role,
        *candidates: Endpoint,
        attempt: int = 1,
        round_: int = 1,
        token: bytes = TOKEN,
    ) -> m.StartRound:
        """What the server tells the other host, which is in `role`, about this one."""
        found = tuple(m.Candidate("srflx", endpoint) for endpoint in candidates)
        return m.StartRound(attempt, round_, role, token, found, self.offer)

    def voice(self, start: m.StartRound, theirs: Offer) -> Voice:
        """This side's words in the round that `start` began at the other host, which offers `theirs`."""
        role = m.Role.B if start.role is m.Role.A else m.Role.A
        mine = replace(start, role=role, peer=theirs)
        self.keys = self.security.keys(self.ids, mine, self.offer, self.pair)
        return Voice(self.keys.handshake(self.secret, self.connection), start.token, start.round)

    def epochs(self, theirs: bytes, now: float = 0.0) -> Epochs:
        """Seals and opens this side's frames; `theirs` is the connection that the other side named."""
        assert self.keys is not None, "a round has begun"
        return self.security.epochs(self.keys, self.connection, theirs, self.rng, now)


def opened(epochs: Epochs, *frames: bytes, now: float = 0.0) -> list[tuple[Kind, bytes]]:
    """The kinds of authentic frames, and what was sealed in them."""
    found: list[tuple[Kind, bytes]] = []
    for frame in frames:
        found += [(Kind(kind), plain) for kind, plain in epochs.open(frame, now)]
    return found


def some_keys(*names: str) -> list[bytes]:
    """A key of 32 octets for each name."""
    return [name.encode().ljust(32, b".") for name in names]


def two_ends(suite: Suite = Suite.AES_256_GCM) -> tuple[Epochs, Epochs]:
    """Both ends of one path."""
    there = DirectionKeys(*some_keys("seal there", "handshake there"))
    back = DirectionKeys(*some_keys("seal back", "handshake back"))
    connections: Sequence[bytes] = (b"\x01\x02\x03\x04", b"\x0a\x0b\x0c\x0d")
    first, second = (
        Epochs(
            suite,
            PathKeys(
                sending=there if is_initiator else back,
                receiving=back if is_initiator else there,
                chain=bytes(32),
                transcript_hash=bytes(32),
            ),
            is_initiator=is_initiator,
            ours=connections[is_initiator],
            theirs=connections[not is_initiator],
            rng=random.Random(0),
            generate=None,
            now=0.0,
            unsealed_kinds=PROGRAMS,
        )
        for is_initiator in (True, False)
    )
    return first, second
