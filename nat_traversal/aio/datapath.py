"""The fast part: datagrams of users' programs over an established path, sealed and drained in a loop.

Asyncio's own `DatagramProtocol` costs an event loop turn and several objects a datagram; reading the
socket until it is empty is several times faster (`make bench`).
"""

from __future__ import annotations

import errno
import logging
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from nat_traversal.aio.inbox import Delivery, Inbox
from nat_traversal.aio.nat64 import Edge
from nat_traversal.aio.offload import RunSocket, tray_for_reading
from nat_traversal.aio.outbox import HEADROOM, Outbox
from nat_traversal.aio.packet_io import ALONE, PacketIO, forbid_fragments
from nat_traversal.aio.soft_errors import Lost, not_sent
from nat_traversal.aio.traffic import Traffic
from nat_traversal.machine.actions import UsePath
from nat_traversal.machine.driver import Clock
from nat_traversal.machine.events import DatagramsOffered, Event, FrameRefused, LargerFramesSent
from nat_traversal.paths.mtu import BASE_IPV4, BASE_IPV6
from nat_traversal.settings import ClientSettings
from nat_traversal.wire.datagrams import PROGRAMS, Kind
from nat_traversal.wire.tray import Run

log = logging.getLogger(__name__)

FROM_LISTENER = 0x01
"""The direction: from the side that listens, or back. The other bits are the service's."""
BASES = {4: BASE_IPV4, 6: BASE_IPV6}
"""Octets of UDP payload in a frame until larger ones are known to pass, by IP version."""
LARGER_TOLD = 0.5
"""Seconds between two words of the fact that larger frames than these flow."""
OFFERED_TOLD = 0.25
"""The same of the fact that programs' datagrams flow at all."""


Problem = Callable[[str], None]
"""Tells the user of datagrams that could not be delivered, once for each kind of trouble."""


class Forwarder(Protocol):
    """The source and sink of a path's datagrams: programs' sockets, or the API."""

    def path_up(self, path: DataPath) -> None:
        """A path stands: send through `path` from now on, and `flush` it. The same one again: it takes another way."""

    def path_down(self) -> None:
        """The path has ended."""

    def match(self, numbers: Mapping[int, int], certificate: bytes) -> None:
        """These named services cross: this side's numbers, and the peer's. `certificate`: of the peer's process, for TCP services."""

    def deliver(self, batch: Sequence[Delivery]) -> None:
        """Datagrams came: each flow's in order, and each flow once unless its turn came again."""

    def not_sent(self, reason: str) -> None:
        """A datagram for the peer was lost at this host or behind it. `reason` goes on from "it was"."""


