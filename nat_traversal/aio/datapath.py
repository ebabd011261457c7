"""The fast part: datagrams of users' programs over an established path, sealed and drained in a loop.

Asyncio's own `DatagramProtocol` costs an event loop turn and several objects a datagram; reading the
socket until it is empty is several times faster (`make bench`).
"""

from __future__ import annotations

import errno
import logging
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

from nat_traversal.aio.offload import RunSocket, tray_for_reading
from nat_traversal.aio.outbox import FLOW, FRAGMENT, HEADROOM, Outbox
from nat_traversal.aio.packet_io import ALONE, LONGEST, PacketIO, forbid_fragments
from nat_traversal.aio.soft_errors import Lost, not_sent
from nat_traversal.machine.actions import Fault, UsePath
from nat_traversal.machine.counters import Counters
from nat_traversal.machine.driver import Clock, Timer
from nat_traversal.machine.events import DatagramsOffered, Event, FrameRefused, LargerFramesSent
from nat_traversal.paths.fragments import Reassembler
from nat_traversal.paths.mtu import BASE_IPV4, BASE_IPV6
from nat_traversal.settings import ClientSettings
from nat_traversal.wire.datagrams import FRAMES, PROGRAMS, Kind
from nat_traversal.wire.tray import Run, Tray

log = logging.getLogger(__name__)

FROM_LISTENER = 0x01
"""The direction: from the side that listens, or back. The other bits are the service's."""
BASES = {4: BASE_IPV4, 6: BASE_IPV6}
"""Octets of UDP payload in a frame until larger ones are known to pass, by IP version."""
_DATA = Kind.DATA.value
LARGER_TOLD = 0.5
"""Seconds between two words of the fact that larger frames than these flow."""
OFFERED_TOLD = 0.25
"""The same of the fact that programs' datagrams flow at all."""


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
        self.faults = {
            Fault.FORGED: counter(Fault.FORGED, "a HELLO or CONFIRM, not of the other side"),
            Fault.REPLAYED: counter(Fault.REPLAYED, "a HELLO or CONFIRM again, from elsewhere"),
        }

    def lost(self, lost: Lost) -> None:
        """Count a datagram that left this host and met an ICMP error."""
        counter = self.refused if lost.error == errno.ECONNREFUSED else self.unreachable
        counter.value += lost.count


class Delivery(NamedTuple):
    """Datagrams of one program of the other side, in order."""

    flow: int
    direction: int
    """The receiver's number of the service, twice; and `FROM_LISTENER`, if the program is at that side."""
    payloads: list[memoryview]
    """Only valid during the call. The list is not to be changed."""


Problem = Callable[[str], None]
"""Tells the user of datagrams that could not be delivered, once for each kind of trouble."""


