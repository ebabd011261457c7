"""Bundles: datagrams of any sizes and flows one behind the other, cut where a frame is full; and what they are made of again. Pure.

    carried 2 | rest of a datagram that began in the frame before | direction 1 | flow 4 | length 2 | payload | ...

So frames of one size carry whatever is at hand. A path never depends on IP fragments, which many NATs and firewalls drop
(RFC 8900): a datagram that is longer than a frame is a bundle of its own. A frame that is lost takes with it the datagrams of which
it had a part, and no others.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from nat_traversal.wire.tray import FEW, Run, Tray

CARRIED = struct.Struct("!H")
"""Of each frame: octets from its beginning, or in the frames after it, that go on with a datagram of the frame before."""
RECORD = struct.Struct("!BIH")
"""Before each datagram: service and direction, flow, octets of the payload."""
MOST_PAYLOAD = 65_527
"""Octets: UDP's own length less its header. Only over IPv6 are there as many."""
_MOST_CARRIED = RECORD.size + MOST_PAYLOAD
_NOTHING = CARRIED.pack(0)


Record = tuple[int, int, memoryview]
"""One datagram in a bundle: direction, flow, payload."""


class Bundler:
    """Makes bundles: each of so many octets that a run of frames takes it, or of one longer datagram."""

    def __init__(self) -> None:
        self._tray = Tray(CARRIED.size + _MOST_CARRIED)
        self.begin(1, 1)

    def begin(self, content: int, frames: int) -> None:
        """Begin the next one, of about so many frames with `content` octets each."""
        self._content = content
        self._full = CARRIED.size + min(_MOST_CARRIED, content * frames)
        self._at = self._border = CARRIED.size
        self._carried: list[bytes] = []

    def add(self, direction: int, flow: int, octets: memoryview) -> bool:
        """Put a datagram behind the others. False: it has no room before the next `begin`."""
        size = len(octets)
        at = self._at
        body = at + RECORD.size
        end = body + size
        if end > self._full and at > CARRIED.size:
            return False
        place = self._tray.octets
        RECORD.pack_into(place, at, direction, flow, size)
        place[body:end] = octets
        border = self._border
        if border == at:
            self._carried.append(_NOTHING)
            border += self._content
        while border < end:
            self._carried.append(CARRIED.pack(end - border))
            border += self._content
        self._border, self._at = border, end
        return True

    def taken(self) -> tuple[list[bytes], Run]:
        """The frames: their first octets, and the rest of each, with room for those before it. Valid until the next `add`."""
        return self._carried, Run.between(self._tray, CARRIED.size, self._at, self._content)


def records_in(frames: Iterable[tuple[int, bytes]]) -> Iterator[tuple[range, Record]]:
    """The datagrams in all frames of some bundles, each with the frames that it lies in. `frames` are counted."""
    rest, begun = b"", 0
    for counter, plain in frames:
        first = begun if rest else counter
        octets = memoryview(rest + plain[CARRIED.size :])
        at = 0
        while (end := _end_of_record(octets, at)) <= len(octets):
            yield range(first, counter + 1), _record(octets[at:end])
            at, first = end, counter
        rest, begun = bytes(octets[at:]), first


def _end_of_record(octets: memoryview, at: int) -> int:
    """Where the datagram that begins there ends; behind `octets`, if it is not known either."""
    body = at + RECORD.size
    return body + RECORD.unpack_from(octets, at)[2] if body <= len(octets) else body


def _record(octets: memoryview) -> Record:
    direction, flow, _ = RECORD.unpack_from(octets)
    return direction, flow, octets[RECORD.size :]


@dataclass(eq=False, slots=True)
class _Part:
    """A part of one datagram, from frames that follow each other, from `first` to the one before `after`."""

    first: int
    """Counts where the datagram does not begin in it."""
    after: int
    octets: list[bytes]
    size: int
    begins: bool
    """The datagram begins in it."""
    ends: bool
    until: float

    def take_on(self, behind: _Part) -> None:
        """Go on with what lies behind it."""
        self.octets += behind.octets
        self.size += behind.size
        self.after, self.ends = behind.after, behind.ends


