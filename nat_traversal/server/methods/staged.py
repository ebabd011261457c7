"""The part of a method that all share: both hosts show fresh sockets first, and one outcome ends it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Generic

from nat_traversal.machine import actions as do
from nat_traversal.machine.transitions import State, StateMachine, Trigger
from nat_traversal.server.addresses import no_path
from nat_traversal.server.member import Member
from nat_traversal.server.methods.gathering import Gathering
from nat_traversal.server.methods.method import Attempt, NoPath, Outcome, Proven
from nat_traversal.wire import messages as m


class Staged(Generic[State, Trigger]):
    """The rounds of `attempt` that one method drives by `table`. `gathering` is its first state, `over` its last, to which `fail` leads."""

    def __init__(
        self,
        attempt: Attempt,
        table: Mapping[tuple[State, Trigger], State],
        *,
        gathering: State,
        over: State,
        fail: Trigger,
    ) -> None:
        self._attempt = attempt
        self._settings = attempt.settings
        self._machine = StateMachine(f"attempt {attempt.number}", gathering, table)
        self._ends = gathering, over
        self._trigger_of_failure = fail
        self._gathering = Gathering(attempt)
        self._round = attempt.round
        self._deadline = 0.0
        """Of the present state, but the first and the last."""
        self._proven: set[str] = set()
        """The hosts with proof, where one round goes on at a time."""
        self.outcome: Outcome | None = None
        """How it ended; None while it goes on."""

    @property
    def state(self) -> State:
        return self._machine.state

    @property
    def round(self) -> int:
        """The last one that has begun."""
        return self._round

    @property
    def deadline(self) -> float | None:
        """When to call `timed_out`."""
        gathering, over = self._ends
        if self.state is gathering:
            return self._gathering.deadline
        return None if self.state is over else self._deadline

    @property
    def is_gathering(self) -> bool:
        """Whether a fresh socket that a host shows now still belongs to this attempt."""
        return self.state is self._ends[0]

    @property
    def _ways(self) -> float:
        """Seconds of both hosts' round trips."""
        return sum(each.round_trip for each in self._attempt.members)

    def _wait(self, seconds: float, now: float) -> None:
        """So long above both round trips."""
        self._deadline = now + seconds + self._ways

    def _fail(self, outcome: NoPath) -> list[do.Action]:
        """It ends so."""
        self._machine.fire(self._trigger_of_failure)
        self.outcome = outcome
        return []

    def _no_path(self) -> list[do.Action]:
        """It ends, with the causes that fit what was seen."""
        text = no_path(*self._attempt.members, frozenset(self._attempt.heard))
        return self._fail(NoPath(m.Verdict.NO_PATH, text))

    def _has_proof(self, member: Member) -> bool:
        """`member` has it in the present round; True: so both have, and the method ends with that."""
        member.established = True
        self._proven.add(member.id)
        self._attempt.heard.add(member.id)
        if len(self._proven) < len(self._attempt.members):
            return False
        self.outcome = Proven(self._round)
        return True

    def _declined(self, member: Member, message: m.Message) -> NoPath | None:
        """The end of the attempt if `message` says that this host takes no part in it."""
        if not isinstance(message, m.Decline) or message.attempt != self._attempt.number:
            return None
        if self.outcome is not None:
            return None
        text = f"{member.id} takes no part: the two sides' keys do not fit"
        return NoPath(m.Verdict.KEYS_DIFFER, text)
