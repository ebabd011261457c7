"""One round of HELLOs, seen from one host: steps 4 to 6 of the contract and the proof after them.

                 A                                    B
    order 1  ->  HELLO 1  ---------------------->  (its NAT may drop it)
                          <----------------------  HELLO 2  <-  order 2
                 HELLO 3  ---------------------->  established
    established           <----------------------  CONFIRM

A answers HELLO 2 at once. If it hears none, order 3 makes it send HELLO 3 all the same; when that
arrives, B cannot know yet whether A hears it, so its CONFIRM wants an answer (also a CONFIRM). So it
is when HELLO 3 comes from elsewhere than where HELLO 2 went.

Proof is one's own nonce, echoed from the very address to which it was sent: only the holder of the
peer's key can have made the echo, and only somebody who receives there can know the nonce. Each of
the two ports of a path so has to be the one that the other side sees.
A host that waits for something repeats what it said last, every `hello_interval`.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum, auto

from nat_traversal.crypto.proof import is_nonce, is_signed, nonce, signed
from nat_traversal.machine.transitions import StateMachine
from nat_traversal.paths.budget import Remainder, TrafficBudget
from nat_traversal.paths.methods.method import HandshakeKeys
from nat_traversal.settings import ClientSettings
from nat_traversal.wire.datagrams import (
    CONFIRM_OCTETS,
    HELLO_OCTETS,
    Confirm,
    Hello,
    tag_of,
)
from nat_traversal.wire.endpoint import Endpoint
from nat_traversal.wire.messages import Candidate, Role, StartRound
from nat_traversal.wire.octets import NONCE_BYTES

Output = tuple[Hello | Confirm, Endpoint]


class HandshakeState(Enum):
    """Named by what the host is doing."""

    WAITING = auto()  # for the order to speak
    CALLING = auto()  # A: HELLO 1 is out
    OPENING = auto()  # B: HELLO 2 is out
    ANSWERING = auto()  # A: HELLO 3 is out
    CONFIRMING = auto()  # B: heard HELLO 3, does not know whether it is heard
    ESTABLISHED = auto()  # proof for both directions


class HandshakeTrigger(Enum):
    """Things that can happen in a round."""

    ORDER_1 = auto()
    ORDER_2 = auto()
    ORDER_3 = auto()
    HELLO_1 = auto()
    HELLO_2 = auto()
    HELLO_3 = auto()  # it echoes HELLO 2's nonce, from where that went
    HELLO_3_UNPROVEN = auto()  # it does not
    CONFIRM = auto()


_S, _T = HandshakeState, HandshakeTrigger
TABLE_A = {
    (_S.WAITING, _T.ORDER_1): _S.CALLING,
    (_S.CALLING, _T.HELLO_2): _S.ANSWERING,
    (_S.CALLING, _T.ORDER_3): _S.ANSWERING,
    (_S.ANSWERING, _T.HELLO_2): _S.ANSWERING,
    (_S.ANSWERING, _T.ORDER_3): _S.ANSWERING,
    (_S.ANSWERING, _T.CONFIRM): _S.ESTABLISHED,
    (_S.ESTABLISHED, _T.ORDER_3): _S.ESTABLISHED,
    (_S.ESTABLISHED, _T.CONFIRM): _S.ESTABLISHED,
}
"""Role A. All that is not listed is ignored when the peer sent it, refused when the server ordered it."""
TABLE_B = {
    (_S.WAITING, _T.HELLO_1): _S.WAITING,
    (_S.WAITING, _T.ORDER_2): _S.OPENING,
    (_S.OPENING, _T.HELLO_1): _S.OPENING,
    (_S.OPENING, _T.HELLO_3): _S.ESTABLISHED,
    (_S.OPENING, _T.HELLO_3_UNPROVEN): _S.CONFIRMING,
    (_S.CONFIRMING, _T.HELLO_3): _S.ESTABLISHED,
    (_S.CONFIRMING, _T.HELLO_3_UNPROVEN): _S.CONFIRMING,
    (_S.CONFIRMING, _T.CONFIRM): _S.ESTABLISHED,
    (_S.ESTABLISHED, _T.HELLO_3): _S.ESTABLISHED,
    (_S.ESTABLISHED, _T.HELLO_3_UNPROVEN): _S.ESTABLISHED,
}
"""Role B, likewise."""

MOST_CANDIDATES = 8
"""Of one round."""
MOST_ADDED = 12
"""HELLOs to a candidate that came after the round's begin: it was found open a moment ago."""
MOST_KNOWN = 256
"""Datagrams of one round that count: an honest peer says fewer."""
_ORDERS = {1: _T.ORDER_1, 2: _T.ORDER_2, 3: _T.ORDER_3}
_STEP_OF_STATE = {_S.CALLING: 1, _S.OPENING: 2, _S.ANSWERING: 3}


