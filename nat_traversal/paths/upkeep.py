"""Keeps the frames of a path fit for it: no longer than its MTU, and sealed with fresh keys."""

from __future__ import annotations

import random

from nat_traversal.crypto.epochs import Epochs
from nat_traversal.errors import KeyRefusedError, WireError
from nat_traversal.machine import actions as do
from nat_traversal.machine import notices as note
from nat_traversal.machine.sockets import NominatedPair
from nat_traversal.paths import mtu
from nat_traversal.paths.control_channel import ControlChannel
from nat_traversal.paths.mtu import MtuState, PathMtu
from nat_traversal.wire import TRANSACTION_BYTES
from nat_traversal.wire.datagrams import Kind
from nat_traversal.wire.nat_facts import NatFacts

ETHERNET = 1500
"""Octets of the largest IP packet that is tried: larger ones pass hardly anywhere outside of one house."""


def path_mtu(family: int, now: float, packet: int = 0, added: int = 0) -> PathMtu:
    """The search for what a path over that IP version carries. `packet`: only whether IP packets of so many
    octets pass, headers and all: one probe shows it, and no other size is tried. `added`: octets that a relay on the way puts
    before a frame."""
    base, headers = (
        (mtu.BASE_IPV4, mtu.HEADERS_IPV4) if family == 4 else (mtu.BASE_IPV6, mtu.HEADERS_IPV6)
    )
    if packet:
        return PathMtu(packet - headers, [packet - headers], now)
    return PathMtu(base, mtu.usual_sizes(headers, base, ETHERNET - headers - added), now)


NARROW_AFTER = 5
"""Small frames that must have passed while none of the base size did, until the path counts as too narrow:
loss alone looks the same for a while."""


MOVED = b"\x03"
"""The body of the control message that says: from now on this side's datagrams come this way."""

FACTS = b"\x04"
"""The first octet of the control message that tells how this side's NAT behaves."""

SERVICES = b"\x05"
"""The first octet of the control message that tells this side's services."""

CERTIFICATE = b"\x06"
"""The first octet of the control message that tells the certificate which this side's process shows in QUIC."""

WORDS = frozenset({SERVICES, CERTIFICATE})
"""The first octets of the control messages that concern the peer, and not the path: `Path.take_words` has them."""


