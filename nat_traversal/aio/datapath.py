"""The fast part: datagrams of users' programs over an established path, sealed and drained in a loop.

Asyncio's own `DatagramProtocol` costs an event loop turn and several objects a datagram; reading the
socket until it is empty is several times faster (`make bench`).
"""

from __future__ import annotations

import errno
import logging
import socket
import struct
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from nat_traversal.aio.offload import MOST_SEGMENTS, RunSocket
from nat_traversal.aio.packet_io import BATCH, LONGEST, PacketIO, Slots, forbid_fragments
from nat_traversal.aio.soft_errors import Lost, not_sent
from nat_traversal.machine.actions import UsePath
from nat_traversal.machine.counters import Counters
from nat_traversal.machine.events import Event, FrameRefused, LargerFramesSent
from nat_traversal.paths.fragments import MOST_FRAGMENTS, Reassembler, cut
from nat_traversal.paths.mtu import BASE_IPV4, BASE_IPV6
from nat_traversal.settings import ClientSettings
from nat_traversal.wire.datagrams import FRAMES, PROGRAMS, Kind

log = logging.getLogger(__name__)

_FLOW = struct.Struct("!BI")
"""Service and direction, flow: sealed before the payload of a DATA."""
_FRAGMENT = struct.Struct("!BIIBB")
"""The same, then the datagram's number, the fragment's, and the last one's."""
FROM_LISTENER = 0x01
"""The direction: from the side that listens, or back. The other bits are the service's."""
HEADROOM = _FLOW.size
"""Octets to leave free before a payload, so that it is sealed where it lies."""
_OUT = BATCH * 2048
BASES = {4: BASE_IPV4, 6: BASE_IPV6}
"""Octets of UDP payload in a frame until larger ones are known to pass, by IP version."""
LARGER_TOLD = 0.5
"""Seconds between two words of the fact that larger frames than these flow."""


class Traffic:
    """The counters of what crossed a path, and what did not. All count datagrams."""

    def __init__(self, counters: Counters) -> None:
        counter = counters.counter
        self.sent = counter("sent", "sent to the other side")
        self.received = counter("received", "came from the other side")
        self.unsendable = counter(
            "unsendable", "refused by this host's network stack: too long, no route, buffer full"
        )
        self.refused = counter("refused", "answered by ICMP port unreachable: nobody listens there")
        self.unreachable = counter(
            "unreachable", "lost on the way, as ICMP tells: no way there, too long, forbidden"
        )
        self.foreign = counter("foreign", "came to a flow from another host than the service's")
        self.unclaimed = counter(
            "unclaimed", "came for a flow or a direction that this side does not serve"
        )
        self.malformed = counter("malformed", "broke the protocol")
        self.stranger = counter("stranger", "bore the number of no path of ours")
        self.replayed = counter("replayed", "came before, or too late")
        self.not_authentic = counter("not-authentic", "the other side has not sealed it")
        self.incomplete = counter("incomplete", "some fragments came, others did not")

    def lost(self, lost: Lost) -> None:
        """Count a datagram that left this host and met an ICMP error."""
        counter = self.refused if lost.error == errno.ECONNREFUSED else self.unreachable
        counter.value += 1


Delivery = tuple[int, bool, memoryview]
"""One datagram of the other side's program: its flow, whether it comes from the side that listens, and its
payload, which is only valid during the call."""


Problem = Callable[[str], None]
"""Tells the user of datagrams that could not be delivered, once for each kind of trouble."""


class Forwarder(Protocol):
    """The source and sink of a path's datagrams: programs' sockets, or the API."""

    def path_up(self, path: DataPath) -> None:
        """A path stands: send through `path` from now on."""

    def path_down(self) -> None:
        """The path has ended."""

    def deliver(self, batch: Sequence[Delivery]) -> None:
        """Datagrams came, in this order."""

    def not_sent(self, reason: str) -> None:
        """A datagram for the peer did not leave this host, or was lost behind it. It has been counted.
        `reason` goes on from "it was"."""


