"""The machines' own state graphs: each step of a real machine is taken once, and then remembered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from nat_traversal.client.agent import Agent
from nat_traversal.client.security import Security
from nat_traversal.machine import actions as do
from nat_traversal.machine import events as e
from nat_traversal.server.standalone import StandaloneServer
from tests.exploration.freeze import Dice, Freezer, digest

SERVER, A, B = 0, 1, 2
IDS = {A: "host_a", B: "host_b"}
MachineState = int
"""The number of one state of one machine."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What the exploration wants to know of a machine's state."""

    deadline: float | None
    phase: str
    """A client's: of its direct way."""
    holders: tuple[str, ...]
    """A server's: the id of every connection that has one."""
    session: str
    """A server's: the state of the pair, if there is one."""


class Machines:
    """Numbers the states of the three machines, and steps from one to the next."""

    def __init__(self) -> None:
        self._freezer = Freezer()
        self._octets: list[bytes] = []
        self._facts: list[Facts] = []
        self._known: dict[bytes, MachineState] = {}
        self._steps: dict[tuple[MachineState, e.Event, float], Any] = {}
        self.taken = 0
        """Steps of real machines."""

    def __len__(self) -> int:
        return len(self._octets)

    def first(self) -> tuple[tuple[MachineState, ...], dict[int, list[do.Action]]]:
        """A server and both clients, and what the clients want at their start."""
        states = [self._number(StandaloneServer(rng=Dice("server")))]
        wanted: dict[int, list[do.Action]] = {}
        for client, peer in ((A, B), (B, A)):
            agent = Agent(
                IDS[client], IDS[peer], rng=Dice(IDS[client]), security=Security.plaintext()
            )
            wanted[client] = agent.start(0.0)
            states.append(self._number(agent))
        return tuple(states), wanted

    def facts(self, state: MachineState) -> Facts:
        return self._facts[state]

    def thawed(self, state: MachineState) -> Any:
        """A machine in that state, of which nobody else knows."""
        return self._freezer.thaw(self._octets[state])

    def step(
        self, state: MachineState, event: e.Event, now: float
    ) -> tuple[MachineState, list[do.Action]]:
        key = (state, event, now)
        found = self._steps.get(key)
        if found is None:
            self.taken += 1
            machine = self.thawed(state)
            actions = machine.handle(event, now)
            found = self._steps[key] = (self._number(machine), actions)
        return found

    def _number(self, machine: Any) -> MachineState:
        mark = digest(machine)
        if mark not in self._known:
            self._known[mark] = len(self._octets)
            self._octets.append(self._freezer.freeze(machine))
            self._facts.append(_facts(machine))
        return self._known[mark]


def _facts(machine: Any) -> Facts:
    if isinstance(machine, StandaloneServer):
        hosts = machine.hosts
        ids = sorted(host.member.id for host in hosts if host.member is not None)
        sessions = {host.session.state.name for host in hosts if host.session is not None}
        return Facts(machine.deadline(), "", tuple(ids), "".join(sessions))
    (peer,) = machine.peers.values()
    return Facts(machine.deadline(), peer.state.name, (), "")
