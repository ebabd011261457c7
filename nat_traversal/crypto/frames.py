"""Sealed frames: their layout, and sealing and opening of whole runs of them. Pure.

    kind 1 | connection 4 | counter 6 | sealed (what the kind holds) | tag 16

`connection` is chosen by the receiver, per epoch; so is the key. Kind, connection and counter are in
clear and cannot be changed: the kind is authenticated, another connection has another key, and
another counter is another nonce. Without encryption (`--plaintext`) the layout is the same; the tag
is a MAC, and datagrams of programs have none.

This is the fast part: a run is sealed where the datagrams came in, and opened to where they go out.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from nat_traversal.crypto.counted import (
    COUNTER_OCTETS,
    MAX_COUNTER,
    MOST_AT_ONCE,
    NONCE_HEADS,
    OCTETS,
    Nonces,
    counted,
)
from nat_traversal.crypto.schedule import DirectionKeys
from nat_traversal.crypto.window import ReplayWindow
from nat_traversal.wire.offers import Suite
from nat_traversal.wire.tray import FEW, Run, Tray

HEADER_OCTETS = 11
TAG_OCTETS = 16
OVERHEAD = HEADER_OCTETS + TAG_OCTETS
"""Octets of a frame beside what is sealed in it."""
CONNECTION_OCTETS = 4
RETRY_AFTER = 16
"""Frames that are opened one by one where they did not follow each other, before that is tried again."""

IntoPlace = Callable[[bytes, memoryview, None, memoryview], object]


class NotAuthenticError(Exception):
    """A frame without encryption whose MAC is not right. Counted, never told."""


@dataclass(slots=True)
class FrameCounters:
    """Frames that were dropped, by kind of fault. None was answered, none changed any state."""

    malformed: int = 0
    """Too short for a frame."""
    stranger: int = 0
    """For another connection, or one that has ended."""
    replayed: int = 0
    """Came before, or is older than the window."""
    not_authentic: int = 0


class Sealer:
    """Seals one direction of one epoch, counting up from 0. Never make two with the same key."""

    def __init__(
        self,
        suite: Suite,
        keys: DirectionKeys,
        connection: bytes,
        *,
        unsealed_kinds: Collection[int] = (),
    ) -> None:
        self._seal = _sealing(suite, keys, unsealed_kinds)
        self._reopen = _opening(suite, keys, unsealed_kinds)[0]
        self._connection = connection
        self._tag = _tags(suite, unsealed_kinds)
        self._nonces = Nonces()
        self.counter = 0
        """The next frame's: also, how many have been sealed."""

    def overhead(self, kind: int) -> int:
        """Octets that a frame of `kind` has beside what is sealed."""
        return HEADER_OCTETS + self._tag[kind]

    def seal(self, kind: int, plain: bytes | memoryview) -> bytes:
        """One frame. For what is rare; datagrams of programs go by `seal_run`."""
        out = memoryview(bytearray(HEADER_OCTETS + len(plain) + TAG_OCTETS))
        end = self.seal_one(kind, b"", memoryview(bytearray(plain)), 0, len(plain), out, 0)
        return bytes(out[:end])

    def reopen(self, frame: memoryview) -> tuple[int, bytes]:
        """The kind and what is sealed in a frame that this has sealed: one that could not be sent."""
        kind = frame[0]
        plain = bytearray(len(frame) - self.overhead(kind))
        nonce = NONCE_HEADS[kind] + frame[5:HEADER_OCTETS].tobytes()
        self._reopen(nonce, frame[HEADER_OCTETS:], None, memoryview(plain))
        return kind, bytes(plain)

    def seal_run(self, kind: int, inners: Sequence[bytes], run: Run, out: Tray, at: int) -> int:
        """Seal the payloads of `run`, which lie without gaps, with room for one of `inners` before the first.

        One of `inners`, all of one length, is sealed before each. It is written into the octets before the payload: those of
        the one before, which is done with. Frames go to `out` from `at`; the end of the last is
        returned.
        """
        tray, start, step, size, last, count = run
        whole = count if last == size else count - 1
        done = 0
        while whole - done >= FEW:
            some = min(whole - done, MOST_AT_ONCE)
            inside = inners[done : done + some]
            at = self._seal_many(kind, inside, tray, start + done * step, size, out, at)
            done += some
        for index in range(done, count):
            payload = start + index * step
            length = size if index < whole else last
            at = self.seal_one(kind, inners[index], tray.octets, payload, length, out.octets, at)
        return at

    def seal_one(  # noqa: PLR0917 - the fast path
        self,
        kind: int,
        inner: bytes,
        octets: memoryview,
        start: int,
        size: int,
        out: memoryview,
        at: int,
    ) -> int:
        """Seal one payload, which lies from `start` in `octets`, as `seal_run` does."""
        number = self.counter.to_bytes(COUNTER_OCTETS, "big")
        self.counter += 1
        begin = start - len(inner)
        octets[begin:start] = inner
        body = at + HEADER_OCTETS
        out[at:body] = OCTETS[kind] + self._connection + number
        end = body + start + size - begin + self._tag[kind]
        self._seal(NONCE_HEADS[kind] + number, octets[begin : start + size], None, out[body:end])
        return end

    def _seal_many(  # noqa: PLR0917 - the fast path
        self,
        kind: int,
        inners: Sequence[bytes],
        tray: Tray,
        start: int,
        size: int,
        out: Tray,
        at: int,
    ) -> int:
        """The same for as many payloads of one size."""
        counter, count = self.counter, len(inners)
        self.counter += count
        inside, tag = len(inners[0]), self._tag[kind]
        length = HEADER_OCTETS + inside + size + tag
        end = at + count * length
        head = OCTETS[kind] + self._connection
        columns = [OCTETS[octet] * count for octet in head] + counted(counter, count)
        if not tag:
            columns += [b"".join(inners)[offset::inside] for offset in range(inside)]
        octets = out.octets
        for offset, column in enumerate(columns, at):
            octets[offset:end:length] = column
        if not tag:
            plains = tray.views(start, size, size, count)
            for plain, place in zip(
                plains, out.views(at + len(columns), size, length, count), strict=True
            ):
                place[:] = plain
            return end
        seal, body = self._seal, inside + size
        for nonce, inner, plain, place in zip(
            self._nonces.of(kind, counter, count),
            inners,
            tray.views(start - inside, body, size, count),
            out.views(at + HEADER_OCTETS, body + tag, length, count),
            strict=True,
        ):
            plain[:inside] = inner
            seal(nonce, plain, None, place)
        return end


