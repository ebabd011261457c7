"""The way in of a path: frames become programs' datagrams, sorted by flow, and words for the agent.

Runs of frames are opened at once, and each flow of a batch is handed over once unless its turn came again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from nat_traversal.aio.outbox import FLOW
from nat_traversal.aio.packet_io import LONGEST
from nat_traversal.aio.traffic import Traffic, Way
from nat_traversal.crypto.epochs import Epochs
from nat_traversal.crypto.frames import Opened
from nat_traversal.machine.driver import Clock, Timer
from nat_traversal.paths.bundles import Unbundler
from nat_traversal.settings import ClientSettings
from nat_traversal.wire.datagrams import FRAMES, Kind
from nat_traversal.wire.tray import Run, Tray

_DATA, _BUNDLE = Kind.DATA.value, Kind.BUNDLE.value


class Delivery(NamedTuple):
    """Datagrams of one program of the other side, in order."""

    flow: int
    direction: int
    """The receiver's number of the service, twice; and `FROM_LISTENER`, if the program is at that side."""
    payloads: list[memoryview]
    """Only valid during the call. The list is not to be changed."""


class Inbox:
    """Opens what comes. `deliver` gets programs' datagrams, `on_frame` the authentic frames that are no program's,
    `on_other` datagrams that are no frames. `way` counts what came. `clock` may call back when a part of a bundle has waited too long."""

    def __init__(
        self,
        epochs: Epochs,
        traffic: Traffic,
        settings: ClientSettings,
        clock: Clock,
        *,
        way: Way,
        deliver: Callable[[Sequence[Delivery]], None],
        on_frame: Callable[[Kind, bytes], None],
        on_other: Callable[[bytes], None],
    ) -> None:
        self._epochs = epochs
        self._traffic = traffic
        self._way = way
        self._clock = clock
        self._forward = deliver
        self._on_frame = on_frame
        self._on_other = on_other
        self.closed = False
        """Nothing is handed on any more."""
        self._unbundler = Unbundler(
            most_octets=settings.reassembly_octets, patience=settings.reassembly_within
        )
        self._expiry: Timer | None = None
        """Due while parts of bundles wait."""
        self._place = Tray(3 * LONGEST)
        """For what is opened of one batch, which is shorter than its frames."""
        self._flows: dict[tuple[int, int], list[memoryview]] = {}
        """Payloads that wait to be handed over, by direction and flow."""
        self._octets = 0
        """Of these payloads."""

    @property
    def waiting_octets(self) -> int:
        """How many octets of bundles wait for the rest of their datagrams."""
        return self._unbundler.octets

    def arrived_alone(self, runs: Sequence[Run], now: float) -> None:
        """`arrived`, in fewer steps where it is one datagram of a program's."""
        if not runs or self.closed:
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
        way = self._way
        way.all_received.value += 1
        way.received += 1
        way.received_octets += opened.size - FLOW.size
        self._forward([Delivery(flow, direction, [payload])])

    def arrived(
        self, runs: Sequence[Run], on_frame: Callable[[Kind, bytes], None] | None = None
    ) -> None:
        """Datagrams, which are handed on in order. `on_frame` in the place of the usual one."""
        on_frame = on_frame or self._on_frame
        place, to, now = self._place, 0, self._clock.time()
        for run in runs:
            for frames in _frames_in(run):
                if isinstance(frames, bytes):
                    self._on_other(frames)
                    continue
                found, to = self._epochs.open_run(frames, place, now, to)
                for opened in found:
                    if opened.kind == _DATA:
                        self._sort(opened.run)
                    elif opened.kind == _BUNDLE:
                        self._take_apart(opened, now)
                    else:
                        for part in opened.run.parts():
                            self._deliver()
                            on_frame(Kind(opened.kind), bytes(part))
                            if self.closed:
                                return
        self._deliver()
        self._count()
        self._arm()

    def close(self) -> None:
        """The path has ended."""
        self.closed = True
        self._unbundler.give_up()
        if self._expiry is not None:
            self._expiry.cancel()
        self._count()

    def _arm(self) -> None:
        """Give up parts that wait in time, even if nothing else ever comes."""
        deadline = self._unbundler.deadline
        if deadline is not None and self._expiry is None and not self.closed:
            self._expiry = self._clock.call_at(deadline, self._expire)

    def _expire(self) -> None:
        self._expiry = None
        self._unbundler.expire(self._clock.time())
        self._count()
        self._arm()

    def _sort(self, run: Run) -> None:
        """Add the payloads of DATA frames to those of their flows."""
        if min(run.size, run.last) < FLOW.size:
            self._traffic.malformed.value += run.total
            return
        flows = self._flows
        start, step, total = run.start, run.step, run.total
        self._octets += run.size * (total - 1) + run.last - FLOW.size * total
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

    def _take_apart(self, bundle: Opened, now: float) -> None:
        """Add the datagrams that these frames complete to those of their flows."""
        flows = self._flows
        for direction, flow, payload in self._unbundler.arrived_run(bundle.number, bundle.run, now):
            flows.setdefault((direction, flow), []).append(payload)
            self._octets += len(payload)

    def _deliver(self) -> None:
        """Hand over the payloads of each flow, and forget them."""
        if not self._flows or self.closed:
            return
        flows, self._flows = self._flows, {}
        octets, self._octets = self._octets, 0
        self._way.came(sum(map(len, flows.values())), octets)
        self._forward(
            [Delivery(flow, direction, payloads) for (direction, flow), payloads in flows.items()]
        )

    def _count(self) -> None:
        """Move what the frames' own counters have into the client's."""
        frames, traffic, unbundler = self._epochs.counters, self._traffic, self._unbundler
        traffic.malformed.value += frames.malformed + unbundler.malformed
        traffic.stranger.value += frames.stranger
        traffic.replayed.value += frames.replayed
        traffic.not_authentic.value += frames.not_authentic
        frames.malformed = frames.stranger = frames.replayed = frames.not_authentic = 0
        traffic.incomplete.value += unbundler.incomplete
        unbundler.malformed = unbundler.incomplete = 0


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
