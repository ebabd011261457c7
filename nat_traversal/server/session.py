"""One pair of hosts at the server: the order of the steps, the rounds, the verdict."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum, auto

from nat_traversal.machine import events as e
from nat_traversal.machine.timers import Timers
from nat_traversal.machine.transitions import StateMachine
from nat_traversal.settings import ServerSettings
from nat_traversal.wire import TOKEN_BYTES
from nat_traversal.wire import messages as m
from nat_traversal.wire.control import MAX_COUNTER
from nat_traversal.wire.endpoint import Endpoint

ROUNDS = 2
"""Rounds in an attempt: the contract's order, then with A and B swapped."""


class SocketState(Enum):
    """What the server knows of a host's newest socket."""

    AWAITED = auto()  # its announce is to come
    FRESH = auto()  # announced, and no round has used it
    USED = auto()  # a round has, or the host has closed it: the next round needs another


@dataclass(slots=True)
class Member:
    """One host of a pair, as the server knows it."""

    id: str
    connection: e.ConnectionId
    generation: int
    """The newest socket; 0: the host is connected already and wants no attempt."""
    round_trip: float
    """Seconds from the last order to the answer that it has been obeyed."""
    socket: SocketState = field(init=False)
    established: bool = field(init=False)
    """The host has a path, as far as it has told."""
    mapped: Endpoint | None = None
    heard_at: float = 0.0
    """When the last message came."""

    def __post_init__(self) -> None:
        self.established = self.generation == 0
        self.socket = SocketState.USED if self.established else SocketState.AWAITED

    def announced(self, generation: int, mapped: Endpoint) -> bool:
        """An announce came. False if it is a late one of an older socket, and changes nothing."""
        if generation < self.generation or self.generation == 0:
            return False
        if generation > self.generation or self.socket is SocketState.AWAITED:
            self.socket = SocketState.FRESH
        self.generation, self.mapped = generation, mapped
        return True

    def inherit(self, before: Member | None) -> None:
        """The same process on its connection before: the announce of the socket that it registers
        with now may have been faster than this registration, and is not repeated soon."""
        if before is not None and before.mapped and before.generation == self.generation:
            self.announced(before.generation, before.mapped)

    def expect(self, generation: int) -> None:
        """The host has no path, and announces the socket `generation`: perhaps it already has."""
        self.established = False
        if generation != self.generation or self.socket is not SocketState.FRESH:
            self.generation, self.mapped, self.socket = generation, None, SocketState.AWAITED


class SessionState(Enum):
    """Named by what the server waits for."""

    GATHERING = auto()  # both announces
    CALLING = auto()  # A says that HELLO 1 is out
    OPENING = auto()  # B says that HELLO 2 is out
    ANSWERING = auto()  # both sides' proof, after the order of HELLO 3
    CONNECTED = auto()  # nothing: it works
    FAILED = auto()  # a host that asks for another attempt


class SessionTrigger(Enum):
    REUNITED = auto()
    GATHERED = auto()
    SENT = auto()
    PROVEN = auto()
    NEXT_ROUND = auto()
    FAIL = auto()
    AGAIN = auto()


_S, _T = SessionState, SessionTrigger
TABLE = {
    (_S.GATHERING, _T.REUNITED): _S.CONNECTED,
    (_S.GATHERING, _T.GATHERED): _S.CALLING,
    (_S.GATHERING, _T.FAIL): _S.FAILED,
    (_S.GATHERING, _T.AGAIN): _S.GATHERING,
    (_S.CALLING, _T.SENT): _S.OPENING,
    (_S.OPENING, _T.SENT): _S.ANSWERING,
    (_S.ANSWERING, _T.SENT): _S.ANSWERING,
    (_S.ANSWERING, _T.PROVEN): _S.CONNECTED,
    (_S.ANSWERING, _T.NEXT_ROUND): _S.GATHERING,
    (_S.CALLING, _T.FAIL): _S.FAILED,
    (_S.OPENING, _T.FAIL): _S.FAILED,
    (_S.ANSWERING, _T.FAIL): _S.FAILED,
    (_S.CALLING, _T.AGAIN): _S.GATHERING,
    (_S.OPENING, _T.AGAIN): _S.GATHERING,
    (_S.ANSWERING, _T.AGAIN): _S.GATHERING,
    (_S.CONNECTED, _T.AGAIN): _S.GATHERING,
    (_S.FAILED, _T.AGAIN): _S.GATHERING,
}
_ORDER_OF_STATE = {
    _S.CALLING: (m.Role.A, 1),
    _S.OPENING: (m.Role.B, 2),
    _S.ANSWERING: (m.Role.A, 3),
}