class Upkeep:
    """Of one established path. A probe is a ping, padded to the size that it asks for."""

    def __init__(
        self, pair: NominatedPair, epochs: Epochs, sizes: PathMtu, rng: random.Random
    ) -> None:
        self.pair = pair
        self._epochs = epochs
        self._sizes = sizes
        self._rng = rng
        self._channel = ControlChannel()
        self._probes: dict[bytes, int] = {}
        """The sizes of the newest probes, by transaction."""
        self.moved_at: float | None = None
        """When the peer said that its datagrams come this way from now on."""
        self.peer_facts: NatFacts | None = None
        """The peer's word about its NAT."""
        self.words: list[bytes] = []
        """The peer's words that do not concern the path, since they were taken last."""
        self._used = 0
        """The size that frames have been given; 0 before."""
        self._told = 0
        """The size that people have been told."""
        self._small_passed = 0
        """Frames smaller than the base size that were answered while none of that size has been."""

    @property
    def deadline(self) -> float:
        """When to call `due` next."""
        at = self._epochs.deadline
        for other in (self._sizes.deadline, self._channel.deadline):
            if other is not None and other < at:
                at = other
        return at

    @property
    def is_too_narrow(self) -> bool:
        """Small frames pass, and none of the base size does: the path is of no use."""
        is_narrow = self._sizes.state is MtuState.TOO_NARROW
        return is_narrow and self._small_passed >= NARROW_AFTER

    @property
    def base_passes(self) -> bool:
        """Frames of the base size have been answered: programs' datagrams can go this way."""
        return self._sizes.state in (MtuState.SEARCHING, MtuState.FOUND)

    @property
    def size(self) -> int:
        """Octets of UDP payload that a frame may have now."""
        return self._sizes.size

    def due(self, now: float, round_trip: float) -> list[do.Action]:
        """Send the probes and control messages whose time has come."""
        actions: list[do.Action] = []
        for size in self._sizes.due(now, round_trip):
            actions.append(self._probe(size))
            if self._sizes.state is MtuState.BASE and size == self.size:
                actions.append(self._probe(0))
        messages = self._channel.due(now, round_trip)
        for body in self._epochs.due(now):
            messages += self._channel.send(body, now, round_trip)
        actions += [self.pair.send(Kind.CONTROL, message) for message in messages]
        return [*actions, *self._resized()]

    def answered(self, pong: bytes, now: float) -> list[do.Action] | None:
        """A PONG came. None: it answers none of the probes."""
        size = self._probes.pop(pong[:TRANSACTION_BYTES], None)
        if size is None:
            return None
        if not size:
            self._small_passed += 1
            return []
        self._sizes.answered(size, now)
        return self._resized()

    def search(self, sizes: PathMtu) -> None:
        """The path leads another way: what passes there is yet to be found."""
        self._sizes = sizes
        self._probes.clear()
        self._used = self._small_passed = 0

    def refused(self, size: int, now: float) -> list[do.Action]:
        """This host's own stack says that frames of `size` octets are too long."""
        self._sizes.refused(size, now)
        return self._resized()

    def larger_sent(self, now: float) -> None:
        """Frames above the base size flow."""
        self._sizes.larger_sent(now)

    def control(self, message: bytes, now: float, round_trip: float) -> list[do.Action]:
        """A control message of the peer. One that makes no sense is dropped: it was authentic, so the
        peer has a fault."""
        try:
            bodies, replies = self._channel.arrived(message, now, round_trip)
            for body in bodies:
                if body == MOVED:
                    self.moved_at = now
                    continue
                if body[:1] == FACTS:
                    self.peer_facts = NatFacts.decode(body[1:])
                    continue
                if body[:1] in WORDS:
                    self.words.append(body)
                    continue
                for answer in self._epochs.control(body, now):
                    replies += self._channel.send(answer, now, round_trip)
        except (WireError, KeyRefusedError):
            return []
        return [self.pair.send(Kind.CONTROL, reply) for reply in replies]

    def tell_moved(self, now: float, round_trip: float) -> list[do.Action]:
        """Say that this side's datagrams come this way from now on, until the peer knows it."""
        return self.tell(MOVED, now, round_trip)

    def tell_facts(self, facts: NatFacts, now: float, round_trip: float) -> list[do.Action]:
        """Tell the peer how this side's NAT behaves."""
        return self.tell(FACTS + facts.encode(), now, round_trip)

    def tell(self, body: bytes, now: float, round_trip: float) -> list[do.Action]:
        """Say `body`, 1 to `MAX_BODY` octets, until the peer has acknowledged it."""
        said = self._channel.send(body, now, round_trip)
        return [self.pair.send(Kind.CONTROL, each) for each in said]

    def _probe(self, size: int) -> do.Action:
        transaction = self._rng.randbytes(TRANSACTION_BYTES)
        self._probes[transaction] = size
        if len(self._probes) > 64:
            del self._probes[next(iter(self._probes))]
        room = max(0, size - self._epochs.sealer.overhead(Kind.PING))
        return self.pair.send(Kind.PING, transaction.ljust(room, b"\0"))

    def _resized(self) -> list[do.Action]:
        """Use what is known to pass at once; tell people once the search is over."""
        size, state, generation = self._sizes.size, self._sizes.state, self.pair.socket.generation
        actions: list[do.Action] = []
        if size != self._used and not (state is MtuState.BASE and not self._used):
            self._used = size
            actions.append(do.SizeFrames(generation, size))
        if state is MtuState.FOUND and size != self._told:
            self._told = size
            actions.append(do.Tell(note.PathSized(generation, size)))
        return actions