class Handshake:
    """Feed it orders and the peer's datagrams; send what it returns; re-arm its `deadline`."""

    def __init__(
        self,
        start: StartRound,
        keys: HandshakeKeys,
        settings: ClientSettings,
        budget: TrafficBudget,
    ) -> None:
        self._budget = budget
        self._start = start
        self._keys = keys
        self._settings = settings
        self._tag = tag_of(start.token)
        self._machine = StateMachine(
            f"round {start.round}, role {start.role}",
            _S.WAITING,
            TABLE_A if start.role is Role.A else TABLE_B,
        )
        self._announced = tuple(candidate.endpoint for candidate in start.candidates)
        self._added: dict[Endpoint, int] = {}
        """Candidates that came after the round's begin, each with how many HELLOs it may get until the peer is heard."""
        self._heard_from: Endpoint | None = None
        self._echo = bytes(NONCE_BYTES)
        """The peer's nonce as it came last from `_heard_from`."""
        self._answered_copy = 0
        self.peer_connection: bytes | None = None
        """The connection id in frames to the peer; None until it has been heard."""
        self.forged = 0
        """Datagrams of this round that the peer's key has not made."""
        self.replayed = 0
        """Datagrams of this round that came before from elsewhere."""
        self._sources: dict[bytes, Endpoint] = {}
        """The source of each datagram of this round that was authentic, by its MAC."""
        self.heard_steps: set[int] = set()
        """The HELLOs of the peer that came in."""
        self.peer_has_proof = False
        """The peer has sent what only an established peer sends."""
        self.openers = 1
        """Copies of each of the first words: one from each socket that speaks. The peer hears one of them at most."""
        self._copies = {1: 0, 2: 0, 3: 0}
        self._repeats = 0
        self._deadline: float | None = None

    @property
    def state(self) -> HandshakeState:
        return self._machine.state

    @property
    def start(self) -> StartRound:
        return self._start

    def kind_of(self, remote: Endpoint) -> str:
        """The kind of candidate that the peer has there; empty: it has named none."""
        if remote in self._added:
            return "mapped"
        kinds = (c.kind for c in self._start.candidates if c.endpoint == remote)
        return next(kinds, "")

    def added(self, candidates: Iterable[Candidate]) -> list[Output]:
        """The peer may be there as well: the words of this state go there at once, and a few times more.

        They come from the rest of the attempt's budget, as do all of this round from now on.
        """
        fresh = [c.endpoint for c in candidates if c.endpoint not in self._announced]
        fresh = fresh[: MOST_CANDIDATES - len(self._announced)]
        if not fresh or self._heard_from is not None:
            return []
        if not self._added:
            self._budget = Remainder(self._budget)
        self._added |= dict.fromkeys(fresh, MOST_ADDED)
        self._announced += tuple(fresh)
        step = _STEP_OF_STATE.get(self.state)
        return [] if step is None else self._hellos(step, fresh)

    def probe(self, endpoint: Endpoint) -> list[Output]:
        """The peer may be there: this state's HELLO goes there once, unless the peer has been heard."""
        step = _STEP_OF_STATE.get(self.state)
        return [] if step is None or self._heard_from else self._hellos(step, [endpoint])

    @property
    def deadline(self) -> float | None:
        """When to call `repeat` next."""
        return self._deadline

    @property
    def remote(self) -> Endpoint | None:
        """Where the peer was heard from last: its observed, perhaps peer-reflexive, address."""
        return self._heard_from

    @property
    def destinations(self) -> tuple[Endpoint, ...]:
        """Where this side speaks to now."""
        return self._destinations()

    def ordered(self, step: int, now: float) -> list[Output] | None:
        """The server wants HELLO `step`. None: the order makes no sense in this role and state."""
        trigger = _ORDERS.get(step)
        if trigger is None or not self._machine.allows(trigger):
            return None
        if self._copies[step]:  # A answered before it was told to: the order has been obeyed
            return []
        return self._enter(trigger, now)

    def hello_arrived(self, hello: Hello, source: Endpoint, now: float) -> list[Output] | None:
        """A HELLO came in. None: not of this round, or not for this role and state."""
        if not self._is_of_this_round(hello, source):
            return None
        trigger = {
            1: _T.HELLO_1,
            2: _T.HELLO_2,
            3: _T.HELLO_3 if self._is_proof(hello, source) else _T.HELLO_3_UNPROVEN,
        }[hello.step]
        if not self._machine.allows(trigger):
            return None
        if self.state is _S.ESTABLISHED and source != self._heard_from:
            return None
        news = self._heard_from is None and source not in self._announced
        self._hear(hello, source)
        self.heard_steps.add(hello.step)
        if hello.step == 3:
            self._answered_copy = hello.copy
        if trigger is _T.HELLO_1 and not news:
            return []
        # A HELLO 1 from elsewhere than announced: HELLO 2 has to go there, at once if it is out.
        # The first HELLO 3 without proof may have crossed HELLO 2.
        is_deaf = trigger is _T.HELLO_3_UNPROVEN and self.state is _S.CONFIRMING
        said = self._enter(trigger, now)
        return said + self._elsewhere(2, self._announced) if is_deaf else said

    def confirm_arrived(self, confirm: Confirm, source: Endpoint) -> list[Output] | None:
        """A CONFIRM came in. None: not of this round, or not for this role and state."""
        if not self._is_of_this_round(confirm, source) or not self._machine.allows(_T.CONFIRM):
            return None
        if self.state is _S.ESTABLISHED and source != self._heard_from:
            return None
        if not self._is_proof(confirm, source):
            if self.state is _S.ANSWERING:  # HELLO 3 has to go there, when it is repeated
                self._hear(confirm, source)
            return None
        self._hear(confirm, source)
        self._machine.fire(_T.CONFIRM)
        self._deadline = None
        if confirm.answer_wanted:
            return self._confirms([source], answer_wanted=False)
        self.peer_has_proof = True
        return []

    def repeat(self, now: float) -> list[Output]:
        """The deadline is due: say it again."""
        if self._deadline is None or now < self._deadline:
            return []
        self._repeats += 1
        if self._repeats > self._settings.hello_repeats:
            self._deadline = None
            return []
        said = self._say(now)
        if self.state is not _S.ANSWERING:
            return said
        # B may have taken another way by which HELLO 2 came, and its CONFIRM was lost.
        return said + self._elsewhere(3, dict.fromkeys(self._sources.values()))

    def hold(self, now: float) -> None:
        """Repeat nothing for one interval."""
        if self._deadline is not None:
            self._deadline = now + self._settings.hello_interval

    def _is_of_this_round(self, datagram: Hello | Confirm, source: Endpoint) -> bool:
        if (datagram.tag, datagram.round) != (self._tag, self._start.round):
            return False
        if not is_signed(datagram, self._keys.receiving):
            self.forged += 1
            return False
        if len(self._sources) < MOST_KNOWN or datagram.mac in self._sources:
            if self._sources.setdefault(datagram.mac, source) == source:
                return True
            self.replayed += 1  # recorded and sent again from elsewhere: no answer must go there
        return False

    def _hear(self, datagram: Hello | Confirm, source: Endpoint) -> None:
        self._heard_from = source
        self._echo = datagram.nonce
        self.peer_connection = datagram.connection
        if self._is_proof(datagram, source):
            self._budget.validate(source.address)

    def _is_proof(self, datagram: Hello | Confirm, source: Endpoint) -> bool:
        """Whether the peer heard this side on the very path on which this came.

        If not, this side may be heard, but not where the peer looks for it: two NATs that give every
        destination a port of its own can let each packet in, and still no two ports stay.
        """
        return is_nonce(self._keys.secret, self._start.token, source, datagram.echo)

    def _nonce(self, destination: Endpoint) -> bytes:
        return nonce(self._keys.secret, self._start.token, destination)

    def _enter(self, trigger: HandshakeTrigger, now: float) -> list[Output]:
        before = self.state
        if self._machine.fire(trigger) is not before:
            self._repeats = 0
        return self._say(now)

    def _say(self, now: float) -> list[Output]:
        """The present state's words, and until when it waits for an answer."""
        state = self.state
        if state is _S.WAITING:
            return []
        self._deadline = None if state is _S.ESTABLISHED else now + self._settings.hello_interval
        if state in _STEP_OF_STATE:
            return self._hellos(_STEP_OF_STATE[state])
        return self._confirms(self._destinations(), answer_wanted=state is _S.CONFIRMING)

    def _hellos(self, step: int, destinations: Iterable[Endpoint] | None = None) -> list[Output]:
        first = self._copies[step]
        copies = self.openers if self._heard_from is None else 1
        self._copies[step] += copies
        return [
            (self._hello(step, copy, to), to)
            for to in destinations or self._destinations()
            for copy in range(first, first + copies)
            if self._may_try(to) and self._budget.take(to, HELLO_OCTETS, is_opening=step < 3)
        ]

    def _elsewhere(self, step: int, candidates: Iterable[Endpoint]) -> list[Output]:
        """The peer was heard, and does not answer there: HELLO `step` goes to these as well, at other addresses."""
        heard = self._heard_from
        others = [to for to in candidates if heard and to.address != heard.address]
        return self._hellos(step, others) if others else []

    def _may_try(self, to: Endpoint) -> bool:
        """Whether one more HELLO may go there, as far as it is a candidate that came late."""
        if to == self._heard_from or to not in self._added:
            return True
        self._added[to] -= 1
        return self._added[to] >= 0

    def _confirms(self, destinations: Iterable[Endpoint], *, answer_wanted: bool) -> list[Output]:
        return [
            (self._confirm(to, answer_wanted=answer_wanted), to)
            for to in destinations
            if self._budget.take(to, CONFIRM_OCTETS, is_opening=False)
        ]

    def _hello(self, step: int, copy: int, destination: Endpoint) -> Hello:
        hello = Hello(
            tag=self._tag,
            round=self._start.round,
            step=step,
            heard=self._heard_from is not None,
            copy=copy,
            nonce=self._nonce(destination),
            echo=self._echo,
            connection=self._keys.connection,
        )
        return signed(hello, self._keys.sending)

    def _confirm(self, destination: Endpoint, *, answer_wanted: bool) -> Confirm:
        confirm = Confirm(
            tag=self._tag,
            round=self._start.round,
            answer_wanted=answer_wanted,
            copy=self._answered_copy,
            nonce=self._nonce(destination),
            echo=self._echo,
            connection=self._keys.connection,
        )
        return signed(confirm, self._keys.sending)

    def _destinations(self) -> tuple[Endpoint, ...]:
        return self._announced if self._heard_from is None else (self._heard_from,)