class Forwarder(Protocol):
    """The source and sink of a path's datagrams: programs' sockets, or the API."""

    def path_up(self, path: DataPath) -> None:
        """A path stands: send through `path` from now on, and `flush` it."""

    def path_down(self) -> None:
        """The path has ended."""

    def match(self, numbers: Mapping[int, int]) -> None:
        """These named services cross: this side's numbers, and the peer's."""

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
    ) -> None:
        self.order = order
        """The action that it was built from."""
        self._io = io or self._connected(sock, settings)
        self._epochs = order.epochs
        self._forwarder = forwarder
        self._traffic = traffic
        self._settings = settings
        self._clock = clock
        self._on_frame = on_frame
        self._on_event = on_event
        self._on_other = on_other
        self._closed = False
        self._reassembler = Reassembler(
            most_octets=settings.reassembly_octets, patience=settings.reassembly_within
        )
        self._expiry: Timer | None = None
        """Due while fragments wait."""
        self._place = Tray(3 * LONGEST)
        """For what is opened of one batch, which is shorter than its frames."""
        self._base = BASES[order.remote.family]
        self._out = Outbox(self._io, order.epochs, self._base, traffic.sent, self._narrowed)
        self._tell_larger_at = 0.0
        self._tell_offered_at = 0.0
        self._read_at = 0.0
        self._probing = 0
        """Octets of the padded probe that is being sent: its failure is no news to a user."""

    def _connected(self, sock: socket.socket | None, settings: ClientSettings) -> PacketIO:
        assert sock is not None, "a path has a socket, or an io of its own"
        try:
            sock.connect(self.order.remote.sockaddr)  # the kernel now drops what others send
        except OSError as error:  # nothing can be sent, so that consent will expire
            log.warning("no way to %s: %s", self.order.remote, error)
        forbid_fragments(sock)
        return RunSocket(
            sock, tray_for_reading(), self._failed, self._lost, offload=bool(settings.offload)
        )

    @property
    def waiting_octets(self) -> int:
        """How many octets of fragments wait for the rest of their datagrams."""
        return self._reassembler.octets

    @property
    def frame_size(self) -> int:
        """Octets of UDP payload that a frame may have."""
        return self._out.frame_size

    @frame_size.setter
    def frame_size(self, octets: int) -> None:
        self._out.frame_size = octets

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
            self._arrived_alone(self._io.receive(1).runs, now)
            return
        most = left = self._settings.batch
        while left > 0 and not self._closed:
            batch = self._io.receive(again=left < most)
            self.arrived(batch.runs)
            if batch.is_last:
                return
            left -= max(1, batch.total)

    def _arrived_alone(self, runs: Sequence[Run], now: float) -> None:
        """`arrived`, in fewer steps where it is one datagram of a program's."""
        if not runs or self._closed:
            return
        run = runs[0]
        if run.total != 1 or not run.size or run.tray.octets[run.start] != _DATA:
            self.arrived(runs)
            return
        opened = self._epochs.open_one(run, self._place, now)
        if opened is None or opened.size < FLOW.size:
            self._traffic.malformed.value += opened is not None
            self._count()
            return
        start, octets = opened.start, opened.tray.octets
        direction, flow = FLOW.unpack_from(octets, start)
        payload = octets[start + FLOW.size : start + opened.size]
        self._traffic.received.value += 1
        self._forwarder.deliver([Delivery(flow, direction, [payload])])

    def arrived(self, runs: Sequence[Run]) -> None:
        """Datagrams: programs' go to the forwarder, everything else to the agent, all in order."""
        flows: dict[tuple[int, int], list[memoryview]] = {}
        place, to, now = self._place, 0, self._clock.time()
        for run in runs:
            for frames in _frames_in(run):
                if isinstance(frames, bytes):
                    self._on_other(frames)
                    continue
                found, to = self._epochs.open_run(frames, place, now, to)
                for kind, opened in found:
                    if kind == Kind.DATA:
                        self._sort(opened, flows)
                    elif kind == Kind.FRAGMENT:
                        for part in opened.parts():
                            self._fragment_arrived(part, flows, now)
                    else:
                        for part in opened.parts():
                            self._deliver(flows)
                            self._on_frame(Kind(kind), bytes(part))
                            if self._closed:
                                return
        self._deliver(flows)
        self._count()
        self._arm()

    def close(self) -> None:
        """The path has ended; its socket is closed by its owner."""
        self._closed = True
        self._reassembler.give_up()
        if self._expiry is not None:
            self._expiry.cancel()
        self._count()

    def _arm(self) -> None:
        """Fragments are given up in time even if nothing else ever comes."""
        deadline = self._reassembler.deadline
        if deadline is not None and self._expiry is None and not self._closed:
            self._expiry = self._clock.call_at(deadline, self._expire)

    def _expire(self) -> None:
        self._expiry = None
        self._reassembler.expire(self._clock.time())
        self._count()
        self._arm()

    def _sort(self, run: Run, flows: dict[tuple[int, int], list[memoryview]]) -> None:
        """Add the payloads of DATA frames to those of their flows."""
        if min(run.size, run.last) < FLOW.size:
            self._traffic.malformed.value += run.total
            return
        start, step, total = run.start, run.step, run.total
        octets, payloads = run.tray.octets, run.parts(FLOW.size)
        if total > 1:
            head = octets[start : start + FLOW.size].tobytes()
            is_one_flow = all(
                run.column(offset).count(octet) == total for offset, octet in enumerate(head)
            )
            if not is_one_flow:
                for index, payload in enumerate(payloads):
                    key = FLOW.unpack_from(octets, start + index * step)
                    flows.setdefault(key, []).append(payload)
                return
        flows.setdefault(FLOW.unpack_from(octets, start), []).extend(payloads)

    def _deliver(self, flows: dict[tuple[int, int], list[memoryview]]) -> None:
        """Hand over the payloads of each flow, and forget them."""
        if not flows or self._closed:
            return
        self._traffic.received.value += sum(map(len, flows.values()))
        self._forwarder.deliver(
            [Delivery(flow, direction, payloads) for (direction, flow), payloads in flows.items()]
        )
        flows.clear()

    def _narrowed(self, size: int) -> None:
        """This host's own network has become too narrow for frames of `size` octets: back to the base size."""
        self.frame_size = self._base
        self._on_event(FrameRefused(size, self.order.generation))

    def _fragment_arrived(
        self, plain: memoryview, flows: dict[tuple[int, int], list[memoryview]], now: float
    ) -> None:
        if len(plain) < FRAGMENT.size:
            self._traffic.malformed.value += 1
            return
        direction, flow, number, index, last = FRAGMENT.unpack_from(plain)
        key, piece = (direction, flow, number), bytes(plain[FRAGMENT.size :])
        whole = self._reassembler.arrived(key, index, last, piece, now)
        if whole is not None:
            flows.setdefault((direction, flow), []).append(memoryview(whole))

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


def _frames_in(run: Run) -> list[Run | bytes]:
    """Cut a run of datagrams: frames together, everything else each by itself."""
    if not run.size:
        return [b""] * run.total
    if run.total == 1 and run.tray.octets[run.start] in FRAMES:
        return [run]
    kinds = run.column(0)
    if FRAMES.issuperset(kinds):
        return [run]
    found: list[Run | bytes] = []
    for index, part in enumerate(run.parts()):
        size = len(part)
        start = run.start + index * run.step
        is_frame = kinds[index] in FRAMES
        found.append(Run(run.tray, start, size, size, size, 1) if is_frame else bytes(part))
    return found
