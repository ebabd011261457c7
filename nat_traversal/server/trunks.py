"""Connections that carry several registrations: for the machine of the server each is a connection of its own.

A further registration has a number, which its lines bear. Its connection in the machine is made of that and of the
connection that carries it, so nothing has to be kept to find one from the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from nat_traversal.machine import actions as do
from nat_traversal.machine import events as e
from nat_traversal.machine.events import ConnectionId
from nat_traversal.server.gate import Refusal
from nat_traversal.wire import messages as m
from nat_traversal.wire.endpoint import Endpoint
from nat_traversal.wire.pairs import for_pair

_BITS = 40
"""Of the number of a connection that a process takes: at a million a second it has enough of them for days."""
_LEFT = "it has left"


def trunk_of(connection: ConnectionId) -> ConnectionId:
    """The connection that carries this one; itself, where it is no further registration."""
    return connection if connection < 0 else connection & ((1 << _BITS) - 1)


def pair_of(connection: ConnectionId) -> int:
    """The number of a registration on the connection that carries it; 0: the first."""
    return 0 if connection < 0 else connection >> _BITS


def seat(trunk: ConnectionId, pair: int) -> ConnectionId:
    """The connection that is the registration `pair` of `trunk`."""
    return trunk | pair << _BITS


class Trunks:
    """Turns events of connections into those of registrations, and their actions back.

    `most`: registrations of a connection; 1: none beside the first. `refusal` says why one more from there is not
    taken now, by the bounds that new connections have.
    """

    def __init__(
        self, most: int, refusal: Callable[[Endpoint | None, float], Refusal | None]
    ) -> None:
        self.most = most
        self._refusal = refusal
        self._pairs: dict[ConnectionId, set[int]] = {}
        """Those that stand, of each connection."""
        self._remotes: dict[ConnectionId, Endpoint | None] = {}
        self._refused: list[do.Action] = []

    def events(self, event: e.Event, now: float) -> Iterator[e.Event]:
        """`event` as the machine is to hear it."""
        match event:
            case e.ControlOpened(trunk, remote):
                self._pairs[trunk], self._remotes[trunk] = {0}, remote
                yield event
            case e.ControlReceived(message, trunk) if trunk in self._pairs:
                yield from self._received(message, trunk, now)
            case e.ControlGarbled(_, trunk) | e.ControlBroken(_, trunk) if trunk in self._pairs:
                pairs = self._forget(trunk)
                for pair in sorted(pairs - {0}):
                    yield e.ControlBroken("its connection has ended", seat(trunk, pair))
                if 0 in pairs:
                    yield event
                elif isinstance(event, e.ControlGarbled):
                    self._refused.append(do.CloseControl(trunk))
            case e.ActionFailed(do.SendMessage(m.ForPair(pair, message), trunk)) if not isinstance(
                message, m.UnknownMessage
            ):
                yield replace(event, action=do.SendMessage(message, seat(trunk, pair)))
            case _:
                yield event

    def actions(self, actions: list[do.Action]) -> list[do.Action]:
        """`actions` of the machine as they are to be carried out."""
        refused, self._refused = self._refused, []
        done = refused
        for action in actions:
            match action:
                case do.SendMessage(message, connection) if connection > 0:
                    if isinstance(message, m.Registered):
                        message = replace(message, pairs=self.most)
                    said = for_pair(pair_of(connection), message)
                    done.append(do.SendMessage(said, trunk_of(connection)))
                case do.CloseControl(connection) if connection > 0:
                    done += self._closed(trunk_of(connection), pair_of(connection))
                case _:
                    done.append(action)
        return done

    def _received(
        self, message: m.Message | m.UnknownMessage, trunk: ConnectionId, now: float
    ) -> Iterator[e.Event]:
        pair, inner = (
            (message.pair, message.message) if isinstance(message, m.ForPair) else (0, message)
        )
        pairs, connection = self._pairs[trunk], seat(trunk, pair)
        if pair in pairs and isinstance(inner, m.Leave):
            pairs.discard(pair)
            if not pairs:
                self._forget(trunk)
                self._refused.append(do.CloseControl(trunk))
            yield e.ControlBroken(_LEFT, connection)
        elif pair in pairs:
            yield e.ControlReceived(inner, connection)
        elif not isinstance(inner, m.Register):
            pass  # late words about a registration that has ended
        elif len(pairs) >= self.most:
            text = f"a connection to this server carries at most {self.most} peers: give the others a client of their own"
            self._refuse(trunk, pair, m.ErrorCode.SERVER_FULL, text)
        elif pair and (refusal := self._refusal(self._remotes[trunk], now)) is not None:
            self._refuse(trunk, pair, refusal.code, refusal.text)
        elif pair:
            pairs.add(pair)
            yield e.ControlOpened(connection, self._remotes[trunk])
            yield e.ControlReceived(inner, connection)

    def _refuse(self, trunk: ConnectionId, pair: int, code: m.ErrorCode, text: str) -> None:
        refused = for_pair(pair, m.Refused(code, text))
        self._refused.append(do.SendMessage(refused, trunk))

    def _closed(self, trunk: ConnectionId, pair: int) -> list[do.Action]:
        """The machine has ended that registration."""
        pairs = self._pairs.get(trunk)
        if pairs is None:
            return [do.CloseControl(trunk)]
        pairs.discard(pair)
        if pairs:
            return [do.SendMessage(for_pair(pair, m.Leave()), trunk)]
        self._forget(trunk)
        return [do.CloseControl(trunk)]

    def _forget(self, trunk: ConnectionId) -> set[int]:
        self._remotes.pop(trunk, None)
        return self._pairs.pop(trunk)