class Unbundler:
    """Takes bundles apart, whatever the order of their frames. A number tells where each frame lies: that of the next one is one more.

    At most `most_octets` wait for the rest of their datagrams, and none longer than `patience` seconds, if its owner calls
    `expire` at `deadline`. The oldest makes room.
    """

    def __init__(self, *, most_octets: int = 1 << 20, patience: float = 2.0) -> None:
        self._most = most_octets
        self._patience = patience
        self._waiting: dict[_Part, None] = {}
        """The oldest first."""
        self._by_after: dict[int, _Part] = {}
        """Those that lack what follows, by the frame that has it."""
        self._by_first: dict[int, _Part] = {}
        """Those that lack what was before, by their own first frame."""
        self.octets = 0
        """How many wait."""
        self.incomplete = 0
        """Datagrams that began to come and were given up. Of those that began in a lost frame nothing is known here."""
        self.malformed = 0
        """Frames that hold lengths that cannot be, and datagrams whose parts contradict each other: they were dropped."""

    @property
    def deadline(self) -> float | None:
        """When the oldest of them has waited too long; None: nothing waits."""
        oldest = next(iter(self._waiting), None)
        return None if oldest is None else oldest.until

    def arrived(self, number: int, plain: memoryview, now: float) -> list[Record]:
        """A frame, which comes once. The datagrams that are whole by now, valid as long as `plain` is."""
        start, end = CARRIED.size, len(plain)
        if end <= start:
            self.malformed += 1
            return []
        begins_at = start + CARRIED.unpack_from(plain)[0]
        found: list[Record] = []
        at = min(begins_at, end)
        while end - at >= RECORD.size:
            direction, flow, size = RECORD.unpack_from(plain, at)
            if size > MOST_PAYLOAD:
                self.malformed += 1
                return []
            body = at + RECORD.size
            if body + size > end:
                break
            found.append((direction, flow, plain[body : body + size]))
            at = body + size
        until = now + self._patience
        if begins_at > start:
            stop = min(begins_at, end)
            rest = [bytes(plain[start:stop])]
            part = _Part(number, number + 1, rest, stop - start, False, begins_at <= end, until)
            found[:0] = self._meet(part)
        if at < end:
            rest = [bytes(plain[at:end])]
            found += self._meet(_Part(number, number + 1, rest, end - at, True, False, until))
        return found

    def arrived_run(self, number: int, frames: Run, now: float) -> list[Record]:
        """The same of frames that follow each other, the first of that number: of many in fewer steps."""
        found = self._in_order(number, frames, now) if frames.total >= FEW else None
        if found is None:
            parts = enumerate(frames.parts(), number)
            return [each for at, part in parts for each in self.arrived(at, part, now)]
        return found

    def _in_order(self, number: int, frames: Run, now: float) -> list[Record] | None:
        """The same where all their lengths agree. None: they do not, and nothing was done."""
        content, total = frames.size - CARRIED.size, frames.total
        if content < RECORD.size or frames.last <= CARRIED.size:
            return None
        octets = memoryview(b"".join(frames.parts(CARRIED.size)))
        carried = [
            256 * high + low for high, low in zip(frames.column(0), frames.column(1), strict=True)
        ]
        found: list[Record] = []
        length, at = len(octets), carried[0]
        head = min(at, length)
        agreed, border = [at], content
        while at < length:
            while border < at:
                agreed.append(at - border)
                border += content
            begins_at = at
            if length - at >= RECORD.size:
                direction, flow, size = RECORD.unpack_from(octets, at)
                if size > MOST_PAYLOAD:
                    return None
                body = at + RECORD.size
                at = body + size
                if at <= length:
                    found.append((direction, flow, octets[body:at]))
            else:
                at = length + 1
            if border == begins_at:
                agreed.append(0)
                border += content
        while border < length:
            agreed.append(at - border)
            border += content
        if agreed != carried:
            return None
        until, after = now + self._patience, number + total
        if head:
            ends = carried[0] <= length
            behind = number + (head - 1) // content + 1
            part = _Part(number, behind, [bytes(octets[:head])], head, False, ends, until)
            found[:0] = self._meet(part)
        if at > length and carried[0] < length:
            rest = [bytes(octets[begins_at:])]
            begun = _Part(number, after, rest, length - begins_at, True, False, until)
            found += self._meet(begun)
        return found

    def expire(self, now: float) -> None:
        """Give up the datagrams that have waited too long."""
        while self._waiting:
            oldest = next(iter(self._waiting))
            if oldest.until > now:
                return
            self._give_up(oldest)

    def give_up(self) -> None:
        """The path has ended: give up everything that waits."""
        while self._waiting:
            self._give_up(next(iter(self._waiting)))

    def _meet(self, part: _Part) -> list[Record]:
        """Put `part` together with its neighbours: the datagram, if it is whole by that. The older ones keep their age."""
        before = None if part.begins else self._by_after.get(part.first)
        behind = None if part.ends else self._by_first.get(part.after)
        if before is not None:
            self._unlink(before)
            before.take_on(part)
            part = before
        if behind is not None:
            self._unlink(behind)
            if before is None:
                behind.octets[:0] = part.octets
                behind.first, behind.begins = part.first, part.begins
                behind.size += part.size
                part = behind
            else:
                del self._waiting[behind]
                part.take_on(behind)
        if part.begins and part.ends:
            self._waiting.pop(part, None)
            return self._whole(part)
        self._waiting[part] = None
        self._link(part)
        while self.octets > self._most:
            self._give_up(next(iter(self._waiting)))
        return []

    def _whole(self, part: _Part) -> list[Record]:
        octets = memoryview(b"".join(part.octets))
        if _end_of_record(octets, 0) != len(octets) or len(octets) > _MOST_CARRIED:
            self.malformed += 1
            return []
        return [_record(octets)]

    def _give_up(self, part: _Part) -> None:
        del self._waiting[part]
        self._unlink(part)
        self.incomplete += part.begins

    def _link(self, part: _Part) -> None:
        if not part.ends:
            self._by_after[part.after] = part
        if not part.begins:
            self._by_first[part.first] = part
        self.octets += part.size

    def _unlink(self, part: _Part) -> None:
        if not part.ends:
            del self._by_after[part.after]
        if not part.begins:
            del self._by_first[part.first]
        self.octets -= part.size
