"""One check: events in, actions out, until nothing is left to ask."""

from __future__ import annotations

import random

from nat_traversal.check.asker import Asker
from nat_traversal.check.plan import next_questions
from nat_traversal.check.questions import (
    Action,
    Arrived,
    Event,
    Finished,
    Known,
    NotOpened,
    Opened,
    PortUnreachable,
    TcpTried,
    TimerFired,
    TooLong,
    TryTcp,
)
from nat_traversal.settings import CheckSettings


class Check:
    """Carry out the actions of `begin`, then feed `handle` events, and `TimerFired` at `deadline()`, until `Finished`.

    `known` has what is known at the start, and in the end what `judge.verdict` takes. `rng` must be a
    `random.SystemRandom` outside tests: who can foretell a transaction can forge an answer.
    """

    def __init__(
        self, known: Known, rng: random.Random, settings: CheckSettings | None = None
    ) -> None:
        self.known = known
        self._asker = Asker(known, settings or CheckSettings(), rng)
        self._asked_tcp = False
        self._is_over = False

    def begin(self, now: float) -> list[Action]:
        """The first questions."""
        return self._go_on(now)

    def deadline(self) -> float | None:
        """When `TimerFired` is wanted next, or None."""
        return None if self._is_over else self._asker.deadline()

    def handle(self, event: Event, now: float) -> list[Action]:
        """One event in, actions out, in the order in which to carry them out."""
        match event:
            case Opened(socket, endpoint):
                self.known.sockets[socket] = endpoint
            case NotOpened(socket, text):
                self.known.broken[socket] = text
                self._asker.give_up(socket)
            case Arrived():
                self._asker.arrived(event, now)
            case TooLong(socket, octets):
                self._asker.give_up(socket, octets)
            case PortUnreachable("mapping"):
                if self.known.refused and not self.known.heard:  # once more: it is no accident
                    self._asker.give_up("mapping")
                self.known.refused = True
            case TcpTried(outcome, echo):
                self.known.tcp, self.known.echo = outcome, echo
            case PortUnreachable() | TimerFired():
                pass
        return self._go_on(now)

    def _go_on(self, now: float) -> list[Action]:
        actions: list[Action] = []
        while not self._is_over:
            actions += self._asker.due(now)
            if self._asker.is_busy:
                break
            questions = next_questions(self.known)
            if questions:
                self._asker.ask(questions, now)
                continue
            actions += self._try_tcp()
            if self._asker.is_idle and not self._awaits_tcp:
                self._is_over = True
                actions.append(Finished())
            break
        return actions

    @property
    def _awaits_tcp(self) -> bool:
        return self._asked_tcp and self.known.tcp is None

    def _try_tcp(self) -> list[Action]:
        """Nothing came over UDP: is the server there at all?"""
        known = self.known
        is_silent = "mapping-1" in known.heard and known.heard["mapping-1"] is None
        if self._asked_tcp or not is_silent or known.server is None:
            return []
        self._asked_tcp = True
        return [TryTcp(known.server)]
