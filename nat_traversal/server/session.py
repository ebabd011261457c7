"""One pair of hosts at the server: its members, when an attempt begins, what its end means."""

from __future__ import annotations

import random
from collections.abc import Iterator
from enum import Enum, auto

from nat_traversal.machine import actions as do
from nat_traversal.machine import notices as note
from nat_traversal.machine.timers import Timers
from nat_traversal.machine.transitions import StateMachine
from nat_traversal.server.attempts import AttemptBudgets
from nat_traversal.server.member import Member, SocketState
from nat_traversal.server.methods.ladder import Ladder
from nat_traversal.server.methods.method import Attempt, MakeMethod, Method, NoPath, Proven
from nat_traversal.server.methods.openers import opener_by_address
from nat_traversal.server.relaying import Relaying
from nat_traversal.settings import ServerSettings
from nat_traversal.wire import messages as m
from nat_traversal.wire.control import MAX_COUNTER
from nat_traversal.wire.methods import MethodName


class SessionState(Enum):
    """Named by what the pair has."""

    IDLE = auto()  # neither a path nor an attempt: at first, and after a failed one
    WAITING = auto()  # an attempt that begins once its budgets allow it
    ATTEMPTING = auto()  # an attempt
    CONNECTED = auto()  # a path


class SessionTrigger(Enum):
    """The events of a pair."""

    REUNITED = auto()
    DEFER = auto()
    ATTEMPT = auto()
    PROVEN = auto()
    FAIL = auto()


_S, _T = SessionState, SessionTrigger
TABLE = {
    (_S.IDLE, _T.REUNITED): _S.CONNECTED,
    (_S.IDLE, _T.DEFER): _S.WAITING,
    (_S.IDLE, _T.ATTEMPT): _S.ATTEMPTING,
    (_S.WAITING, _T.ATTEMPT): _S.ATTEMPTING,
    (_S.ATTEMPTING, _T.DEFER): _S.WAITING,
    (_S.ATTEMPTING, _T.ATTEMPT): _S.ATTEMPTING,
    (_S.ATTEMPTING, _T.PROVEN): _S.CONNECTED,
    (_S.ATTEMPTING, _T.FAIL): _S.IDLE,
    (_S.CONNECTED, _T.DEFER): _S.WAITING,
    (_S.CONNECTED, _T.ATTEMPT): _S.ATTEMPTING,
}


