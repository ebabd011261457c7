"""The epochs of a path: which keys seal now, which still open, and when new ones follow. Pure.

The initiator asks for an epoch (``rekey``), the responder answers; both messages go through the control
channel, sealed in the epoch before. The initiator sends in the new epoch from the answer on, the
responder from the first frame that it opened in it. Both go on to open the old one for a while,
so no datagram is lost. Fresh ephemeral keys make it: an attacker with the keys of one epoch
learns nothing of those before, and nothing of those after unless it was there.

    kind 1 | epoch 2 | ephemeral public key 32 | connection 4
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Protocol

from nat_traversal.crypto.frames import (
    CONNECTION_OCTETS,
    HEADER_OCTETS,
    FrameCounters,
    Opened,
    Opener,
    Sealer,
)
from nat_traversal.crypto.schedule import PathKeys, next_epoch
from nat_traversal.errors import WireError
from nat_traversal.wire.offers import Suite
from nat_traversal.wire.tray import Run, Tray

_MESSAGE = struct.Struct(">BH32s4s")
ASK, ANSWER = 1, 2
TellKey = Callable[[bytes, Suite, bytes], None]
"""Hears the connection that frames bear, how they are sealed, and the key: a secret."""


class _Pair(Protocol):
    """The part of `nat_traversal.crypto.dh.KeyPair` that an epoch needs; a path without encryption needs none."""

    @property
    def public(self) -> bytes: ...

    def exchange(self, public: bytes) -> bytes: ...


@dataclass(frozen=True, slots=True)
class EpochSettings:
    """When keys are renewed."""

    frames: int = 1 << 22
    """Sealed with one key, in either direction: half of the limit of RFC 9001 section 6.6."""
    seconds: float = 3600.0
    linger: float = 3.0
    """Seconds for which the epoch before is still opened: frames may be on their way."""


@dataclass(slots=True)
class _Old:
    """An epoch that may still be opened. `until` is None while the other side may still seal in it."""

    connection: bytes
    opener: Opener
    until: float | None


class Epochs:
    """The keys of one path, at one end. `KeyPair.generate` makes the ephemeral keys."""

    def __init__(
        self,
        suite: Suite,
        keys: PathKeys,
        *,
        is_initiator: bool,
        ours: bytes,
        theirs: bytes,
        rng: random.Random,
        generate: Callable[[random.Random], _Pair] | None,
        now: float,
        settings: EpochSettings | None = None,
        unsealed_kinds: Collection[int] = (),
    ) -> None:
        self._suite = suite
        self.keys = keys
        """Of the newest epoch. They are secret."""
        self._is_initiator = is_initiator
        self._rng = rng
        self._generate = generate
        self._settings = settings or EpochSettings()
        self._unsealed = unsealed_kinds
        self.counters = FrameCounters()
        self.epoch = 0
        self._since = now
        self.sealer = Sealer(suite, keys.sending, theirs, unsealed_kinds=unsealed_kinds)
        """Seals what leaves now. Ask again for each run: it changes with the epoch."""
        self._connection, self._theirs = ours, theirs
        self._opener = self._opener_of(keys, ours)
        self._tell_key: TellKey | None = None
        self._old: _Old | None = None
        self._opened_before = 0
        """Authentic frames of the epochs that are forgotten."""
        self._asked: _Pair | None = None
        self._asked_connection = b""
        self._next_sealer: Sealer | None = None

    def log_keys(self, tell: TellKey) -> None:
        """Tell the keys of the newest epoch, and those of each that follows."""
        self._tell_key = tell
        tell(self._connection, self._suite, self.keys.receiving.seal)
        tell(self._theirs, self._suite, self.keys.sending.seal)

    def authentic(self) -> int:
        """How many frames were authentic and fresh, in all epochs."""
        old = 0 if self._old is None else self._old.opener.opened
        return self._opened_before + old + self._opener.opened

    def newest(self) -> tuple[int, int]:
        """The newest frame that was authentic: its epoch and counter, or -1."""
        return self.epoch, self._opener.newest

    @property
    def binding(self) -> bytes:
        """The same at both ends, for this epoch of this path alone, and no secret: 32 octets."""
        return self.keys.transcript_hash

    @property
    def deadline(self) -> float:
        """When to call `due` next."""
        at, old = self._since + self._settings.seconds, self._old
        return at if old is None or old.until is None else min(at, old.until)

    def due(self, now: float) -> list[bytes]:
        """Forget what has lingered; the control messages to send, if new keys are wanted."""
        if self._old is not None and self._old.until is not None and now >= self._old.until:
            self._forget_old()
        worn = max(self.sealer.counter, self._opener.newest) >= self._settings.frames
        if now >= self._since + self._settings.seconds or worn:
            return self._ask(now)
        return []

    def open_run(self, run: Run, place: Tray, now: float, to: int = 0) -> tuple[list[Opened], int]:
        """Open frames of whichever epochs, as `Opener.open_run` does. Those that were opened, and how far
        `place` is filled."""
        found: list[Opened] = []
        octets, index = run.tray.octets, 0
        while index < run.total:
            at = run.start + index * run.step + 1
            opener = self._opener_for(octets[at : at + CONNECTION_OCTETS])
            if opener is None:
                self.counters.stranger += 1
                index += 1
                continue
            some, index, to = opener.open_run(run, index, place, to)
            found += some
            if some and opener is self._opener:
                if self._next_sealer is not None:
                    self._use_next(now)
                if self._old is not None and self._old.until is None:
                    self._old.until = now + self._settings.linger
        return found, to

    def open_one(self, run: Run, place: Tray, now: float) -> Run | None:
        """Open the one frame of `run`, in fewer steps than `open_run`; None: it was dropped."""
        start, opener = run.start, self._opener
        frames, seals = run.tray, start + 1 + CONNECTION_OCTETS
        is_newest = frames.octets[start + 1 : seals] == self._connection
        if not is_newest or self._next_sealer is not None or self._old is not None:
            found, _ = self.open_run(run, place, now)
            return found[0].run if found else None
        opened = opener.open_one(frames, start, start + run.size, place, 0)
        if opened is None:
            return None
        opener.opened += 1
        return opened.run

    def open(self, frame: bytes, now: float) -> list[tuple[int, bytes]]:
        """The kind of one frame, and what was sealed in it; nothing if it is dropped. For what is rare."""
        opened = self.open_one(Run.of(frame), Tray(len(frame)), now)
        return [] if opened is None else [(frame[0], bytes(opened.parts()[0]))]

    def authenticates(self, kind: int) -> bool:
        """Whether nobody but the peer can make a frame of that kind: without encryption anybody makes programs'."""
        return self.sealer.overhead(kind) > HEADER_OCTETS

    def _opener_for(self, connection: memoryview) -> Opener | None:
        if connection == self._connection:
            return self._opener
        if self._old is not None and connection == self._old.connection:
            return self._old.opener
        return None

    def control(self, body: bytes, now: float) -> list[bytes]:
        """A control message about epochs came; the ones to send. Raises `WireError` for any that is
        malformed, and `KeyRefusedError` for a key that cannot be used."""
        if len(body) != _MESSAGE.size:
            raise WireError(f"a rekey message has {_MESSAGE.size} octets, not {len(body)}")
        kind, epoch, public, connection = _MESSAGE.unpack(body)
        if epoch != (self.epoch + 1) % 65_536:
            return []
        if kind == ASK and not self._is_initiator:
            return self._answer(public, connection, now)
        if kind == ANSWER and self._asked is not None:
            secret = self._asked.exchange(public)
            bound = self._bound(self._asked.public, self._asked_connection, public, connection)
            self._begin(secret, bound, self._asked_connection, connection, now)
            self._use_next(now)
            self._asked = None
        return []

    def _ask(self, now: float) -> list[bytes]:
        self._since = now
        if not self._is_initiator or self._asked is not None or self._generate is None:
            return []
        self._asked = self._generate(self._rng)
        self._asked_connection = self._fresh_connection()
        epoch = (self.epoch + 1) % 65_536
        return [_MESSAGE.pack(ASK, epoch, self._asked.public, self._asked_connection)]

    def _answer(self, public: bytes, theirs: bytes, now: float) -> list[bytes]:
        if self._generate is None:
            return []
        pair = self._generate(self._rng)
        ours = self._fresh_connection()
        bound = self._bound(public, theirs, pair.public, ours)
        self._begin(pair.exchange(public), bound, ours, theirs, now)
        return [_MESSAGE.pack(ANSWER, self.epoch, pair.public, ours)]

    def _begin(self, secret: bytes, bound: bytes, ours: bytes, theirs: bytes, now: float) -> None:
        """The keys of the next epoch: opened from now on, sealed with from `_use_next` on."""
        keys = next_epoch(self.keys, secret, bound, is_initiator=self._is_initiator)
        self._forget_old()
        self._old = _Old(self._connection, self._opener, None)
        self.keys, self._connection, self._theirs = keys, ours, theirs
        self._opener = self._opener_of(keys, ours)
        self._next_sealer = Sealer(self._suite, keys.sending, theirs, unsealed_kinds=self._unsealed)
        self.epoch = (self.epoch + 1) % 65_536
        self._since = now
        if self._tell_key is not None:
            self.log_keys(self._tell_key)

    def _forget_old(self) -> None:
        if self._old is not None:
            self._opened_before += self._old.opener.opened
            self._old = None

    def _use_next(self, now: float) -> None:
        if self._next_sealer is not None:
            self.sealer, self._next_sealer = self._next_sealer, None
        self._since = now

    def _bound(self, asking: bytes, asker: bytes, answering: bytes, answerer: bytes) -> bytes:
        return b"".join((asking, asker, answering, answerer))

    def _opener_of(self, keys: PathKeys, connection: bytes) -> Opener:
        return Opener(
            self._suite, keys.receiving, connection, self.counters, unsealed_kinds=self._unsealed
        )

    def _fresh_connection(self) -> bytes:
        while (made := self._rng.randbytes(CONNECTION_OCTETS)) == self._connection:
            pass
        return made
