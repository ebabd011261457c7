"""Steps 2 and 3 at a client: show one UDP socket to the server, and keep its mapping while waiting."""

from __future__ import annotations

import random

from nat_traversal.machine import events as e
from nat_traversal.machine.sockets import UdpSocket
from nat_traversal.settings import ClientSettings
from nat_traversal.wire import TRANSACTION_BYTES
from nat_traversal.wire.datagrams import Announce, Announced
from nat_traversal.wire.endpoint import Endpoint


class Announcer:
    """Announces `socket` from `announce` until `stop`, again at each `deadline`.

    `token` is the secret that the client registered with.
    """

    def __init__(
        self, token: bytes, socket: UdpSocket, settings: ClientSettings, rng: random.Random
    ) -> None:
        self.deadline: float | None = None
        self._token = token
        self._socket = socket
        self._settings = settings
        self._rng = rng
        self._transactions: list[bytes] = []
        self._pause = settings.announce_first
        self._silent_since: float | None = None
        self.mapped: Endpoint | None = None
        """Where the server saw this socket last."""

    def announce(self, now: float) -> list[e.Action]:
        """The next announce. Until it is answered, the next follows after a doubled pause."""
        transaction = self._rng.randbytes(TRANSACTION_BYTES)
        self._transactions = [*self._transactions[-3:], transaction]
        self.deadline = now + self._pause
        self._pause = min(self._settings.announce_most, 2 * self._pause)
        if self._silent_since is None:
            self._silent_since = now
        announce = Announce(self._token, transaction, self._socket.generation)
        return [self._socket.send(announce, None)]

    def answered(self, answer: Announced, now: float) -> list[e.Action]:
        """An answer came: to one of the last announces, or it is ignored."""
        if answer.transaction not in self._transactions:
            return []
        self._transactions.remove(answer.transaction)
        if self.deadline is not None:  # the order to start may have overtaken the answer
            self._silent_since = None
            self._pause = self._settings.announce_first
            self.deadline = now + self._settings.announce_keepalive
        if answer.mapped == self.mapped:
            return []
        self.mapped = answer.mapped
        return [e.Tell(e.MappingLearned(answer.mapped, self._socket.generation))]

    def due(self, now: float, *, server_answers: bool) -> list[e.Action]:
        """The deadline has come. `server_answers`: it does over TCP, so that UDP is to blame."""
        told: list[e.Action] = []
        silence = 0.0 if self._silent_since is None else now - self._silent_since
        if silence >= self._settings.udp_silence and server_answers:
            told = [e.Tell(e.AnnounceUnanswered(silence))]
            self._silent_since = now
        return told + self.announce(now)

    def stop(self) -> None:
        """The round has begun: no more announces."""
        self.deadline = None