class Opened(NamedTuple):
    """Frames of one kind that were opened: what was sealed in them, valid until the trays are filled anew."""

    kind: int
    run: Run
    number: int
    """Where the first of them lies among all of its path: the next one's is one more."""


class Opener:
    """Opens one direction of one epoch, each frame once."""

    def __init__(
        self,
        suite: Suite,
        keys: DirectionKeys,
        connection: bytes,
        counters: FrameCounters,
        *,
        unsealed_kinds: Collection[int] = (),
    ) -> None:
        self._open, self._not_authentic = _opening(suite, keys, unsealed_kinds)
        self._connection = connection
        self._first = int.from_bytes(connection, "big") << 8 * COUNTER_OCTETS
        self._window = ReplayWindow()
        self._counters = counters
        self._tag = _tags(suite, unsealed_kinds)
        self._nonces = Nonces()
        self.opened = 0
        """How many frames were authentic and fresh."""

    @property
    def newest(self) -> int:
        """The highest counter that was authentic; -1 before the first."""
        return self._window.newest

    def open_run(self, run: Run, index: int, place: Tray, to: int) -> tuple[list[Opened], int, int]:
        """Open the frames of `run`, which lie without gaps, from the one at `index` on. Opened octets go
        to `place`, from `to` on; those that are not sealed stay where they are.

        Stops at the first frame of another connection. The frames that were opened; the index of the next
        one, and how far `place` is filled.
        """
        tray, start, step, size, last, count = run
        octets, connection = tray.octets, self._connection
        whole = count if last == size else count - 1
        found: list[Opened] = []
        first = many_from = index
        while index < count:
            at = start + index * step
            if whole - index >= FEW and index >= many_from:
                opened = self._open_many(tray, at, size, whole - index, place, to)
                if opened is not None:
                    found.append(opened)
                    some = opened.run
                    index += some.total
                    to += some.total * some.size if some.tray is place else 0
                    continue
                many_from = index + RETRY_AFTER
            if index > first and octets[at + 1 : at + 1 + CONNECTION_OCTETS] != connection:
                break
            end = at + (size if index < whole else last)
            opened = self.open_one(tray, at, end, place, to)
            if opened is not None:
                found.append(opened)
                to += opened.run.size if opened.run.tray is place else 0
            index += 1
        self.opened += sum([opened.run.total for opened in found])
        return found, index, to

    def open_one(self, frames: Tray, at: int, end: int, place: Tray, to: int) -> Opened | None:
        """Open one frame; the caller has to count it in `opened`."""
        octets = frames.octets
        counters, window = self._counters, self._window
        body = at + HEADER_OCTETS
        if end < body:
            counters.malformed += 1
            return None
        head = octets[at:body].tobytes()
        kind = head[0]
        tag = self._tag[kind]
        size = end - body - tag
        if size < 0:
            counters.malformed += 1
            return None
        if head[1:5] != self._connection:
            counters.stranger += 1
            return None
        number = head[5:]
        counter = int.from_bytes(number, "big")
        if not window.is_fresh(counter):
            counters.replayed += 1
            return None
        if not tag:
            window.take(counter)
            return Opened(kind, Run(frames, body, size, size, size, 1), self._first + counter)
        plain = place.octets[to : to + size]
        try:
            self._open(NONCE_HEADS[kind] + number, octets[body:end], None, plain)
        except self._not_authentic:
            counters.not_authentic += 1
            return None
        window.take(counter)
        return Opened(kind, Run(place, to, size, size, size, 1), self._first + counter)

    def _open_many(  # noqa: PLR0917 - the fast path
        self, frames: Tray, at: int, segment: int, count: int, place: Tray, to: int
    ) -> Opened | None:
        """Open frames of one kind and size whose counters follow each other above all before, as a peer
        that is not disturbed sends them. None: see to them one by one, the first at least.
        """
        octets, body = frames.octets, at + HEADER_OCTETS
        head = octets[at:body].tobytes()
        kind = head[0]
        counter = int.from_bytes(head[-COUNTER_OCTETS:], "big")
        tag = self._tag[kind]
        size = segment - HEADER_OCTETS - tag
        count = min(count, MOST_AT_ONCE, MAX_COUNTER - counter)
        end = at + count * segment
        if (
            count < FEW
            or size < 0
            or head[1 : 1 + CONNECTION_OCTETS] != self._connection
            or counter <= self._window.newest
        ):
            return None
        columns = counted(counter, count)
        columns[:0] = [OCTETS[octet] * count for octet in head[:-COUNTER_OCTETS]]
        for offset, column in enumerate(columns, at):
            if octets[offset:end:segment] != column:
                return None
        if tag:
            open_, done = self._open, 0
            run = Run(place, to, size, size, size, count)
            try:
                for nonce, sealed, plain in zip(
                    self._nonces.of(kind, counter, count),
                    frames.views(body, size + tag, segment, count),
                    place.views(to, size, size, count),
                    strict=True,
                ):
                    open_(nonce, sealed, None, plain)
                    done += 1
            except self._not_authentic:
                if not done:
                    return None
                run = run._replace(total=done)
        else:
            run = Run(frames, body, segment, size, size, count)
        self._window.accept_run(counter, run.total)
        return Opened(kind, run, self._first + counter)