class Session:
    """Drives two registered hosts. The one whose id sorts first is A in round 1.

    Sets one timer in `timers`, under the name `self`. Takes attempt numbers from `attempts`, which
    all sessions share: a late report of an earlier session must not fit this one.
    """

    def __init__(
        self,
        members: tuple[Member, Member],
        attempts: Iterator[int],
        timers: Timers,
        rng: random.Random,
        settings: ServerSettings,
    ) -> None:
        self.members: tuple[Member, Member] = (
            min(members, key=lambda member: member.id),
            max(members, key=lambda member: member.id),
        )
        self._timers = timers
        self._rng = rng
        self._settings = settings
        self._machine = StateMachine(
            " and ".join(member.id for member in self.members), _S.GATHERING, TABLE
        )
        self._attempts = attempts
        self._attempt = 0
        self._round = 0
        self._transaction = 0
        self._deadline = 0.0
        """When the present state ends at the latest; in a gathering the timer fires earlier once."""
        self._asked_at: float | None = None
        self._ordered_at = 0.0
        self._opened_at = 0.0
        self._is_acknowledged = False

    @property
    def state(self) -> SessionState:
        return self._machine.state

    def begin(self, now: float) -> Iterator[e.Action]:
        """Both hosts have just become present. If both still have their path, that is all."""
        if all(member.established for member in self.members):
            self._machine.fire(_T.REUNITED)
        else:
            yield from self._new_attempt(now)

    def retry(self, member: Member, generation: int, now: float) -> Iterator[e.Action]:
        """`member` has no path and is announcing the fresh socket `generation`."""
        if generation == member.generation and member.socket is SocketState.USED:
            return  # the announce came first, and a round has begun with that socket
        member.expect(generation)
        if self.state is not _S.GATHERING:
            yield from self._new_attempt(now)

    def gathered_more(self, now: float) -> Iterator[e.Action]:
        """A member's socket was seen: begin the round if that was the last thing missing."""
        if self.state is not _S.GATHERING:
            return
        if any(member.socket is not SocketState.FRESH for member in self.members):
            return
        self._round += 1
        self._machine.fire(_T.GATHERED)
        token = self._rng.randbytes(TOKEN_BYTES)
        for member, other, role in self._by_role():
            member.socket, member.established = SocketState.USED, False
            assert other.mapped is not None
            candidates = (m.Candidate("srflx", other.mapped),)
            yield e.SendMessage(
                m.StartRound(self._attempt, self._round, role, token, candidates),
                member.connection,
            )
        yield self._order(now)

    def hello_sent(self, member: Member, transaction: int, now: float) -> Iterator[e.Action]:
        """`member` obeyed the order `transaction`: give the next one.

        For the order of HELLO 3 it may say so twice: HELLO 2 has reached it only now.
        """
        if self.state not in _ORDER_OF_STATE or transaction != self._transaction:
            return
        if member is not self._in_role(_ORDER_OF_STATE[self.state][0]):
            return
        if self._is_acknowledged:
            self._prolong(now)
            return
        self._is_acknowledged = True
        member.round_trip = now - self._ordered_at
        is_last = self.state is _S.ANSWERING
        self._machine.fire(_T.SENT)
        if not is_last:
            yield self._order(now)

    def established(
        self, member: Member, attempt: int, round_: int, now: float
    ) -> Iterator[e.Action]:
        """`member` has proof. A report about another round is late, and ignored."""
        if (attempt, round_) != (self._attempt, self._round) or self.state not in _ORDER_OF_STATE:
            return
        member.established = True
        if self._machine.allows(_T.PROVEN) and all(each.established for each in self.members):
            self._machine.fire(_T.PROVEN)
            self._timers.cancel(self)
            first, second = self.members
            yield e.Tell(e.PairConnected(first.id, second.id, attempt, round_))
        elif self.state is _S.ANSWERING:
            self._prolong(now)

    def timed_out(self, now: float) -> Iterator[e.Action]:
        """The timer is due: the swapped round, or the end of the attempt."""
        if self.state is _S.GATHERING and self._asked_at is None:
            self._asked_at = now
            self._timers.set(self, self._deadline)
            for member in self._not_seen():
                question = m.Heartbeat(self._next_transaction())
                yield e.SendMessage(question, member.connection)
        elif self.state is _S.GATHERING:
            yield from self._fail(*self._not_gathered())
        elif self.state in (_S.CALLING, _S.OPENING):
            role, step = _ORDER_OF_STATE[self.state]
            silent = self._in_role(role).id
            yield from self._fail(
                m.Verdict.PEER_SILENT, f"{silent} did not obey the order to send HELLO {step}"
            )
        elif self._round < ROUNDS:
            self._machine.fire(_T.NEXT_ROUND)
            yield from self._gather(now)
        else:
            yield from self._fail(*self._no_path())

    def member_left(self) -> None:
        """The session is over."""
        self._timers.cancel(self)

    def _new_attempt(self, now: float) -> Iterator[e.Action]:
        self._machine.fire(_T.AGAIN)
        self._attempt = next(self._attempts)
        self._round = 0
        yield from self._gather(now)

    def _gather(self, now: float) -> Iterator[e.Action]:
        """Step 1: both need a socket that no round has used."""
        way = 0.0
        for member in self.members:
            if member.socket is SocketState.USED:
                member.expect(member.generation % MAX_COUNTER + 1)
                way = max(way, member.round_trip)
                yield e.SendMessage(m.OpenSocket(member.generation), member.connection)
        self._deadline = now + self._settings.gather_within + way
        self._asked_at = None
        self._timers.set(self, now + self._settings.ask_after)
        yield from self.gathered_more(now)

    def _order(self, now: float) -> e.Action:
        role, step = _ORDER_OF_STATE[self.state]
        member = self._in_role(role)
        if step == 2:
            self._opened_at = now
        if step == 3:
            self._deadline = (
                now + self._settings.verdict_within + sum(each.round_trip for each in self.members)
            )
        else:
            self._deadline = now + self._settings.step_within + member.round_trip
        self._timers.set(self, self._deadline)
        self._ordered_at, self._is_acknowledged = now, False
        order = m.SendHello(self._next_transaction(), self._attempt, self._round, step)
        return e.SendMessage(order, member.connection)

    def _prolong(self, now: float) -> None:
        """A sign that HELLOs arrive. What led to it took half of a round trip between the hosts at
        least, and what is still to come takes one at most."""
        wanted = now + self._settings.verdict_within + 2 * (now - self._opened_at)
        most = self._opened_at + self._settings.verdict_most
        self._deadline = max(self._deadline, min(wanted, most))
        self._timers.set(self, self._deadline)

    def _next_transaction(self) -> int:
        self._transaction = self._transaction % MAX_COUNTER + 1
        return self._transaction

    def _fail(self, code: m.Verdict, text: str) -> Iterator[e.Action]:
        self._machine.fire(_T.FAIL)
        for member in self.members:
            member.socket, member.established = SocketState.USED, False
            yield e.SendMessage(m.Failed(self._attempt, code, text), member.connection)
        first, second = self.members
        yield e.Tell(e.PairFailed(first.id, second.id, self._attempt, code, text))

    def _not_seen(self) -> list[Member]:
        return [member for member in self.members if member.socket is not SocketState.FRESH]

    def _not_gathered(self) -> tuple[m.Verdict, str]:
        asked_at = self._asked_at or 0.0
        mute = [member.id for member in self._not_seen() if member.heard_at < asked_at]
        if mute:
            return (
                m.Verdict.PEER_SILENT,
                f"{' and '.join(mute)} answered the server neither over TCP nor UDP",
            )
        silent = " and ".join(member.id for member in self._not_seen())
        return (
            m.Verdict.UDP_BLOCKED,
            f"no UDP packet from {silent} reached the server: UDP to its port must not be blocked",
        )

    def _no_path(self) -> tuple[m.Verdict, str]:
        first, second = self.members
        text = (
            f"no HELLO got through between {first.id} ({first.mapped}) and {second.id} "
            f"({second.mapped}), with either side first: their NATs forbid a direct path. So it "
            "is when one gives every destination a port of its own (symmetric) and the other "
            "filters by port; a port forwarding or a more open NAT on one side helps"
        )
        return m.Verdict.NO_PATH, text

    def _by_role(self) -> Iterator[tuple[Member, Member, m.Role]]:
        a, b = self._in_role(m.Role.A), self._in_role(m.Role.B)
        yield a, b, m.Role.A
        yield b, a, m.Role.B

    def _in_role(self, role: m.Role) -> Member:
        first, second = self.members
        swapped = self._round % 2 == 0
        return first if (role is m.Role.A) != swapped else second