class Session:
    """Two registered hosts that want each other.

    Sets one timer in `timers`, under the name `self`. Takes attempt numbers from `attempts`, which
    all sessions share: a late report of an earlier session must not fit this one. `make_method`
    makes what drives each attempt. `relaying` serves the pair while it has no path.
    """

    def __init__(
        self,
        members: tuple[Member, Member],
        *,
        attempts: Iterator[int],
        timers: Timers,
        rng: random.Random,
        settings: ServerSettings,
        budgets: AttemptBudgets,
        make_method: MakeMethod = Ladder,
        relaying: Relaying | None = None,
    ) -> None:
        first, second = sorted(members, key=lambda member: member.id)
        self.members: tuple[Member, Member] = (first, second)
        self._attempts = attempts
        self._timers = timers
        self._rng = rng
        self._settings = settings
        self._budgets = budgets
        self._make_method = make_method
        self._relaying = relaying
        self._machine = StateMachine(f"{first.id} and {second.id}", _S.IDLE, TABLE)
        self._transactions = numbers()
        self._attempt = 0
        self._method: Method | None = None
        """The attempt that goes on."""
        self._armed_for: float | None = None

    @property
    def state(self) -> SessionState:
        return self._machine.state

    def peer_of(self, member: Member) -> Member:
        """The other member."""
        first, second = self.members
        return second if member is first else first

    def begin(self, now: float) -> list[do.Action]:
        """Both hosts have just become present. If both still have their path, that is all."""
        if all(member.established for member in self.members):
            self._machine.fire(_T.REUNITED)
            return []
        return self._new_attempt(now)

    def socket_shown(self, now: float) -> list[do.Action]:
        """The server has seen a member's socket."""
        if self._method is None:
            return []
        return self._settled(self._method.socket_shown(now), now)

    def validated(self, member: Member, address: str) -> list[do.Action]:
        """`member` has shown that it receives at `address`. Its peer learns that now, if the round has begun."""
        if self._method is None or member.socket is not SocketState.USED:
            return []
        return [do.SendMessage(m.Validated(address), self.peer_of(member).connection)]

    def added(self, member: Member, candidate: m.Candidate) -> list[do.Action]:
        """`member` may be reached there as well. Its peer learns that now, if the round has begun."""
        if self._method is None or member.socket is not SocketState.USED:
            return []
        added = m.AddedCandidates(self._attempt, self._method.round, (candidate,))
        return [do.SendMessage(added, self.peer_of(member).connection)]

    def message_arrived(self, member: Member, message: m.Message, now: float) -> list[do.Action]:
        """`member` has said something about its path."""
        match message:
            case m.Retry(generation, public):
                return self._retry(member, generation, public, now)
            case m.RelayReady(relay, public) if self._relaying is not None:
                return self._relaying.ready(member, relay, public, now)
            case m.TurnAddress() if self._relaying is not None:
                return self._relaying.turned(member, message)
            case m.SocketOpened(generation, public):
                member.opened(generation, public)
                return self.socket_shown(now)
            case m.HostAddresses(generation, candidates, port):
                member.told_hosts(generation, candidates)
                member.told_port(generation, port)
                return self.socket_shown(now)
            case m.NatTold():
                member.nat = message
                return self._guess_due()
            case m.SparePort(generation, port):
                member.spare = (generation, port)
                return self.socket_shown(now)
            case _ if self._method is not None:
                return self._settled(self._method.message_arrived(member, message, now), now)
        return []

    def timed_out(self, now: float) -> list[do.Action]:
        """The timer is due."""
        self._armed_for = None
        if self._method is None:
            assert self.state is _S.WAITING, "a timer is set for an attempt only"
            return self._attempt_begins(now)
        return self._settled(self._method.timed_out(now), now)

    def member_left(self) -> None:
        """The session is over."""
        self._method = None
        self._arm(None)
        if self._relaying is not None:
            self._relaying.over()

    def _guess_due(self) -> list[do.Action]:
        """A pair that had no chance may have one now: it need not wait for its next attempt."""
        both = all(MethodName.BIRTHDAY in each.methods for each in self.members)
        if not both or self.state is not _S.IDLE or opener_by_address(self.members) is None:
            return []
        return [do.SendMessage(m.GuessLater(0.0), each.connection) for each in self.members]

    def _retry(self, member: Member, generation: int, public: bytes, now: float) -> list[do.Action]:
        """`member` has no path and is announcing the fresh socket `generation`."""
        if generation == member.told and member.socket is SocketState.USED:
            return []  # its key has been given out: no second round is due to it
        member.opened(generation, public)
        member.expect(generation)
        if self._method is not None and self._method.is_gathering:
            return self.socket_shown(now)
        return self._new_attempt(now)

    def _new_attempt(self, now: float) -> list[do.Action]:
        if self.state is _S.WAITING:
            return []
        first, second = self.members
        sources = frozenset(each.source for each in self.members if each.source)
        wait = self._budgets.reserve((first.id, second.id), sources, now)
        relayed: list[do.Action] = []
        if self._relaying is not None:
            was_connected = self.state is _S.CONNECTED
            relayed = self._relaying.attempt_began(now, was_connected=was_connected)
        if not wait:
            return self._attempt_begins(now) + relayed
        self._machine.fire(_T.DEFER)
        self._method = None
        self._arm(now + wait)
        return relayed

    def _attempt_begins(self, now: float) -> list[do.Action]:
        self._machine.fire(_T.ATTEMPT)
        self._attempt = next(self._attempts)
        given = self.members, self._transactions, self._rng, self._settings
        attempt = Attempt(self._attempt, *given, grants=self._budgets.grants)
        self._method = self._make_method(attempt)
        return self._settled(self._method.begin(now), now)

    def _settled(self, actions: list[do.Action], now: float) -> list[do.Action]:
        """`actions` of the method, and those that follow if the attempt has ended with them."""
        assert self._method is not None
        outcome = self._method.outcome
        if outcome is None:
            self._arm(self._method.deadline)
            return actions
        name, self._method = self._method.name, None
        self._arm(None)
        match outcome:
            case Proven(round_):
                self._budgets.ended(name, "connected")
                return [*actions, *self._connected(round_)]
            case NoPath() as no_path:
                self._budgets.ended(name, no_path.verdict)
                return [*actions, *self._failed(no_path, now)]

    def _connected(self, round_: int) -> list[do.Action]:
        self._machine.fire(_T.PROVEN)
        if self._relaying is not None:
            self._relaying.connected()
        first, second = self.members
        return [
            do.Tell(note.PairConnected(first.id, second.id, self._attempt, round_, first.source))
        ]

    def _failed(self, no_path: NoPath, now: float) -> list[do.Action]:
        verdict, text = no_path.verdict, no_path.text
        self._machine.fire(_T.FAIL)
        actions: list[do.Action] = []
        if self._relaying is not None:
            # Before the verdict, so that a client knows whether it will have a path all the same.
            actions += self._relaying.attempt_failed(verdict, now)
        for member in self.members:
            member.socket, member.established = SocketState.USED, False
            failed = m.Failed(self._attempt, verdict, text, no_path.is_lasting)
            actions.append(do.SendMessage(failed, member.connection))
        first, second = self.members
        return [
            *actions,
            do.Tell(
                note.PairFailed(first.id, second.id, self._attempt, verdict, text, first.source)
            ),
        ]

    def _arm(self, deadline: float | None) -> None:
        if deadline == self._armed_for:
            return
        self._armed_for = deadline
        if deadline is None:
            self._timers.cancel(self)
        else:
            self._timers.set(self, deadline)


class _Numbers(Iterator[int]):
    """An iterator that can be copied, as a generator cannot."""

    def __init__(self, last: int) -> None:
        self._last = last

    def __next__(self) -> int:
        self._last = self._last % MAX_COUNTER + 1
        return self._last


def numbers(last: int = 0) -> Iterator[int]:
    """The number after `last`, up to the largest that a message can carry, then 1 again."""
    return _Numbers(last)