def _tags(suite: Suite, unsealed: Collection[int]) -> list[int]:
    """Octets of the tag by kind."""
    return [0 if suite is Suite.NONE and kind in unsealed else TAG_OCTETS for kind in range(256)]


def _sealing(suite: Suite, keys: DirectionKeys, unsealed: Collection[int]) -> IntoPlace:
    if suite is not Suite.NONE:
        # Late: without encryption nobody needs the package `cryptography`.
        from nat_traversal.crypto.seal import sealer  # noqa: PLC0415

        return sealer(suite, keys.seal)

    def copy(nonce: bytes, plain: memoryview, _: None, place: memoryview) -> None:
        length = len(plain)
        place[:length] = plain
        if nonce[0] not in unsealed:
            place[length:] = _plain_tag(keys, nonce, plain)

    return copy


def _opening(
    suite: Suite, keys: DirectionKeys, unsealed: Collection[int]
) -> tuple[IntoPlace, type[Exception]]:
    if suite is not Suite.NONE:
        from nat_traversal.crypto.seal import NotAuthentic, opener  # noqa: PLC0415

        return opener(suite, keys.seal), NotAuthentic

    def copy(nonce: bytes, octets: memoryview, _: None, place: memoryview) -> None:
        length = len(place)
        if nonce[0] not in unsealed and not hmac.compare_digest(
            octets[length:], _plain_tag(keys, nonce, octets[:length])
        ):
            raise NotAuthenticError
        place[:] = octets[:length]

    return copy, NotAuthenticError


def _plain_tag(keys: DirectionKeys, nonce: bytes, plain: memoryview) -> bytes:
    return hmac.digest(keys.seal, nonce + plain, "sha256")[:TAG_OCTETS]
