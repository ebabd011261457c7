"""One socket's part in a round: keeps HELLOs that come too early, obeys orders, tells what was heard."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from nat_traversal.machine import events as e
from nat_traversal.paths.methods.handshake import Handshake, HandshakeState, Output
from nat_traversal.wire import messages as m
from nat_traversal.wire.datagrams import Confirm, Hello
from nat_traversal.wire.endpoint import Endpoint

MAX_EARLY = 4
"""HELLOs that are kept until the round starts; the oldest makes room."""


class Puncher:
    """Turns one `Handshake` of the socket `generation` into actions. Each method yields them."""

    def __init__(self, generation: int) -> None:
        self._generation = generation
        self._handshake: Handshake | None = None
        self._obeyed: m.SendHello | None = None
        self._early: list[tuple[Hello, Endpoint]] = []

    @property
    def round(self) -> m.StartRound | None:
        """The round that has begun, if one has."""
        return self._handshake.start if self._handshake else None

    @property
    def remote(self) -> Endpoint | None:
        """Where the peer hears this socket and is heard from, once both are proven."""
        handshake = self._handshake
        proven = handshake is not None and handshake.state is HandshakeState.ESTABLISHED
        return handshake.remote if handshake and proven else None

    @property
    def peer_has_proof(self) -> bool:
        """The peer has sent what only an established peer sends."""
        return self._handshake is not None and self._handshake.peer_has_proof

    @property
    def deadline(self) -> float | None:
        """When to call `repeat` next."""
        return self._handshake.deadline if self._handshake else None

    def start(self, start: m.StartRound, now: float) -> Iterator[e.Action]:
        """The round begins, with the HELLOs that overtook the server's word of it."""
        self._handshake = Handshake(start)
        yield e.Tell(e.RoundStarted(start.attempt, start.round, start.role, start.candidates))
        for hello, source in self._early:
            yield from self.hello_arrived(hello, source, now)

    def ordered(self, order: m.SendHello, now: float) -> Iterator[e.Action]:
        """The server's order, if it is one of this round."""
        start = self.round
        if start is None or (order.attempt, order.round) != (start.attempt, start.round):
            return
        assert self._handshake is not None
        outputs = self._handshake.ordered(order.step, now)
        if outputs is not None:
            self._obeyed = order
            yield from self._send(outputs)
            yield e.SendMessage(m.HelloSent(order.transaction))

    def hello_arrived(self, hello: Hello, source: Endpoint, now: float) -> Iterator[e.Action]:
        handshake = self._handshake
        if handshake is None:
            self._early = [*self._early[1 - MAX_EARLY :], (hello, source)]
            return
        news = hello.step not in handshake.heard_steps
        outputs = handshake.hello_arrived(hello, source, now)
        if outputs is None:
            return
        if news:
            yield e.Tell(e.HelloCameIn(hello.round, hello.step, source))
            if hello.step == 2 and self._obeyed is not None and self._obeyed.step == 3:
                # The server has waited for this round's proof since its order: it is on its way.
                yield e.SendMessage(m.HelloSent(self._obeyed.transaction))
        yield from self._send(outputs)

    def confirm_arrived(self, confirm: Confirm, source: Endpoint) -> Iterator[e.Action]:
        if self._handshake is not None:
            yield from self._send(self._handshake.confirm_arrived(confirm, source) or ())

    def traffic_arrived(self, mark: bytes, source: Endpoint) -> None:
        """What only an established peer sends. `mark` is the round's token or the beginning of it."""
        handshake = self._handshake
        if handshake is not None and handshake.start.token.startswith(mark):
            handshake.traffic_arrived(source)

    def repeat(self, now: float) -> Iterator[e.Action]:
        """The deadline is due."""
        if self._handshake is not None:
            yield from self._send(self._handshake.repeat(now))

    def _send(self, outputs: Iterable[Output]) -> Iterator[e.Action]:
        for datagram, destination in outputs:
            yield e.SendDatagram(datagram, destination, self._generation)
            if isinstance(datagram, Hello) and datagram.copy == 0:
                yield e.Tell(e.HelloWentOut(datagram.round, datagram.step, destination))
