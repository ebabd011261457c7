"""Steps 2 and 3 at a client: show one UDP socket to the server, and keep its mapping while waiting."""

from __future__ import annotations

from nat_traversal.crypto.proof import is_signed, signed
from nat_traversal.machine import actions as do
from nat_traversal.machine import notices as note
from nat_traversal.machine.sockets import UdpSocket
from nat_traversal.settings import ClientSettings
from nat_traversal.wire.datagrams import (
    MAX_ANNOUNCE,
    Announce,
    Announced,
    Echo,
    handle_of,
)
from nat_traversal.wire.endpoint import Endpoint
from nat_traversal.wire.octets import NONCE_BYTES
from nat_traversal.wire.samples import Sample

KEPT_NUMBERS = 4
"""The newest announces whose answer counts."""
JUST_BEHIND = 0.02
"""Seconds after `registered` in which the answer to an earlier announce may still come. The server loses some
announces that overtake their registration: it keeps a limited number."""
_NO_QUESTION = bytes(NONCE_BYTES)


class AnnounceKey:
    """The secret that the client registers with, 32 octets, and the numbers of all its announces."""

    def __init__(self, key: bytes) -> None:
        self.key = key
        self.handle = handle_of(key)
        self._number = 0

    @property
    def number(self) -> int:
        """Of the last announce; 0 before the first."""
        return self._number

    def announce(self, generation: int) -> Announce:
        """The next announce, of the socket `generation`."""
        self._number = self._number % MAX_ANNOUNCE + 1
        return signed(Announce(self.handle, self._number, generation), self.key)

    def sample(self, generation: int) -> Sample:
        """Shows the port of a socket that is for nothing else."""
        self._number = self._number % MAX_ANNOUNCE + 1
        return signed(Sample(self.handle, self._number, generation), self.key)

    def echo(self, answer: Announced) -> Echo:
        """The word that shows the server that `answer` has arrived."""
        return signed(Echo(self.handle, answer.number, answer.nonce), self.key)

    def __repr__(self) -> str:
        return f"AnnounceKey(handle={self.handle.hex()})"


class Announcer:
    """Announces `socket` from `announce` until `stop`, again at each `deadline`.

    It answers the server's question whether it receives where it seems to be.
    """

    def __init__(self, key: AnnounceKey, socket: UdpSocket, settings: ClientSettings) -> None:
        self.deadline: float | None = None
        self._key = key
        self._socket = socket
        self._settings = settings
        self._numbers: list[int] = []
        self._pause = settings.announce_first
        self._silent_since: float | None = None
        self.mapped: Endpoint | None = None
        """Where the server saw this socket last."""
        self.obstacle = ""
        """Why the socket could not be opened; empty: it is open. The next announce opens it first."""
        self._unsent = ""
        """Why the last announce did not leave this host; empty: it did, as far as is known."""
        self._is_validated = False
        """The server asks no more whether this socket receives there."""
        self._in_round = False

    def announce(self, now: float) -> list[do.Action]:
        """The next announce. Until it is answered, the next follows after a doubled pause."""
        opening = [self._socket.open()] if self.obstacle else []
        self.obstacle = self._unsent = ""
        announce = self._key.announce(self._socket.generation)
        self._numbers = [*self._numbers[1 - KEPT_NUMBERS :], announce.number]
        self.deadline = now + self._pause
        self._pause = min(self._settings.announce_most, 2 * self._pause)
        if self._silent_since is None:
            self._silent_since = now
        return [*opening, self._socket.send(announce, None)]

    def samples(self, count: int) -> list[do.Action]:
        """Show the server the next ports that this host's NAT gives, each by a socket that is closed at once."""
        actions: list[do.Action] = []
        for socket in self._socket.further(count):
            sample = self._key.sample(self._socket.generation)
            actions += [socket.open(), socket.send(sample, None), socket.close()]
        return actions

    def not_opened(self, reason: str, now: float) -> None:
        """There is no socket: try again soon, with an announce."""
        self.obstacle = reason
        self._silent_since, self._pause = None, self._settings.announce_first
        self.deadline = now + self._settings.socket_again

    def not_sent(self, reason: str) -> None:
        """The last announce did not leave this host. Another follows anyway."""
        self._unsent = reason

    def is_unanswered(self, now: float) -> bool:
        """No announce of this socket has been answered, though the first pause for that is over."""
        since = self._silent_since
        waited = since is not None and now - since >= self._settings.announce_first
        return self.mapped is None and waited

    def answered(self, answer: Announced, now: float) -> list[do.Action]:
        """An answer came: an authentic one to one of the last announces, or it is ignored."""
        if answer.number not in self._numbers or not is_signed(answer, self._key.key):
            return []
        self._numbers.remove(answer.number)
        self._is_validated = answer.nonce == _NO_QUESTION
        echo = [] if self._is_validated else [self._socket.send(self._key.echo(answer), None)]
        if self.deadline is not None:  # the order to start may have overtaken the answer
            self._silent_since = None
            self._pause = self._settings.announce_first
            self.deadline = self._after_answer(now)
        if answer.mapped == self.mapped:
            return echo
        self.mapped = answer.mapped
        return [*echo, do.Tell(note.MappingLearned(answer.mapped, self._socket.generation))]

    def due(self, now: float, *, server_answers: bool) -> list[do.Action]:
        """The deadline has come. `server_answers`: it does over TCP, so that UDP is to blame."""
        told: list[do.Action] = []
        silence = 0.0 if self._silent_since is None else now - self._silent_since
        if silence >= self._settings.udp_silence and server_answers:
            told = [do.Tell(note.AnnounceUnanswered(silence, self._unsent))]
            self._silent_since = now
        return told + self.announce(now)

    def registered(self, now: float) -> None:
        """The server knows the key now: what nothing has answered is said again."""
        if self.mapped is None and self.deadline is not None and not self.obstacle:
            self.deadline = min(self.deadline, now + JUST_BEHIND)

    def round_begins(self, now: float) -> None:
        """A round begins with this socket: from now on it announces only until its address is validated."""
        self._in_round = True
        self.deadline = self._after_answer(now)

    def stop(self) -> None:
        """No more announces."""
        self.deadline = None

    def _after_answer(self, now: float) -> float | None:
        """When to announce next, as far as is known. The echo may be lost, and nothing acknowledges it."""
        if not self._in_round:
            return now + self._settings.announce_keepalive
        return None if self._is_validated else now + self._settings.announce_first
