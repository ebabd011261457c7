"""The contract's method at the server: rounds of HELLO 1, 2 and 3 in order, roles swapped in the second."""

from __future__ import annotations

from enum import Enum, auto

from nat_traversal.machine import actions as do
from nat_traversal.server.member import Member, SocketState
from nat_traversal.server.methods.method import Attempt, NoPath, Proven
from nat_traversal.server.methods.staged import Staged
from nat_traversal.wire import messages as m

ROUNDS = 2
"""Rounds in an attempt: the contract's order, then with A and B swapped."""


class RoundState(Enum):
    """Named by what the server waits for."""

    GATHERING = auto()  # both announces
    CALLING = auto()  # A says that HELLO 1 is out
    OPENING = auto()  # B says that HELLO 2 is out
    ANSWERING = auto()  # both sides' proof, after the order of HELLO 3
    OVER = auto()  # nothing: both have proof, or the attempt failed


class RoundTrigger(Enum):
    """The events of an attempt."""

    GATHERED = auto()
    SENT = auto()
    PROVEN = auto()
    NEXT_ROUND = auto()
    FAIL = auto()


_S, _T = RoundState, RoundTrigger
TABLE = {
    (_S.GATHERING, _T.GATHERED): _S.CALLING,
    (_S.GATHERING, _T.PROVEN): _S.OVER,
    (_S.GATHERING, _T.FAIL): _S.OVER,
    (_S.CALLING, _T.SENT): _S.OPENING,
    (_S.CALLING, _T.PROVEN): _S.OVER,
    (_S.CALLING, _T.FAIL): _S.OVER,
    (_S.OPENING, _T.SENT): _S.ANSWERING,
    (_S.OPENING, _T.PROVEN): _S.OVER,
    (_S.OPENING, _T.FAIL): _S.OVER,
    (_S.ANSWERING, _T.SENT): _S.ANSWERING,
    (_S.ANSWERING, _T.PROVEN): _S.OVER,
    (_S.ANSWERING, _T.NEXT_ROUND): _S.GATHERING,
    (_S.ANSWERING, _T.FAIL): _S.OVER,
}
_ORDER_OF_STATE = {
    _S.CALLING: (m.Role.A, 1),
    _S.OPENING: (m.Role.B, 2),
    _S.ANSWERING: (m.Role.A, 3),
}


