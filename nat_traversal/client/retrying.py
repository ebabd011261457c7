"""When the next attempt begins after one that failed, and what is told of that one."""

from __future__ import annotations

import random

from nat_traversal.client.restraint import Restraint
from nat_traversal.machine import actions as do
from nat_traversal.machine import notices as note
from nat_traversal.machine.timers import Backoff, Timers
from nat_traversal.settings import ClientSettings

RETRY = "retry"
"""The timer's name."""


class Retrying:
    """The pauses between the attempts for `peer`, whose timer ``(peer, "retry")`` it owns."""

    def __init__(
        self,
        peer: str,
        settings: ClientSettings,
        *,
        restraint: Restraint,
        timers: Timers,
        rng: random.Random,
    ) -> None:
        self._timer = peer, RETRY
        self._restraint, self._timers = restraint, timers
        self._pauses = Backoff(rng, settings.retry_first, settings.retry_most)
        self.failure: tuple[str, str] | None = None
        """Why the newest attempt failed, as code and text, where another way was left."""

    def proven(self, now: float) -> None:
        """A path stands: what failed before counts no more."""
        self._pauses.reset()
        self.failure = None
        self._restraint.reset(now)

    def woke(self, now: float) -> None:
        """This host has slept: a pause between two attempts ends at once."""
        self._pauses.reset()
        self._restraint.reset(now)
        self._put_off(now)

    def guesses_later(self, wait: float, now: float) -> list[do.Action]:
        """Ports may be guessed in `wait` seconds, says the server: the next attempt waits for that."""
        self._put_off(now + wait)
        return self._restraint.guesses_later(wait, now)

    def begins(self) -> None:
        """An attempt begins, or none will."""
        self._timers.cancel(self._timer)

    def failed(self, code: str, text: str, now: float, *, has_other: bool) -> do.Action:
        """An attempt has failed, so: another follows after a pause. `has_other`: programs' datagrams go another way."""
        pause = self._restraint.pause(self._pauses.next(), now)
        self._timers.set(self._timer, now + pause)
        self.failure = (code, text) if has_other else self.failure
        kind = note.NotDirect if has_other else note.AttemptFailed
        return do.Tell(kind(code, text, pause))

    def _put_off(self, until: float) -> None:
        if self._timers.is_set(self._timer):
            self._timers.set(self._timer, until)
