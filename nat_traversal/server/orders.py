"""Orders to hosts: counted, and how many answers each may draw, which are free of the host's rate."""

from __future__ import annotations

from collections.abc import Iterable

from nat_traversal.machine import actions as do
from nat_traversal.machine.counters import Counter, Counters
from nat_traversal.server.connections import ServerAction
from nat_traversal.server.registry import Registry
from nat_traversal.wire import messages as m

_ASKS: dict[type[m.Message], int] = {
    m.Heartbeat: 1,
    m.OpenSocket: 2,
    m.StartRound: 2,
    m.SendHello: 2,
    m.PeerStatus: 1,
    m.OpenRelay: 1,
}
"""Answers that each message may draw: host addresses come apart from `opened`; `sent` of HELLO 3 comes twice if HELLO 2 is late. A host whose
peer leaves in a round retries, perhaps after it has agreed."""
_ORDERS: dict[type[m.Message], str] = {
    m.OpenSocket: "open",
    m.StartRound: "start",
    m.SendHello: "hello",
}
_ANSWERS: frozenset[type[object]] = frozenset(
    {
        m.HeartbeatAnswer,
        m.SocketOpened,
        m.HostAddresses,
        m.SparePort,
        m.Agree,
        m.HelloSent,
        m.Established,
        m.Decline,
        m.Retry,
        m.RelayReady,
    }
)


def answers_to(message: m.Message) -> int:
    """How many answers a message to a host may draw."""
    return _ASKS.get(type(message), 0)


def is_answer(message: m.Message | m.UnknownMessage) -> bool:
    """Whether a message from a host is of a kind that the server asks for."""
    return type(message) in _ANSWERS


class Orders:
    """Counts in `counters` the orders to the hosts of `registry`."""

    def __init__(self, registry: Registry, counters: Counters) -> None:
        self._registry = registry
        self._counts: dict[type[m.Message], Counter] = {
            kind: counters.counter("orders", "a host was ordered to do something", order=name)
            for kind, name in _ORDERS.items()
        }

    def given(self, actions: Iterable[ServerAction]) -> None:
        """These go out: count the orders among them, and expect the answers."""
        for action in actions:
            if not isinstance(action, do.SendMessage):
                continue
            kind = type(action.message)
            if asks := _ASKS.get(kind, 0):
                if (count := self._counts.get(kind)) is not None:
                    count.value += 1
                host = self._registry.get(action.connection)
                if host is not None:
                    host.allowance.expect(asks)
