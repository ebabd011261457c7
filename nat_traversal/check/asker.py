"""Asks questions until each is heard or given up: tries, pace, and the matching of answers."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from nat_traversal.check.questions import Action, Arrived, Heard, Known, Open, Question, Send
from nat_traversal.errors import WireError
from nat_traversal.settings import CheckSettings
from nat_traversal.wire import port_mapping, stun_client

_WINDOW = 1.0
"""Seconds in which at most `rate` requests go to servers."""


@dataclass(slots=True)
class _Asking:
    """One question that is not settled."""

    question: Question
    left: int
    due_at: float = 0.0


class Asker:
    """Writes what it hears into `known.heard`, None for what it gives up."""

    def __init__(self, known: Known, settings: CheckSettings, rng: random.Random) -> None:
        self._known = known
        self._settings = settings
        self._rng = rng
        self._asking: dict[str, _Asking] = {}
        self._sent: dict[bytes, tuple[Question, float]] = {}
        """Every request by its transaction: an answer that comes late counts as well."""
        self._paced: deque[float] = deque()
        self._opened: set[str] = set()
        self._round_trip: float | None = None

    @property
    def is_busy(self) -> bool:
        """Something is asked that the plan waits for."""
        return any(not each.question.is_aside for each in self._asking.values())

    @property
    def is_idle(self) -> bool:
        """Nothing is asked any more."""
        return not self._asking

    def ask(self, questions: Iterable[Question], now: float) -> None:
        """Begin to ask. `due` sends."""
        for each in questions:
            tries = each.tries or self._settings.tries
            self._known.asked.add(each.name)
            self._asking[each.name] = _Asking(each, tries, now)

    def due(self, now: float) -> list[Action]:
        """Send what is due at `now`, and give up what has no tries left."""
        actions: list[Action] = []
        for name, asking in list(self._asking.items()):
            if self._due_at(asking) > now:
                continue
            if not asking.left:
                self._settle(name, None)
                continue
            actions += self._send(asking, now)
        return actions

    def deadline(self) -> float | None:
        """When to call `due` next."""
        times = (self._due_at(each) for each in self._asking.values())
        return min((time for time in times if time < _NEVER), default=None)

    def arrived(self, event: Arrived, now: float) -> None:
        """One datagram. Nobody can forge an answer to STUN who does not see the question."""
        protocol = self._protocol_at(event.socket)
        if protocol is not None:
            name = str(protocol)
            if port_mapping.is_answered(protocol, event.octets) and name in self._asking:
                self._settle(name, Heard(event.socket, event.source, now, 0.0))
            return
        try:
            transaction = stun_client.transaction_of(event.octets)
        except WireError:
            return
        question, sent_at = self._sent.get(transaction, (None, 0.0))
        if question is None or self._known.heard.get(question.name) is not None:
            return
        if stun_client.is_request(event.octets):  # it came back: hairpinned
            heard = Heard(event.socket, event.source, now, now - sent_at)
        else:
            try:
                said = stun_client.decode(event.octets)
            except WireError:
                return
            heard = Heard(
                event.socket, event.source, now, now - sent_at, said.mapped, said.other, said.error
            )
            self._round_trip = min(heard.round_trip, self._round_trip or heard.round_trip)
        self._settle(question.name, heard)

    def give_up(self, socket: str, octets: int = 0) -> None:
        """Nothing can be asked from that socket; with `octets`, nothing of that length and more."""
        for name, asking in list(self._asking.items()):
            question = asking.question
            if question.socket == socket and question.octets >= octets:
                self._settle(name, None)

    def _send(self, asking: _Asking, now: float) -> list[Action]:
        question = asking.question
        actions: list[Action] = []
        if question.socket not in self._opened:
            self._opened.add(question.socket)
            actions.append(Open(question.socket, question.to.family, not question.octets))
        asking.left -= 1
        asking.due_at = now + self._pause(asking)
        if question.is_paced:
            self._paced.append(now)
        return [*actions, Send(question.socket, self._octets(question, now), question.to)]

    def _octets(self, question: Question, now: float) -> bytes:
        if question.protocol is not None:
            return port_mapping.question(question.protocol, self._known.inside)
        transaction = self._rng.randbytes(stun_client.TRANSACTION_OCTETS)
        self._sent[transaction] = (question, now)
        return stun_client.request(
            transaction,
            change_address=question.change_address,
            change_port=question.change_port,
            response_port=question.response_port,
            octets=question.octets,
        )

    def _pause(self, asking: _Asking) -> float:
        settings = self._settings
        if self._round_trip is None or asking.question.protocol is not None:
            return settings.first_interval
        return max(settings.interval, (1.5 if asking.left else 2.0) * self._round_trip)

    def _due_at(self, asking: _Asking) -> float:
        question = asking.question
        due_at = asking.due_at
        if question.after:
            if question.after not in self._known.heard:
                return _NEVER
            before = self._known.heard[question.after]
            if before is not None:
                due_at = max(due_at, before.when + question.wait)
        if question.is_paced and asking.left:
            while len(self._paced) > self._settings.rate:
                self._paced.popleft()
            if len(self._paced) >= self._settings.rate:
                due_at = max(due_at, self._paced[0] + _WINDOW)
        return due_at

    def _settle(self, name: str, heard: Heard | None) -> None:
        self._asking.pop(name, None)
        self._known.heard[name] = heard

    def _protocol_at(self, socket: str) -> port_mapping.MappingProtocol | None:
        known = {str(each): each for each in port_mapping.MappingProtocol}
        return known.get(socket)


_NEVER = float("inf")
