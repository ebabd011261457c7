"""The way out of a path: programs' datagrams become sealed frames, and frames of one size leave together.

Datagrams of any flows go into one buffer of frames. Whoever puts them there says when nothing more
is at hand (`flush`): nothing waits for company. Meanwhile only as many leave as one call takes (`flush_full`).
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field

from nat_traversal.aio.offload import most_in_a_run
from nat_traversal.aio.packet_io import LONGEST, PacketIO
from nat_traversal.crypto.counted import COUNTER_OCTETS
from nat_traversal.crypto.epochs import Epochs
from nat_traversal.crypto.frames import HEADER_OCTETS
from nat_traversal.machine.counters import Counter
from nat_traversal.paths.fragments import MOST_FRAGMENTS, cut
from nat_traversal.wire.datagrams import Kind
from nat_traversal.wire.tray import Run, Tray

FLOW = struct.Struct("!BI")
"""Service and direction, flow: sealed before the payload of a DATA."""
FRAGMENT = struct.Struct("!BIIBB")
"""The same, then the datagram's number, the fragment's, and the last one's."""
HEADROOM = FRAGMENT.size
"""Octets to leave free before the first payload of a run, so that it is sealed where it lies."""
_DATA = Kind.DATA.value
_ROOM = 5 * LONGEST
"""Of the buffer: some runs of the kernel's, with what frames add. A datagram's fragments need less."""


@dataclass(slots=True)
class _Segment:
    """Frames of one size, one behind the other; the last may be shorter."""

    start: int
    end: int
    size: int
    sent: int
    """As far as this they have left."""


@dataclass(slots=True)
class _Refused:
    """The counters of frames that did not leave."""

    too_long: list[int] = field(default_factory=list)
    """This host's own network has become too narrow for them: they are cut and sent again."""
    shortest: int = LONGEST
    """Octets of the shortest of these."""
    others: list[int] = field(default_factory=list)


