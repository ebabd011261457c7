"""The method `birthday` at the server: one host opens many sockets, the other one probes many ports, until two meet.

The host behind the NAT that gives ports at random is the opener, role B. The other, whose NAT keeps ports, is the prober,
role A. Nothing begins before both have agreed, each with a MAC under the round's key. Then the first two orders of the
contract take many words each: the prober's probes, the opener's sockets. So sockets follow probes, as a prober's
order-sensitive NAT needs it. Where neither NAT keeps ports, `openers` tells the opener, and probes follow sockets.
"""

from __future__ import annotations

from enum import Enum, auto

from nat_traversal.machine import actions as do
from nat_traversal.server.member import Member
from nat_traversal.server.methods.gathering import Aim
from nat_traversal.server.methods.method import Attempt, NoPath
from nat_traversal.server.methods.openers import opener_by_address
from nat_traversal.server.methods.staged import Staged
from nat_traversal.wire import guessing
from nat_traversal.wire import messages as m
from nat_traversal.wire.methods import MethodName

READY_WITHIN = 1.0
"""Seconds for the echoes and the sockets' own ports, once both sockets were seen; what is needed is there in two round
trips."""
LOOK_EVERY = 0.05
"""Seconds between two looks at whether they have come."""
AGREE_WITHIN = 2.0
"""Above both round trips."""
SLOW = 1.5
"""Times the usual that a busy host may take for its words."""
PROOF_WITHIN = 1.0
"""Above both round trips, after the last word."""


class BirthdayState(Enum):
    """Named by what the server waits for."""

    GATHERING = auto()  # both sockets, their own ports, their echoes
    AGREEING = auto()  # both hosts' word that they take part
    FIRST = auto()  # the word of the host that speaks first: all is said
    SECOND = auto()  # the same of the other one
    PROVING = auto()  # both sides' proof
    OVER = auto()


class BirthdayTrigger(Enum):
    """The events of the round."""

    GATHERED = auto()
    AGREED = auto()
    SENT = auto()
    HEARD = auto()
    PROVEN = auto()
    FAIL = auto()


_S, _T = BirthdayState, BirthdayTrigger
TABLE = {
    (_S.GATHERING, _T.GATHERED): _S.AGREEING,
    (_S.GATHERING, _T.FAIL): _S.OVER,
    (_S.AGREEING, _T.AGREED): _S.FIRST,
    (_S.AGREEING, _T.FAIL): _S.OVER,
    (_S.FIRST, _T.SENT): _S.SECOND,
    (_S.FIRST, _T.HEARD): _S.PROVING,
    (_S.FIRST, _T.PROVEN): _S.OVER,
    (_S.FIRST, _T.FAIL): _S.OVER,
    (_S.SECOND, _T.SENT): _S.PROVING,
    (_S.SECOND, _T.HEARD): _S.PROVING,
    (_S.SECOND, _T.PROVEN): _S.OVER,
    (_S.SECOND, _T.FAIL): _S.OVER,
    (_S.PROVING, _T.HEARD): _S.PROVING,
    (_S.PROVING, _T.PROVEN): _S.OVER,
    (_S.PROVING, _T.FAIL): _S.OVER,
}
_PROBES, _SOCKETS = 1, 2
"""Steps of the contract, each with many words here."""
_WORDS = {_PROBES: guessing.PROBES, _SOCKETS: guessing.SOCKETS}
_SPEAKING = frozenset({_S.FIRST, _S.SECOND, _S.PROVING})