class DataPath:
    """One established path. Takes over the reading of its socket. Without one, `io` stands for it.

    `on_frame` gets the authentic frames that are no program's, `on_other` datagrams that are no frames.
    `clock` may call back when fragments have waited too long.
    """

    def __init__(
        self,
        sock: socket.socket | None,
        order: UsePath,
        *,
        forwarder: Forwarder,
        traffic: Traffic,
        settings: ClientSettings,
        clock: Clock,
        on_frame: Callable[[Kind, bytes], None],
        on_event: Callable[[Event], None],
        on_other: Callable[[bytes], None],
        io: PacketIO | None = None,
        edge: Edge | None = None,
    ) -> None:
        self.edge = edge or Edge()
        self.order = order
        """The action that it was built from."""
        self.remote = order.remote
        """Where the peer is now."""
        self._io = io or self._connected(sock, settings)
        self._epochs = order.epochs
        self._forwarder = forwarder
        self._traffic = traffic
        way = traffic.relayed if order.is_relayed else traffic.direct
        self._in = Inbox(
            *(order.epochs, traffic, settings, clock),
            way=way,
            deliver=forwarder.deliver,
            on_frame=on_frame,
            on_other=on_other,
        )
        self._settings = settings
        self._clock = clock
        self._on_event = on_event
        self._base = BASES[order.remote.family]
        self._out = Outbox(self._io, order.epochs, self._base, way, self._narrowed)
        self._tell_larger_at = 0.0
        self._tell_offered_at = 0.0
        self._read_at = 0.0
        self._probing = 0
        """Octets of the padded probe that is being sent: its failure is no news to a user."""

    def _connected(self, sock: socket.socket | None, settings: ClientSettings) -> PacketIO:
        assert sock is not None, "a path has a socket, or an io of its own"
        try:
            # the kernel drops from then on what others send
            sock.connect(self.edge.outside(self.remote, sock).sockaddr)
        except OSError as error:  # nothing can be sent, so that consent will expire
            log.warning("no way to %s: %s", self.remote, error)
        forbid_fragments(sock)
        return RunSocket(
            sock, tray_for_reading(), self._failed, self._lost, offload=bool(settings.offload)
        )

    def use_socket(self, sock: socket.socket) -> None:
        """Go on by `sock`, which is not connected yet, in the place of the one before."""
        self._io = self._out.io = self._connected(sock, self._settings)

    @property
    def waiting_octets(self) -> int:
        """How many octets of bundles wait for the rest of their datagrams."""
        return self._in.waiting_octets

    @property
    def frame_size(self) -> int:
        """Octets of UDP payload that a frame may have."""
        return self._out.frame_size

    @frame_size.setter
    def frame_size(self, octets: int) -> None:
        self._out.frame_size = octets

    @property
    def whole(self) -> int:
        """Octets of a program's datagram that passes in one frame."""
        return self._out.whole

    def send_run(self, flow: int, direction: int, run: Run) -> None:
        """Take a flow's datagrams of 0 to 65,507 octets, which lie without gaps, with `HEADROOM` before the
        first. Room and payloads are written to. They leave at the next `flush` at the latest."""
        self._out.add(flow, direction, run)

    def flush(self, *, more: bool = False) -> None:
        """Send what `send_run` has taken. `more`: as far as it fills calls to the kernel, since the caller has more
        at hand and will be back at once."""
        if more:
            self._out.flush_full()
            return
        self._out.flush()
        now = self._clock.time()
        if self._out.longest > self._base:
            self._larger_sent(now)
        self._out.longest = 0
        if now >= self._tell_offered_at:
            self._offered(now)

    def send_alone(self, flow: int, direction: int, run: Run, now: float) -> None:
        """`send_run` and `flush`, for a datagram of which nobody knows whether others follow."""
        out = self._out
        out.send_alone(flow, direction, run)
        if out.longest > self._base and now >= self._tell_larger_at:
            self._larger_sent(now)
        out.longest = 0
        if now >= self._tell_offered_at:
            self._offered(now)

    def send(self, flow: int, direction: int, payload: bytes | memoryview) -> None:
        """Send one datagram that has no room before it."""
        run = Run.of(payload, HEADROOM)
        self.send_alone(flow, direction, run, self._clock.time())

    def send_frame(self, kind: Kind, plain: bytes) -> None:
        """Seal and send what is no program's."""
        frame = self._epochs.sealer.seal(kind, plain)
        self._probing = len(frame) if len(frame) > self._base else 0
        self._io.send_run(memoryview(frame), len(frame))
        self._probing = 0

    def transmit(self, data: bytes) -> None:
        """Send octets as they are: of the handshake."""
        self._io.send_run(memoryview(data), len(data))

    def readable(self) -> None:
        """Drain the socket, or hand on what comes alone."""
        now = self._clock.time()
        is_alone, self._read_at = now - self._read_at > ALONE, now
        if is_alone:
            self._in.arrived_alone(self._io.receive(1).runs, now)
            return
        most = left = self._settings.batch
        while left > 0 and not self._in.closed:
            batch = self._io.receive(again=left < most)
            self._in.arrived(batch.runs)
            if batch.is_last:
                return
            left -= max(1, batch.total)

    def arrived(self, runs: Sequence[Run]) -> None:
        """Datagrams: programs' go to the forwarder, everything else to the agent, all in order."""
        self._in.arrived(runs)

    def overheard(self, frame: bytes, on_frame: Callable[[Kind, bytes], None]) -> None:
        """A frame has come by another socket: if it is no program's, it goes to `on_frame`."""
        self._in.arrived([Run.of(frame)], on_frame)

    def close(self) -> None:
        """The path has ended; its socket is closed by its owner."""
        self._in.close()

    def _narrowed(self, size: int) -> None:
        """This host's own network has become too narrow for frames of `size` octets: back to the base size."""
        self.frame_size = self._base
        self._on_event(FrameRefused(size, self.order.generation))

    def _offered(self, now: float) -> None:
        self._tell_offered_at = now + OFFERED_TOLD
        self._on_event(DatagramsOffered(self.order.generation))

    def _larger_sent(self, now: float) -> None:
        if now >= self._tell_larger_at:
            self._tell_larger_at = now + LARGER_TOLD
            self._on_event(LargerFramesSent(self.order.generation))

    def _failed(self, error: OSError, frame: memoryview) -> None:
        is_programs = len(frame) > 0 and frame[0] in PROGRAMS
        if error.errno == errno.EMSGSIZE and len(frame) > self._base:
            if is_programs:
                self._out.refused(frame, too_long=True)
            elif self._probing:
                self._on_event(FrameRefused(self._probing, self.order.generation))
            return
        if is_programs:
            self._out.refused(frame, too_long=False)
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
