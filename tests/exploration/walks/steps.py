"""The steps of a walk, as Hypothesis chooses them: everything that can happen next, in any order."""

from __future__ import annotations

import hypothesis
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from nat_traversal.machine import events as e
from tests.exploration.walks.attacker import IDS, Attacker
from tests.exploration.walks.processes import PEER
from tests.exploration.walks.wire import Link
from tests.exploration.walks.world import Walk

indices = st.integers(0, 999)
names = st.sampled_from(("host_a", "host_b"))
flags = st.booleans()


class Walks(RuleBasedStateMachine):
    """One walk. It ends with a world without faults, in which the pair has to come together."""

    walk: Walk | None = None

    @initialize(seed=st.integers(0, 2**32), filtered=flags, ahead=st.integers(0, 60))
    def begin(self, seed: int, filtered: bool, ahead: int) -> None:
        self.walk = Walk(seed, filtered=filtered)
        self.attacker = Attacker(self.walk, seed)
        for _ in range(ahead):
            self.walk.go_on()

    @property
    def _now(self) -> Walk:
        assert self.walk is not None
        return self.walk

    def _has_flights(self) -> bool:
        return bool(self._now.flights)

    def _has_links(self) -> bool:
        return bool(self._now.links)

    def _has_waiting(self) -> bool:
        return bool(self._now.waiting())

    def _link(self, index: int) -> Link:
        links = list(self._now.links.values())
        return links[index % len(links)]

    # The network

    @rule(count=st.integers(1, 12))
    def go_on(self, count: int) -> None:
        """Everything comes in order."""
        for _ in range(count):
            self._now.go_on()

    @rule(fates=st.binary(min_size=1, max_size=24))
    def weather(self, fates: bytes) -> None:
        """Most comes in order, the rest is lost, doubled, overtaken, or slower than a timer."""
        for fate in fates:
            self._now.happen(fate)

    @precondition(_has_flights)
    @rule(index=indices)
    def deliver(self, index: int) -> None:
        flights = self._now.flights
        self._now.arrive(flights.pop(index % len(flights)))

    @precondition(_has_flights)
    @rule(index=indices)
    def drop(self, index: int) -> None:
        flights = self._now.flights
        flights.pop(index % len(flights))

    @precondition(_has_flights)
    @rule(index=indices)
    def double(self, index: int) -> None:
        flights = self._now.flights
        self._now.arrive(flights[index % len(flights)])

    @precondition(_has_waiting)
    @rule(index=indices)
    def hear(self, index: int) -> None:
        waiting = self._now.waiting()
        link, is_up = waiting[index % len(waiting)]
        (self._now.up if is_up else self._now.down)(link)

    @rule()
    def wait(self) -> None:
        """A timer is faster than all that is on its way."""
        self._now.clock.advance()

    @rule(seconds=st.sampled_from((1.0, 10.0, 70.0)))
    def oversleep(self, seconds: float) -> None:
        """Every timer is late: what is on its way comes before them."""
        self._now.clock.now += seconds

    @precondition(_has_links)
    @rule(index=indices, cut=flags)
    def break_link(self, index: int, cut: bool) -> None:
        (self._now.cut if cut else self._now.break_link)(self._link(index))

    # The processes

    @rule(name=names, told=flags)
    def restart(self, name: str, told: bool) -> None:
        self._now.restart(name, told=told)

    @rule(told=flags)
    def restart_server(self, told: bool) -> None:
        self._now.restart_server(told=told)

    @rule(name=names)
    def leave(self, name: str) -> None:
        self._now.leave(name)

    @rule(name=names)
    def wake(self, name: str) -> None:
        self._now.clients[name].feed(e.Woke())

    @rule(name=names, is_stale=flags)
    def change_network(self, name: str, is_stale: bool) -> None:
        client = self._now.clients[name]
        stale = frozenset(client.sockets) if is_stale else frozenset[int]()
        client.feed(e.NetworkChanged(stale, is_stale))

    @rule(name=names)
    def send(self, name: str) -> None:
        self._now.clients[name].send()

    # The attacker

    @rule()
    def attacker_connects(self) -> None:
        self.attacker.connect()

    @rule(name=st.sampled_from(IDS), peer=st.sampled_from(IDS))
    def attacker_registers(self, name: str, peer: str) -> None:
        if name != peer:
            self.attacker.register(name, peer)

    @rule(name=names)
    def attacker_takes(self, name: str) -> None:
        self.attacker.take(name, PEER[name])

    @rule(index=indices)
    def attacker_floods(self, index: int) -> None:
        self.attacker.flood(index)

    @rule(index=indices)
    def attacker_says_again(self, index: int) -> None:
        self.attacker.say_again(index)

    @rule()
    def attacker_says_nonsense(self) -> None:
        self.attacker.say_nonsense()

    @rule(index=indices, forged=flags, astray=flags)
    def attacker_replays(self, index: int, forged: bool, astray: bool) -> None:
        self.attacker.replay(index, forged=forged, astray=astray)

    @rule(index=indices, forged=flags)
    def attacker_garbles(self, index: int, forged: bool) -> None:
        self.attacker.garble(index, forged=forged)

    @invariant()
    def nothing_is_that_must_not_be(self) -> None:
        if self.walk is not None:
            self.walk.check()

    def teardown(self) -> None:
        if self.walk is not None:
            self.walk.heal()


def walk(count: int, seed: int, steps: int = 30) -> None:
    """Go `count` ways of `steps` steps each, always the same ones for a `seed`."""

    class Seeded(Walks):
        pass

    hypothesis.seed(seed)(Seeded)
    run_state_machine_as_test(
        Seeded,
        settings=settings(
            max_examples=count,
            stateful_step_count=steps,
            deadline=None,
            database=None,
            phases=(Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
        ),
    )