class Birthday(Staged[BirthdayState, BirthdayTrigger]):
    """One round after those of `attempt.round`; none where it would be in vain, or the hosts' addresses have had one
    lately."""

    name = MethodName.BIRTHDAY.value

    def __init__(self, attempt: Attempt) -> None:
        super().__init__(attempt, TABLE, gathering=_S.GATHERING, over=_S.OVER, fail=_T.FAIL)
        self._ready_by: float | None = None
        self._agreed: set[str] = set()
        self._awaited: tuple[int, Member] | None = None
        """The newest order's transaction, and who has it."""
        self._steps = {_S.FIRST: _PROBES, _S.SECOND: _SOCKETS}

    @property
    def deadline(self) -> float | None:
        """When to call `timed_out`."""
        is_ready = self.state is _S.GATHERING and self._ready_by is not None
        return self._deadline if is_ready else super().deadline

    def begin(self, now: float) -> list[do.Action]:
        """Ask for what is missing."""
        return [*self._gathering.begin(now), *self.socket_shown(now)]

    def socket_shown(self, now: float) -> list[do.Action]:
        """A member's socket was seen, or its own port has come."""
        if self.state is not _S.GATHERING or not self._gathering.is_complete:
            return []
        if self._ready_by is None:
            self._ready_by = now + READY_WITHIN
        members = self._attempt.members
        if any(each.seen is None or each.keeps_port is None for each in members):
            if now < self._ready_by:
                self._deadline = now + LOOK_EVERY
                return []
            return self._fail(_without("a host has not shown that it receives where it is seen"))
        keeping = [each for each in members if each.keeps_port]
        if (opener := opener_by_address(members)) is not None:
            self._steps = {_S.FIRST: _SOCKETS, _S.SECOND: _PROBES}
            (prober,) = (each for each in members if each is not opener)
        elif len(keeping) == 1:
            (prober,) = keeping
            (opener,) = (each for each in members if each is not prober)
        else:
            return self._no_path()
        return self._asked(prober, opener, now)

    def message_arrived(self, member: Member, message: m.Message, now: float) -> list[do.Action]:
        """A host has said something. A message that does not fit is late, and ignored."""
        here = (self._attempt.number, self._round)
        match message:
            case m.Agree(attempt, round_) if (attempt, round_) == here:
                return self._agrees(member, message, now)
            case m.HelloSent(transaction, heard) if (transaction, member) == self._awaited:
                return self._sent(member, now, heard=heard)
            case m.Established(attempt, round_) if (attempt, round_) == here:
                self._established(member, now)
            case m.Decline() if (declined := self._declined(member, message)) is not None:
                return self._fail(declined)
        return []

    def timed_out(self, now: float) -> list[do.Action]:
        """The deadline is due. A host that is slow to say that it has sent holds nobody up."""
        match self.state:
            case _S.GATHERING if self._ready_by is not None:
                return self.socket_shown(now)
            case _S.GATHERING:
                asked = self._gathering.timed_out(now)
                return self._fail(asked) if isinstance(asked, NoPath) else asked
            case _S.FIRST | _S.SECOND:
                return self._goes_on(now)
        return self._no_path()

    def _asked(self, prober: Member, opener: Member, now: float) -> list[do.Action]:
        """Begin the round if the hosts' addresses allow it now; else tell both hosts when they will."""
        first, second = self._attempt.members
        seen = [each.seen for each in (prober, opener)]
        wait = self._attempt.grants.ask(
            (first.id, second.id), (each.address for each in seen if each is not None), now
        )
        if wait:
            later = m.GuessLater(min(wait, 3600.0))
            told: list[do.Action] = [
                do.SendMessage(later, each.connection) for each in (prober, opener)
            ]
            return [*told, *self._fail(_without(f"ports may be guessed in {wait:.0f} s"))]
        self._round = self._attempt.round + 1
        if self._attempt.roles(self._round)[0] is not prober:
            self._round += 1
        aims = {
            host.id: Aim((m.Candidate("srflx", there, validated=True),))
            for host, there in ((prober, seen[1]), (opener, seen[0]))
            if there is not None
        }
        started = self._gathering.start(self.name, self._round, prober, opener, aims)
        if isinstance(started, NoPath):
            return self._fail(started)
        self._machine.fire(_T.GATHERED)
        self._wait(AGREE_WITHIN, now)
        return started

    def _agrees(self, member: Member, agree: m.Agree, now: float) -> list[do.Action]:
        """Hand it on: the peer alone can tell whether it is genuine. Both have it before any order."""
        if self.state is not _S.AGREEING or member.id in self._agreed:
            return []
        if not agree.mac:
            return self._fail(_without(f"{member.id} guesses no ports now"))
        self._agreed.add(member.id)
        first, second = self._attempt.members
        peer = second if member is first else first
        handed: list[do.Action] = [do.SendMessage(agree, peer.connection)]
        if len(self._agreed) < len(self._attempt.members):
            return handed
        self._machine.fire(_T.AGREED)
        return [*handed, self._order(now)]

    def _order(self, now: float) -> do.Action:
        """The words of this state are due."""
        step = self._steps[self.state]
        prober, opener = self._attempt.roles(self._round)
        member = prober if step == _PROBES else opener
        transaction = next(self._attempt.transactions)
        self._awaited = transaction, member
        self._wait(SLOW * _WORDS[step] / guessing.RATE + PROOF_WITHIN, now)
        order = m.SendHello(transaction, self._attempt.number, self._round, step)
        return do.SendMessage(order, member.connection)

    def _sent(self, member: Member, now: float, *, heard: bool) -> list[do.Action]:
        if self.state not in _SPEAKING:
            return []
        if heard:
            self._attempt.heard.add(member.id)
            self._machine.fire(_T.HEARD)
            self._wait(self._attempt.settings.verdict_within, now)
            return []
        return self._goes_on(now) if self.state in self._steps else []

    def _goes_on(self, now: float) -> list[do.Action]:
        """With the next order, or with the wait for proof."""
        if self._machine.fire(_T.SENT) is _S.SECOND:
            return [self._order(now)]
        self._wait(PROOF_WITHIN, now)
        return []

    def _established(self, member: Member, now: float) -> None:
        if self.state not in _SPEAKING:
            return
        if self._has_proof(member):
            self._machine.fire(_T.PROVEN)
        else:
            self._machine.fire(_T.HEARD)
            self._wait(self._attempt.settings.verdict_within, now)


def _without(why: str) -> NoPath:
    """No round, and so no path by this method."""
    return NoPath(m.Verdict.NO_PATH, why)