class DataPath:
    """One established path. Takes over the reading of its socket.

    `on_frame` gets the authentic frames that are no program's, `on_other` datagrams that are no frames.
    `clock` tells the time in seconds.
    """

    headroom = HEADROOM
    tailroom = 0
    """Octets of room that `send_frames` wants around each payload."""

    def __init__(
        self,
        sock: socket.socket,
        order: UsePath,
        *,
        forwarder: Forwarder,
        traffic: Traffic,
        settings: ClientSettings,
        clock: Callable[[], float],
        on_frame: Callable[[Kind, bytes], None],
        on_event: Callable[[Event], None],
        on_other: Callable[[bytes], None],
        io: PacketIO | None = None,
    ) -> None:
        try:
            sock.connect(order.remote.sockaddr)  # the kernel now drops what others send
        except OSError as error:  # nothing can be sent, so that consent will expire
            log.warning("no way to %s: %s", order.remote, error)
        forbid_fragments(sock)
        self.order = order
        """The action that it was built from."""
        self._io = io or RunSocket(sock, self._failed, self._lost)
        self._epochs = order.epochs
        self._forwarder = forwarder
        self._traffic = traffic
        self._settings = settings
        self._clock = clock
        self._on_frame = on_frame
        self._on_event = on_event
        self._on_other = on_other
        self._closed = False
        self._number = 0
        self._reassembler = Reassembler(
            most_octets=settings.reassembly_octets, patience=settings.reassembly_within
        )
        self._out = memoryview(bytearray(_OUT + LONGEST))
        self._place = memoryview(bytearray((BATCH + MOST_SEGMENTS) * LONGEST))
        self.frame_size = self._base = BASES[order.remote.family]
        """Octets of UDP payload that a frame may have."""
        self._tell_larger_at = 0.0
        self._probing = 0
        """Octets of the padded probe that is being sent: its failure is no news to a user."""
        self._too_long: list[bytes | memoryview] = []
        """Frames that this host's own network has become too narrow for, to be cut and sent again."""

    @property
    def waiting_octets(self) -> int:
        """How many octets of fragments wait for the rest of their datagrams."""
        return self._reassembler.octets

    def send_frames(self, flow: int, from_listener: bool, frames: Sequence[memoryview]) -> None:
        """Send a flow's datagrams of 0 to 65,507 octets, each with `headroom` before it.

        The room is written to. A datagram that is longer than a frame goes as several fragments.
        """
        inner = _FLOW.pack(FROM_LISTENER if from_listener else 0, flow)
        sealer, out = self._epochs.sealer, self._out
        overhead = sealer.overhead(Kind.DATA)
        most = self.frame_size - overhead
        ready: list[memoryview] = []
        plain: list[memoryview] = []
        at = 0
        for frame in frames:
            length = len(frame)
            if length > most:
                self._flush(flow, from_listener, ready, plain)
                ready, plain, at = [], [], 0
                self._send_fragments(flow, from_listener, frame[HEADROOM:])
                continue
            if at + length + overhead > _OUT:
                self._flush(flow, from_listener, ready, plain)
                ready, plain, at = [], [], 0
            frame[:HEADROOM] = inner
            end = sealer.seal_run(Kind.DATA, b"", frame, 0, length, 1, out, at)
            ready.append(out[at:end])
            plain.append(frame)
            at = end
        self._flush(flow, from_listener, ready, plain)
        if (
            max(map(len, frames), default=0) + overhead > self._base
            and self.frame_size > self._base
        ):
            self._larger_sent()

    def send(self, flow: int, from_listener: bool, payload: bytes | memoryview) -> None:
        """Send one datagram that has no room before it."""
        frame = bytearray(HEADROOM) + payload
        self.send_frames(flow, from_listener, (memoryview(frame),))

    def send_frame(self, kind: Kind, plain: bytes) -> None:
        """Seal and send what is no program's."""
        frame = self._epochs.sealer.seal(kind, plain)
        self._probing = len(frame) if len(frame) > self._base else 0
        self._io.send((frame,))
        self._probing = 0

    def transmit(self, data: bytes) -> None:
        """Send octets as they are: of the handshake."""
        self._io.send((data,))

    def readable(self) -> None:
        """Drain the socket."""
        left = self._settings.batch
        while left > 0 and not self._closed:
            batch = self._io.receive()
            self.arrived(batch.frames)
            if batch.is_last:
                return
            left -= max(1, len(batch.frames))

    def arrived(self, frames: Iterable[memoryview]) -> None:
        """Datagrams: programs' go to the forwarder, everything else to the agent, all in order."""
        batch: list[Delivery] = []
        at = 0
        now = self._clock()
        for frame in frames:
            if not frame or frame[0] not in FRAMES:
                self._on_other(bytes(frame))
                continue
            place = self._place[at:]
            for kind, plain in self._epochs.open_run(frame, len(frame), place, now):
                at += len(plain)
                if kind == Kind.DATA:
                    if len(plain) < HEADROOM:
                        self._traffic.malformed.value += 1
                        continue
                    direction, flow = _FLOW.unpack_from(plain)
                    batch.append((flow, bool(direction & FROM_LISTENER), plain[HEADROOM:]))
                elif kind == Kind.FRAGMENT:
                    batch += self._fragment_arrived(plain, now)
                else:
                    self._deliver(batch)
                    batch = []
                    self._on_frame(Kind(kind), bytes(plain))
                    if self._closed:
                        return
        self._deliver(batch)
        self._count()

    def close(self) -> None:
        """The path has ended; its socket is closed by its owner."""
        self._closed = True
        self._count()

    def _deliver(self, batch: list[Delivery]) -> None:
        if batch and not self._closed:
            self._traffic.received.value += len(batch)
            self._forwarder.deliver(batch)

    def _send_fragments(self, flow: int, from_listener: bool, payload: memoryview) -> None:
        sealer = self._epochs.sealer
        room = self.frame_size - sealer.overhead(Kind.FRAGMENT) - _FRAGMENT.size
        pieces = cut(len(payload), max(room, -(-len(payload) // MOST_FRAGMENTS)))
        self._number = (self._number + 1) % (1 << 32)
        direction, last = FROM_LISTENER if from_listener else 0, len(pieces) - 1
        frames = [
            sealer.seal(
                Kind.FRAGMENT,
                _FRAGMENT.pack(direction, flow, self._number, index, last) + payload[start:end],
            )
            for index, (start, end) in enumerate(pieces)
        ]
        if self._io.send(frames) == len(frames):
            self._traffic.sent.value += 1
        elif self._too_long:
            self._narrowed()
            self._send_fragments(flow, from_listener, payload)

    def _flush(
        self,
        flow: int,
        from_listener: bool,
        frames: list[memoryview],
        plain: list[memoryview],
    ) -> None:
        """Send sealed frames. `plain` is what is in them, for those that are too long now."""
        self._traffic.sent.value += self._io.send(frames)
        if self._too_long:
            refused = {id(frame) for frame in self._narrowed()}
            for frame, inside in zip(frames, plain, strict=True):
                if id(frame) in refused:
                    self._send_fragments(flow, from_listener, inside[HEADROOM:])

    def _narrowed(self) -> list[bytes | memoryview]:
        """This host's own network has become narrower: back to the base size. The frames that showed it."""
        refused, self._too_long = self._too_long, []
        self.frame_size = self._base
        self._on_event(FrameRefused(min(map(len, refused)), self.order.generation))
        return refused

    def _fragment_arrived(self, plain: memoryview, now: float) -> list[Delivery]:
        if len(plain) < _FRAGMENT.size:
            self._traffic.malformed.value += 1
            return []
        direction, flow, number, index, last = _FRAGMENT.unpack_from(plain)
        key, piece = (direction, flow, number), bytes(plain[_FRAGMENT.size :])
        whole = self._reassembler.arrived(key, index, last, piece, now)
        if whole is None:
            return []
        return [(flow, bool(direction & FROM_LISTENER), memoryview(whole))]

    def _count(self) -> None:
        """Move what the frames' own counters have into the client's."""
        frames, traffic = self._epochs.counters, self._traffic
        traffic.malformed.value += frames.malformed
        traffic.stranger.value += frames.stranger
        traffic.replayed.value += frames.replayed
        traffic.not_authentic.value += frames.not_authentic
        frames.malformed = frames.stranger = frames.replayed = frames.not_authentic = 0
        traffic.incomplete.value += self._reassembler.incomplete
        self._reassembler.incomplete = 0

    def _larger_sent(self) -> None:
        now = self._clock()
        if now >= self._tell_larger_at:
            self._tell_larger_at = now + LARGER_TOLD
            self._on_event(LargerFramesSent(self.order.generation))

    def _failed(self, error: OSError, frame: bytes | memoryview) -> None:
        if error.errno == errno.EMSGSIZE and len(frame) > self._base:
            if self._probing:
                self._on_event(FrameRefused(self._probing, self.order.generation))
            else:
                self._too_long.append(frame)
            return
        self._traffic.unsendable.value += 1
        self._forwarder.not_sent(f"not sent: {not_sent(error, len(frame))}")

    def _lost(self, lost: Lost) -> None:
        """A frame that left earlier has met an ICMP error."""
        if lost.start and lost.start[0] not in PROGRAMS:  # a probe or a ping, which expect that
            log.debug("a frame was lost: %s", lost)
            return
        self._traffic.lost(lost)
        if lost.error != errno.ECONNREFUSED:
            self._forwarder.not_sent(f"lost: {lost}")


def slots_for(path: DataPath | None, slots: Slots) -> Slots:
    """Room for what programs send, as `path` wants it: `slots` if they have it."""
    if path is None:
        return slots
    room = path.headroom + path.tailroom
    if (slots.headroom, slots.room) == (path.headroom, room):
        return slots
    return Slots(headroom=path.headroom, tailroom=path.tailroom)
