"""A whole server in one process: the rendezvous machine and a store that answers at once."""

from __future__ import annotations

import random

from nat_traversal.machine import actions as do
from nat_traversal.machine import events as e
from nat_traversal.machine.counters import Counters
from nat_traversal.server.gate import Gate, Refusal
from nat_traversal.server.member import Member
from nat_traversal.server.possession import Possession
from nat_traversal.server.registry import Host
from nat_traversal.server.relays import MakeRelays, Relays
from nat_traversal.server.rendezvous import Rendezvous, ServerEvent
from nat_traversal.server.store import Claim, LookUp, MemoryStore, Publish, Release, Store
from nat_traversal.server.trunks import Trunks
from nat_traversal.settings import ServerSettings
from nat_traversal.wire.endpoint import Endpoint
from nat_traversal.wire.messages import Message, Register
from nat_traversal.wire.source import source_of


class StandaloneServer:
    """Feed `handle` events, carry out the actions, call it with `TimerFired` at `deadline()`.

    Each request to the store is answered in its place among the actions, so that it costs no time.
    `rng` must be a `random.SystemRandom` outside tests: tokens come from it. Without `possession` no key holds an id.
    """

    def __init__(
        self,
        *,
        rng: random.Random,
        settings: ServerSettings | None = None,
        counters: Counters | None = None,
        store: Store | None = None,
        possession: Possession | None = None,
        make_relays: MakeRelays = Relays,
    ) -> None:
        self._rendezvous = Rendezvous(
            rng=rng,
            settings=settings,
            counters=counters,
            possession=possession,
            make_relays=make_relays,
        )
        self._store: Store = store or MemoryStore()
        settings = settings or ServerSettings()
        self._trunks = Trunks(self._pairs_of(settings), self._refusal)

    @property
    def counters(self) -> Counters:
        """Counts of all that was dropped and refused, with the reason."""
        return self._rendezvous.counters

    @property
    def is_well(self) -> bool:
        """Whether it can admit clients."""
        return True

    @property
    def registered(self) -> frozenset[str]:
        """The ids that are registered now."""
        return self._rendezvous.registered

    @property
    def hosts(self) -> tuple[Host, ...]:
        """Every connection, and what is known of the host at its other end."""
        return self._rendezvous.hosts

    @property
    def gate(self) -> Gate:
        """Says which connections are taken. Ask it before `ControlOpened`."""
        return self._rendezvous.gate

    @property
    def attempts(self) -> int:
        """Attempts that go on."""
        return self._rendezvous.attempts

    def admits(self, register: Register) -> bool:
        """Whether a host may register so, whoever holds its id."""
        return self._rendezvous.admits(register)

    def reconfigure(self, settings: ServerSettings) -> None:
        """Other settings hold for what begins from now on."""
        self._rendezvous.reconfigure(settings)
        self._trunks.most = self._pairs_of(settings)

    @property
    def relays(self) -> int:
        """How many pairs have a relay now."""
        return self._rendezvous.relays

    def member(self, connection: e.ConnectionId) -> Member | None:
        """The host at a connection that has its id."""
        return self._rendezvous.member(connection)

    def is_attempting(self, connection: e.ConnectionId) -> bool:
        """Whether an attempt goes on for the host at that connection."""
        return self._rendezvous.is_attempting(connection)

    def expect_answers(self, connection: e.ConnectionId, message: Message) -> None:
        """Somebody else has given that host an order: its answers are free."""
        self._rendezvous.expect_answers(connection, message)

    def deadline(self) -> float | None:
        """When `TimerFired` is wanted next, or None."""
        return self._rendezvous.deadline()

    def handle(self, event: e.Event, now: float) -> list[do.Action]:
        """One event in, actions out, in the order in which to carry them out."""
        done: list[do.Action] = []
        for each in self._trunks.events(event, now):
            done += self._handle(each, now)
        return self._trunks.actions(done)

    def _refusal(self, remote: Endpoint | None, now: float) -> Refusal | None:
        """Why a further registration from there is not taken now."""
        source = source_of(remote.address) if remote else ""
        return self._rendezvous.gate.refusal(source, now)

    def _pairs_of(self, settings: ServerSettings) -> int:
        """Registrations that a connection carries."""
        return settings.pairs

    def _handle(self, event: ServerEvent, now: float) -> list[do.Action]:
        done: list[do.Action] = []
        for action in self._rendezvous.handle(event, now):
            match action:
                case Claim() | Release() | LookUp() | Publish():
                    for answer in self._store.handle(action, now):
                        done += self._handle(answer, now)
                case _:
                    done.append(action)
        return done
