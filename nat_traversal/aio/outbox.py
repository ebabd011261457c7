"""The way out of a path: programs' datagrams become sealed frames, and frames of one size leave together.

Datagrams of any flows go into one buffer of frames. Their reader says when nothing more is at hand
(`flush`): nothing waits for company. Meanwhile only as many leave as one call takes (`flush_full`).
Datagrams of one size are a frame each; those of several sizes, and those longer than a frame, are bundled.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from nat_traversal.aio.offload import most_in_a_run, runs_of
from nat_traversal.aio.packet_io import LONGEST, PacketIO
from nat_traversal.aio.traffic import Way
from nat_traversal.crypto.counted import COUNTER_OCTETS
from nat_traversal.crypto.epochs import Epochs
from nat_traversal.crypto.frames import HEADER_OCTETS
from nat_traversal.paths.bundles import CARRIED, Bundler, Record, records_in
from nat_traversal.wire.datagrams import Kind
from nat_traversal.wire.tray import FEW, Run, Tray

FLOW = struct.Struct("!BI")
"""Service and direction, flow: sealed before the payload of a DATA."""
HEADROOM = FLOW.size
"""Octets to leave free before the first payload of a run, so that it is sealed where it lies."""
_DATA, _BUNDLE = Kind.DATA.value, Kind.BUNDLE.value
_ROOM = 5 * LONGEST
"""Of the buffer: some runs of the kernel's, with what frames add."""
_BUNDLE_ROOM = LONGEST + 8_192
"""The same of one bundle: the longest datagram in the smallest frames."""


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

    too_long: set[int] = field(default_factory=set)
    """This host's own network has become too narrow for them: they are cut and sent again."""
    shortest: int = LONGEST
    """Octets of the shortest of these."""
    others: set[int] = field(default_factory=set)