class Outbox:
    """Seals programs' datagrams and sends them through `io`. `sent` counts those that left. `narrowed` hears how
    long a frame was that this host's own network does not take any more, and has to set `frame_size`."""

    def __init__(
        self,
        io: PacketIO,
        epochs: Epochs,
        frame_size: int,
        sent: Counter,
        narrowed: Callable[[int], None],
    ) -> None:
        self._io = io
        self._epochs = epochs
        self._sealer = epochs.sealer
        """Of the frames that are there."""
        self.frame_size = frame_size
        """Octets of UDP payload that a frame may have."""
        self.longest = 0
        """Octets of the longest frame of a program's datagram that was sent; its owner may set it back."""
        self._sent = sent
        self._narrowed = narrowed
        self._out = Tray(_ROOM)
        self._at = 0
        self._segments: list[_Segment] = []
        self._count = 0
        """Datagrams that are there."""
        self._cut: list[range] = []
        """The counters of the fragments of each datagram that was cut."""
        self._number = 0
        self._refused = _Refused()

    def add(self, flow: int, direction: int, run: Run) -> None:
        """A flow's datagrams in one `direction` (service and side, as in the frame), of 0 to 65,507 octets, which lie without gaps, with `HEADROOM` before the first.

        The room is written to, and so are the payloads. A datagram that is longer than a frame becomes
        several fragments.
        """
        overhead = self._epochs.sealer.overhead(Kind.DATA) + FLOW.size
        if run.size + overhead > self.frame_size:
            for index in range(run.total):
                start = run.start + index * run.step
                size = run.size if index + 1 < run.total else run.last
                if size + overhead > self.frame_size:
                    self._add_cut(flow, direction, run.tray, start, size)
                else:
                    self.add(flow, direction, Run(run.tray, start, size, size, size, 1))
            return
        self._make_room((run.size + overhead) * run.total)
        self._seal(Kind.DATA, FLOW.pack(direction, flow), run)
        self._count += run.total

    def send_alone(self, flow: int, direction: int, run: Run) -> None:
        """`add` and `flush`, in fewer steps where it is one datagram in one frame."""
        tray, start, _, size, _, total = run
        sealer, octets = self._epochs.sealer, self._out.octets
        if self._at or total != 1 or size + sealer.overhead(_DATA) + FLOW.size > self.frame_size:
            self.add(flow, direction, run)
            self.flush()
            return
        self._sealer = sealer
        inner = FLOW.pack(direction, flow)
        end = sealer.seal_one(_DATA, inner, tray.octets, start, size, octets, 0)
        if end > self.longest:  # noqa: PLR1730 - the fast path
            self.longest = end
        if self._io.send_run(octets[:end], end):
            self._sent.value += 1
        else:
            self._see_to_refused([_Segment(0, end, end, end)], [], 1)

    def flush_full(self) -> None:
        """Send what fills a call to the kernel: more datagrams are at hand."""
        for segment in self._segments:
            self._send(segment, rest=segment is not self._segments[-1])

    def flush(self) -> None:
        """Send what is there."""
        if not self._at:
            return
        segments, whole, sent = self._segments, self._cut, self._count
        self._segments, self._cut, self._count, self._at = [], [], 0, 0
        for segment in segments:
            self.longest = max(self.longest, segment.size)
            self._send(segment, rest=True)
        self._see_to_refused(segments, whole, sent)

    def _see_to_refused(self, segments: list[_Segment], whole: list[range], sent: int) -> None:
        """So many datagrams were sent, unless `refused` was told of some."""
        refused = self._refused
        if refused.too_long or refused.others:
            self._refused = _Refused()
            lost = {_first_of(counter, whole) for counter in refused.others}
            again = {_first_of(counter, whole) for counter in refused.too_long} - lost
            sent -= len(lost) + len(again)
            self._send_again(segments, whole, again, refused.shortest)
        self._sent.value += sent

    def _send(self, segment: _Segment, *, rest: bool) -> None:
        """The next frames of a segment: as many calls as they fill, and with `rest` one more."""
        octets, size = self._out.octets, segment.size
        most = most_in_a_run(size) * size
        while (left := segment.end - segment.sent) >= most or (rest and left):
            start = segment.sent
            segment.sent = min(segment.end, start + most)
            self._io.send_run(octets[start : segment.sent], size)

    def refused(self, frame: memoryview, *, too_long: bool) -> None:
        """This frame did not leave: told in the course of `flush`."""
        counter = _counter_of(frame)
        if too_long:
            self._refused.too_long.append(counter)
            self._refused.shortest = min(self._refused.shortest, len(frame))
        else:
            self._refused.others.append(counter)

    def _add_cut(self, flow: int, direction: int, tray: Tray, start: int, size: int) -> None:
        overhead = self._epochs.sealer.overhead(Kind.FRAGMENT) + FRAGMENT.size
        pieces = cut(size, max(self.frame_size - overhead, -(-size // MOST_FRAGMENTS)))
        self._make_room(size + len(pieces) * overhead)  # all of them leave at once
        self._number = (self._number + 1) % (1 << 32)
        first, last = self._sealer.counter, len(pieces) - 1
        for index, (begin, end) in enumerate(pieces):
            head = FRAGMENT.pack(direction, flow, self._number, index, last)
            self._seal(
                Kind.FRAGMENT, head, Run.between(tray, start + begin, start + end, end - begin)
            )
        self._cut.append(range(first, self._sealer.counter))
        self._count += 1

    def _make_room(self, octets: int) -> None:
        """For so many octets of frames that are sealed with the keys of now."""
        if self._at + octets > _ROOM:
            self.flush()
        if not self._at:
            self._sealer = self._epochs.sealer

    def _seal(self, kind: Kind, inner: bytes, run: Run) -> None:
        at, sealer = self._at, self._sealer
        self._at = end = sealer.seal_run(kind, inner, run, self._out, at)
        size = run.size + len(inner) + sealer.overhead(kind)
        if self._segments:
            latest = self._segments[-1]
            is_full = not (latest.end - latest.start) % latest.size
            if is_full and (size == latest.size or (size < latest.size and run.total == 1)):
                latest.end = end
                return
        self._segments.append(_Segment(at, end, size, at))

    def _send_again(
        self, segments: list[_Segment], whole: list[range], again: set[int], shortest: int
    ) -> None:
        """Cut the datagrams of which frames were too long, once `frame_size` is smaller.

        The payloads were written over when they were sealed, so they are taken from the frames."""
        if not again:
            return
        payloads: dict[int, tuple[int, int, bytes]] = {}
        for segment in segments:
            for at in range(segment.start, segment.end, segment.size):
                frame = self._out.octets[at : min(at + segment.size, segment.end)]
                first = _first_of(_counter_of(frame), whole)
                if first in again:
                    kind, plain = self._sealer.reopen(frame)
                    direction, flow = FLOW.unpack_from(plain)
                    inner = FLOW if kind == Kind.DATA else FRAGMENT
                    before = payloads[first][2] if first in payloads else b""
                    payloads[first] = flow, direction, before + plain[inner.size :]
        self._narrowed(shortest)
        self.longest = 0
        for flow, direction, payload in payloads.values():
            self.add(flow, direction, Run.of(payload, HEADROOM))
        self.flush()


def _counter_of(frame: memoryview) -> int:
    return int.from_bytes(frame[HEADER_OCTETS - COUNTER_OCTETS : HEADER_OCTETS], "big")


def _first_of(counter: int, whole: list[range]) -> int:
    """The counter that stands for the datagram of this frame: of its first fragment, if it was cut."""
    return next((fragments.start for fragments in whole if counter in fragments), counter)