class OrderedHello(Staged[RoundState, RoundTrigger]):
    """One attempt. The host whose id sorts first is A in odd rounds."""

    name = "ordered-hello"

    def __init__(self, attempt: Attempt) -> None:
        super().__init__(attempt, TABLE, gathering=_S.GATHERING, over=_S.OVER, fail=_T.FAIL)
        self._transaction: int | None = None
        """Of the order that is out."""
        self._ordered_at = 0.0
        self._opened_at = 0.0
        self._is_acknowledged = False
        self._proofs: dict[int, set[str]] = {}
        """The hosts with proof, by the round; of those rounds that still go on."""
        self._goes_on_from = 1
        """The first round that still goes on."""
        self._settles_at = 0.0
        """Until when the other host's proof may follow that of the first."""

    def begin(self, now: float) -> list[do.Action]:
        """The first round's gathering."""
        return self._gather(now)

    def socket_shown(self, now: float) -> list[do.Action]:
        """A member's socket was seen: begin the round if that was the last thing missing."""
        if self.state is not _S.GATHERING or not self._gathering.is_complete:
            return []
        self._round += 1
        roles = self._attempt.roles(self._round)
        started = self._gathering.start(self.name, self._round, *roles)
        if isinstance(started, NoPath):
            return self._fail(started)
        self._machine.fire(_T.GATHERED)
        return [*started, self._order(now)]

    def message_arrived(self, member: Member, message: m.Message, now: float) -> list[do.Action]:
        """A host has said something. A message that does not fit is late, and ignored."""
        match message:
            case m.HelloSent(transaction, heard):
                if heard:
                    self._attempt.heard.add(member.id)
                return self._hello_sent(member, transaction, now)
            case m.Established(attempt, round_):
                if attempt == self._attempt.number:
                    self._established(member, round_, now)
            case m.Decline() if (declined := self._declined(member, message)) is not None:
                return self._fail(declined)
        return []

    def timed_out(self, now: float) -> list[do.Action]:
        """The deadline is due: ask the silent hosts, swap the roles, or end the attempt."""
        if self._proofs and self.state is not _S.ANSWERING:
            if now < self._settles_at:
                self._deadline = self._gathering.deadline = self._settles_at
            else:
                return self._no_path()
        elif self.state is _S.GATHERING:
            asked = self._gathering.timed_out(now)
            return self._fail(asked) if isinstance(asked, NoPath) else asked
        elif self.state in (_S.CALLING, _S.OPENING):
            role, step = _ORDER_OF_STATE[self.state]
            silent = self._in_role(role).id
            text = f"{silent} did not obey the order to send HELLO {step}"
            return self._fail(NoPath(m.Verdict.PEER_SILENT, text))
        elif self._round < ROUNDS:
            return self._next_round(now)
        else:
            return self._no_path()
        return []

    def _next_round(self, now: float) -> list[do.Action]:
        """Swap the roles. The round before goes on beside the next one, unless proof of one host alone has had
        all its time: then something is wrong with that round."""
        goes_on = not self._proofs
        if not goes_on:
            self._goes_on_from = self._round + 1
            self._proofs.clear()
        self._machine.fire(_T.NEXT_ROUND)
        return self._gather(now, goes_on=goes_on)

    def _gather(self, now: float, *, goes_on: bool = False) -> list[do.Action]:
        """Step 1: both need a socket that no round has used."""
        return [*self._gathering.begin(now, goes_on=goes_on), *self.socket_shown(now)]

    def _order(self, now: float) -> do.Action:
        """Steps 4 to 6: the HELLO of the present state."""
        role, step = _ORDER_OF_STATE[self.state]
        member = self._in_role(role)
        if step == 2:
            self._opened_at = now
        if step == 3:
            self._deadline = now + self._patience + self._ways
        else:
            self._deadline = now + self._settings.step_within + member.round_trip
        self._ordered_at, self._is_acknowledged = now, False
        self._transaction = self._next_transaction()
        order = m.SendHello(self._transaction, self._attempt.number, self._round, step)
        return do.SendMessage(order, member.connection)

    def _hello_sent(self, member: Member, transaction: int, now: float) -> list[do.Action]:
        """`member` obeyed the order `transaction`: give the next one.

        For the order of HELLO 3 it may say so twice: HELLO 2 has reached it only now.
        """
        if self.state not in _ORDER_OF_STATE or transaction != self._transaction:
            return []
        if member is not self._in_role(_ORDER_OF_STATE[self.state][0]):
            return []
        if self._is_acknowledged:
            self._prolong(now)
            return []
        self._is_acknowledged = True
        member.answered(now - self._ordered_at)
        is_last = self.state is _S.ANSWERING
        self._machine.fire(_T.SENT)
        return [] if is_last else [self._order(now)]

    @property
    def _patience(self) -> float:
        """Seconds for proof above the round trips. The next round need not wait for it, since this one goes on."""
        if self._proofs or (self._round == ROUNDS and not self._attempt.has_further):
            return self._settings.verdict_within
        is_last = self._round == ROUNDS
        return self._settings.further_within if is_last else self._settings.swap_within

    def _established(self, member: Member, round_: int, now: float) -> None:
        """`member` has proof, perhaps late. A report about a round that does not go on is ignored."""
        if not self._goes_on_from <= round_ <= self._round or self.state is _S.OVER:
            return
        proofs = self._proofs.setdefault(round_, set())
        proofs.add(member.id)
        member.established = True
        self._attempt.heard.add(member.id)
        if len(proofs) == len(self._attempt.members):
            self._machine.fire(_T.PROVEN)
            for each in self._attempt.members:
                each.socket, each.established = SocketState.USED, True
            self.outcome = Proven(round_)
            return
        self._settles_at = now + self._settings.verdict_within + self._ways
        if self.state is _S.ANSWERING:
            self._prolong(now)

    def _prolong(self, now: float) -> None:
        """A sign that HELLOs arrive. It came after half of a round trip between the hosts at least,
        and all that is still to come takes one at most."""
        wanted = now + self._patience + 2 * (now - self._opened_at)
        most = self._opened_at + self._settings.verdict_most
        self._deadline = max(self._deadline, min(wanted, most))

    def _next_transaction(self) -> int:
        return next(self._attempt.transactions)

    def _in_role(self, role: m.Role) -> Member:
        a, b = self._attempt.roles(self._round)
        return a if role is m.Role.A else b