class Outbox:
    """Seals programs' datagrams and sends them through `io`. `way` counts those that left. `narrowed` hears how
    long a frame was that this host's own network does not take any more, and has to set `frame_size`."""

    def __init__(
        self,
        io: PacketIO,
        epochs: Epochs,
        frame_size: int,
        way: Way,
        narrowed: Callable[[int], None],
    ) -> None:
        self.io = io
        """Its owner may put another in its place."""
        self._epochs = epochs
        self._sealer = epochs.sealer
        """Of the frames that are there."""
        self.frame_size = frame_size
        """Octets of UDP payload that a frame may have."""
        self.longest = 0
        """Octets of the longest frame of a program's datagram that was sent; its owner may set it back."""
        self._way = way
        self._narrowed = narrowed
        self._out = Tray(_ROOM)
        self._at = 0
        self._segments: list[_Segment] = []
        self._count = 0
        """Datagrams that are there."""
        self._octets = 0
        """Of their payloads."""
        self._bundler = Bundler()
        self._waiting: list[tuple[int, int, Run]] = []
        """Few datagrams of one size each, until it is known which sizes come beside them: flow, direction, run."""
        self._refused = _Refused()
        self._overhead = epochs.sealer.overhead(_DATA) + FLOW.size
        """Octets of a DATA frame beside its payload, in all epochs."""

    @property
    def whole(self) -> int:
        """Octets of a datagram that passes in one frame."""
        return self.frame_size - self._overhead

    def add(self, flow: int, direction: int, run: Run) -> None:
        """A flow's datagrams in one `direction` (service and side, as in the frame), of 0 to 65,507 octets, which lie without gaps, with `HEADROOM` before the first.

        The room is written to, and so are the payloads. They stay where they are until a flush.
        """
        self._waiting.append((flow, direction, run))
        if run.total >= FEW and run.size <= self.whole:
            *before, last = self._waiting
            self._waiting = before
            self._seal_waiting()
            self._seal_each(*last)

    def send_alone(self, flow: int, direction: int, run: Run) -> None:
        """`add` and `flush`, in fewer steps where it is one datagram in one frame."""
        tray, start, _, size, _, total = run
        sealer, octets = self._epochs.sealer, self._out.octets
        is_first = not (self._at or self._waiting)
        if not is_first or total != 1 or size + self._overhead > self.frame_size:
            self.add(flow, direction, run)
            self.flush()
            return
        self._sealer = sealer
        inner = FLOW.pack(direction, flow)
        end = sealer.seal_one(_DATA, inner, tray.octets, start, size, octets, 0)
        if end > self.longest:  # noqa: PLR1730 - the fast path
            self.longest = end
        if self.io.send_run(octets[:end], end):
            way = self._way
            way.all_sent.value += 1
            way.sent += 1
            way.sent_octets += size
        else:
            self._see_to_refused([_Segment(0, end, end, end)], 1, size)

    def flush_full(self) -> None:
        """Send what fills a call to the kernel: more datagrams are at hand."""
        self._seal_waiting()
        for segment in self._segments:
            self._send(segment, rest=segment is not self._segments[-1])

    def flush(self) -> None:
        """Send what is there."""
        if self._waiting:
            self._seal_waiting()
        if self._at:
            self._send_all()

    def _send_all(self) -> None:
        segments, sent, octets = self._segments, self._count, self._octets
        self._segments, self._count, self._octets, self._at = [], 0, 0, 0
        for segment in segments:
            self.longest = max(self.longest, segment.size)
            self._send(segment, rest=True)
        self._see_to_refused(segments, sent, octets)

    def _see_to_refused(self, segments: list[_Segment], sent: int, octets: int) -> None:
        """So many datagrams of so many octets were sent, unless `refused` was told of some."""
        refused = self._refused
        if refused.too_long or refused.others:
            self._refused = _Refused()
            again: list[Record] = []
            for counters, record in self._datagrams(segments):
                is_too_long = not refused.too_long.isdisjoint(counters)
                if is_too_long or not refused.others.isdisjoint(counters):
                    sent -= 1
                    octets -= len(record[2])
                if is_too_long and refused.others.isdisjoint(counters):
                    again.append(record)
            self._send_again(again, refused.shortest)
        self._way.out(sent, octets)

    def _send(self, segment: _Segment, *, rest: bool) -> None:
        """The next frames of a segment: as many calls as they fill, and with `rest` one more."""
        octets, size = self._out.octets, segment.size
        most = most_in_a_run(size) * size
        while (left := segment.end - segment.sent) >= most or (rest and left):
            start = segment.sent
            segment.sent = min(segment.end, start + most)
            self.io.send_run(octets[start : segment.sent], size)

    def refused(self, frame: memoryview, *, too_long: bool) -> None:
        """This frame did not leave: told in the course of `flush`."""
        counter = _counter_of(frame)
        if too_long:
            self._refused.too_long.add(counter)
            self._refused.shortest = min(self._refused.shortest, len(frame))
        else:
            self._refused.others.add(counter)

    # Sealing

    def _seal_waiting(self) -> None:
        """Datagrams that came in small runs: a frame for each if they have one size and fit, bundled otherwise."""
        waiting = self._waiting
        if not waiting:
            return
        self._waiting = []
        size, last = waiting[0][2].size, waiting[-1][2].size
        is_one_size = all(run.last == run.size == size for _, _, run in waiting[:-1])
        if is_one_size and last <= size <= self.whole:
            for flow, direction, run in waiting:
                self._seal_each(flow, direction, run)
        else:
            self._bundle(waiting)

    def _seal_each(self, flow: int, direction: int, run: Run) -> None:
        inners = [FLOW.pack(direction, flow)] * run.total
        self._make_room((run.size + self._overhead) * run.total)
        self._seal(_DATA, inners, run)
        self._count += run.total
        self._octets += run.size * (run.total - 1) + run.last

    def _bundle(self, waiting: list[tuple[int, int, Run]]) -> None:
        """Each bundle leaves in one call: if the way loses that as a whole, it loses whole datagrams."""
        self._begin_bundle()
        add = self._bundler.add
        for flow, direction, run in waiting:
            octets, at = run.tray.octets, run.start
            for size in (*[run.size] * (run.total - 1), run.last):
                datagram = octets[at : at + size]
                if not add(direction, flow, datagram):
                    self._seal_bundle()
                    self._begin_bundle()
                    add(direction, flow, datagram)
                at += run.step
                self._count += 1
                self._octets += size
        self._seal_bundle()

    def _begin_bundle(self) -> None:
        self._make_room(_BUNDLE_ROOM)
        content = self.frame_size - self._sealer.overhead(_BUNDLE) - CARRIED.size
        self._bundler.begin(content, most_in_a_run(self.frame_size))

    def _seal_bundle(self) -> None:
        carried, run = self._bundler.taken()
        self._seal(_BUNDLE, carried, run)

    def _make_room(self, octets: int) -> None:
        """For so many octets of frames that are sealed with the keys of now."""
        if self._at + octets > _ROOM:
            self._send_all()
        if not self._at:
            self._sealer = self._epochs.sealer

    def _seal(self, kind: int, inners: Sequence[bytes], run: Run) -> None:
        at, sealer = self._at, self._sealer
        self._at = end = sealer.seal_run(kind, inners, run, self._out, at)
        size = run.size + len(inners[0]) + sealer.overhead(kind)
        if self._segments:
            latest = self._segments[-1]
            is_full = not (latest.end - latest.start) % latest.size
            if is_full and (size == latest.size or (size < latest.size and run.total == 1)):
                latest.end = end
                return
        self._segments.append(_Segment(at, end, size, at))

    # Frames that did not leave

    def _send_again(self, datagrams: list[Record], shortest: int) -> None:
        """Datagrams of which frames were too long, once `frame_size` is smaller."""
        if not datagrams:
            return
        self._narrowed(shortest)
        self.longest = 0
        for direction, flow, payload in datagrams:
            self.add(flow, direction, Run.of(payload, HEADROOM))
        self.flush()

    def _datagrams(self, segments: list[_Segment]) -> Iterator[tuple[range, Record]]:
        """All in these frames, each with the counters of those in which it lies.

        The payloads were written over when they were sealed, so they are taken from the frames."""
        bundled: list[tuple[int, bytes]] = []
        for segment in segments:
            for at in range(segment.start, segment.end, segment.size):
                frame = self._out.octets[at : min(at + segment.size, segment.end)]
                counter = _counter_of(frame)
                kind, plain = self._sealer.reopen(frame)
                if kind == _BUNDLE:
                    bundled.append((counter, plain))
                    continue
                yield from records_in(bundled)
                bundled.clear()
                direction, flow = FLOW.unpack_from(plain)
                payload = memoryview(plain)[FLOW.size :]
                yield range(counter, counter + 1), (direction, flow, payload)
        yield from records_in(bundled)


def runs_with_room(parts: Sequence[bytes | memoryview]) -> Iterator[Run]:
    """Copies of `parts` as runs, with `HEADROOM` before each: for `Outbox.add`."""
    for same in runs_of(parts):
        tray = Tray.of(b"".join((bytes(HEADROOM), *same)))
        run = Run.between(tray, HEADROOM, len(tray.octets), len(same[0]))
        count = 1 if same[0] else len(same)  # empty ones are no run
        yield from [run] * count


def _counter_of(frame: memoryview) -> int:
    return int.from_bytes(frame[HEADER_OCTETS - COUNTER_OCTETS : HEADER_OCTETS], "big")
