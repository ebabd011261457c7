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
from collections.abc import Callable, Collection
from dataclasses import dataclass

from nat_traversal.crypto.schedule import DirectionKeys
from nat_traversal.crypto.window import ReplayWindow
from nat_traversal.wire.offers import Suite

HEADER_OCTETS = 11
TAG_OCTETS = 16
OVERHEAD = HEADER_OCTETS + TAG_OCTETS
"""Octets of a frame beside what is sealed in it."""
CONNECTION_OCTETS = 4
COUNTER_OCTETS = 6
MAX_COUNTER = (1 << 48) - 1
_NONCE_PADDING = bytes(6)
_KINDS = [bytes([kind]) for kind in range(256)]

IntoPlace = Callable[[bytes, memoryview, bytes, memoryview], object]
Opened = tuple[int, memoryview]
"""The kind, and what was sealed; the octets are valid until the next run is opened."""


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
        self._connection = connection
        self._tag = [
            0 if suite is Suite.NONE and kind in unsealed_kinds else TAG_OCTETS
            for kind in range(256)
        ]
        self.counter = 0
        """The next frame's: also, how many have been sealed."""

    def overhead(self, kind: int) -> int:
        """Octets that a frame of `kind` has beside what is sealed."""
        return HEADER_OCTETS + self._tag[kind]

    def seal(self, kind: int, plain: bytes | memoryview) -> bytes:
        """One frame. For what is rare; datagrams of programs go by `seal_run`."""
        out = bytearray(HEADER_OCTETS + len(plain) + TAG_OCTETS)
        view = memoryview(bytearray(plain))
        end = self.seal_run(kind, b"", view, 0, len(plain), 1, memoryview(out), 0)
        return bytes(out[:end])

    def seal_run(  # noqa: PLR0917 - the fast path
        self,
        kind: int,
        inner: bytes,
        buffer: memoryview,
        start: int,
        size: int,
        count: int,
        out: memoryview,
        at: int,
    ) -> int:
        """Seal `count` payloads of `size` octets that lie one behind the other from ``buffer[start]``.

        `inner` is sealed before each. It is written into the octets before the payload: those of
        the one before, which is done with. Frames go to `out` from `at`; the end of the last is
        returned.
        """
        seal, counter = self._seal, self.counter
        aad = _KINDS[kind]
        head = aad + self._connection
        inside = len(inner)
        length = size + inside
        sealed = length + self._tag[kind]
        begin = start - inside
        for _ in range(count):
            number = counter.to_bytes(6, "big")
            counter += 1
            body = at + HEADER_OCTETS
            out[at:body] = head + number
            at = body + sealed
            if inside:
                buffer[begin : begin + inside] = inner
            seal(_NONCE_PADDING + number, buffer[begin : begin + length], aad, out[body:at])
            begin += size
        self.counter = counter
        return at


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
        self._window = ReplayWindow()
        self._counters = counters
        self._tag = [
            0 if suite is Suite.NONE and kind in unsealed_kinds else TAG_OCTETS
            for kind in range(256)
        ]
        self.opened = 0
        """How many frames were authentic and fresh."""

    @property
    def newest(self) -> int:
        """The highest counter that was authentic; -1 before the first."""
        return self._window.newest

    def open_run(self, frames: memoryview, segment: int, place: memoryview) -> list[Opened]:
        """Open frames that lie one behind the other, `segment` octets each but the last, which may be
        shorter. Opened octets go to `place`, one behind the other."""
        found: list[Opened] = []
        add, open_, tags, counters = found.append, self._open, self._tag, self._counters
        seen, size, newest = self._window.seen, self._window.size, self._window.newest
        connection, not_authentic = self._connection, self._not_authentic
        total, to = len(frames), 0
        for at in range(0, total, segment or 1):
            body = at + HEADER_OCTETS
            end = min(total, at + segment)
            head = frames[at:body].tobytes()
            kind = head[0]
            plain_end = to + end - body - tags[kind]
            if plain_end < to:
                counters.malformed += 1
                continue
            if head[1:5] != connection:
                counters.stranger += 1
                continue
            number = head[5:]
            counter = int.from_bytes(number, "big")
            if counter <= newest - size or seen[counter % size] == counter:
                counters.replayed += 1
                continue
            plain = place[to:plain_end]
            try:
                open_(_NONCE_PADDING + number, frames[body:end], _KINDS[kind], plain)
            except not_authentic:
                counters.not_authentic += 1
                continue
            seen[counter % size] = counter
            newest = max(newest, counter)
            add((kind, plain))
            to = plain_end
        self._window.newest = newest
        self.opened += len(found)
        return found


def _sealing(suite: Suite, keys: DirectionKeys, unsealed: Collection[int]) -> IntoPlace:
    if suite is not Suite.NONE:
        # Late: without encryption nobody needs the package `cryptography`.
        from nat_traversal.crypto.seal import sealer  # noqa: PLC0415

        return sealer(suite, keys.seal)

    def copy(nonce: bytes, plain: memoryview, kind: bytes, place: memoryview) -> None:
        length = len(plain)
        place[:length] = plain
        if kind[0] not in unsealed:
            place[length:] = _plain_tag(keys, nonce, plain, kind)

    return copy


def _opening(
    suite: Suite, keys: DirectionKeys, unsealed: Collection[int]
) -> tuple[IntoPlace, type[Exception]]:
    if suite is not Suite.NONE:
        from nat_traversal.crypto.seal import NotAuthentic, opener  # noqa: PLC0415

        return opener(suite, keys.seal), NotAuthentic

    def copy(nonce: bytes, octets: memoryview, kind: bytes, place: memoryview) -> None:
        length = len(place)
        if kind[0] not in unsealed and not hmac.compare_digest(
            octets[length:], _plain_tag(keys, nonce, octets[:length], kind)
        ):
            raise NotAuthenticError
        place[:] = octets[:length]

    return copy, NotAuthenticError


def _plain_tag(keys: DirectionKeys, nonce: bytes, plain: memoryview, kind: bytes) -> bytes:
    return hmac.digest(keys.seal, nonce + kind + plain, "sha256")[:TAG_OCTETS]
