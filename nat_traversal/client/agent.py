"""A client as a machine without I/O: obeys the server, punches, keeps the path, comes back.

Four parts share one set of timers: the control link, the announces and the HELLOs of a socket, the
established path. This module ties them together. Feed `handle` events, carry out the actions that it returns, call it
with `TimerFired` at `deadline()`.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Iterator
from enum import Enum, auto

from nat_traversal.client.announcer import Announcer
from nat_traversal.client.control_link import ControlLink, Identity
from nat_traversal.errors import UsageError
from nat_traversal.machine import events as e
from nat_traversal.machine.timers import Backoff, Timers
from nat_traversal.machine.transitions import StateMachine
from nat_traversal.paths.consent import Path
from nat_traversal.paths.methods.puncher import Puncher
from nat_traversal.wire import PROTOCOL_VERSION, TOKEN_BYTES, datagrams
from nat_traversal.wire import messages as m
from nat_traversal.wire.control import MAX_COUNTER
from nat_traversal.wire.endpoint import Endpoint
from nat_traversal.wire.ids import check_id

log = logging.getLogger(__name__)

METHOD = "ordered-hello"
"""The name of the contract's rung, for logs, results and reports."""
RETRY_FIRST = 5.0
RETRY_MOST = 300.0
"""Seconds: pause after the first failed attempt, and the longest; jittered by `Backoff`."""

FINAL_REFUSALS = frozenset(
    {m.ErrorCode.BAD_ID, m.ErrorCode.ID_IN_USE, m.ErrorCode.UNSUPPORTED_VERSION}
)
"""Trying again would not help: the user has to change something."""


class PathState(Enum):
    """Named by what the UDP socket is for."""

    IDLE = auto()  # no socket: not registered, or pausing after a failure
    ANNOUNCING = auto()  # shown to the server, kept open while waiting for the peer
    PUNCHING = auto()  # in a round of HELLOs
    ESTABLISHED = auto()  # a path
    CLOSED = auto()


class PathTrigger(Enum):
    OPEN = auto()
    START = auto()
    PROVEN = auto()
    GIVE_UP = auto()
    CLOSE = auto()


_S, _T = PathState, PathTrigger
TABLE = {
    (_S.IDLE, _T.OPEN): _S.ANNOUNCING,
    (_S.ANNOUNCING, _T.OPEN): _S.ANNOUNCING,
    (_S.PUNCHING, _T.OPEN): _S.ANNOUNCING,
    (_S.ESTABLISHED, _T.OPEN): _S.ANNOUNCING,
    (_S.ANNOUNCING, _T.START): _S.PUNCHING,
    (_S.PUNCHING, _T.PROVEN): _S.ESTABLISHED,
    (_S.IDLE, _T.GIVE_UP): _S.IDLE,
    (_S.ANNOUNCING, _T.GIVE_UP): _S.IDLE,
    (_S.PUNCHING, _T.GIVE_UP): _S.IDLE,
    (_S.ESTABLISHED, _T.GIVE_UP): _S.IDLE,
    (_S.IDLE, _T.CLOSE): _S.CLOSED,
    (_S.ANNOUNCING, _T.CLOSE): _S.CLOSED,
    (_S.PUNCHING, _T.CLOSE): _S.CLOSED,
    (_S.ESTABLISHED, _T.CLOSE): _S.CLOSED,
    (_S.CLOSED, _T.CLOSE): _S.CLOSED,
}


class Agent:
    """One client. `once`: give up for good after the first failed attempt.

    `rng` must be a `random.SystemRandom` outside tests: tokens come from it. Raises `UsageError`
    for ids that the server would refuse.
    """

    def __init__(
        self, host_id: str, peer_id: str, *, rng: random.Random, once: bool = False
    ) -> None:
        if host_id == peer_id:
            raise UsageError(f"{host_id!r} cannot be its own peer: give the hosts different ids")
        self._identity = Identity(check_id(host_id), check_id(peer_id), rng.randbytes(TOKEN_BYTES))
        self._rng = rng
        self._once = once
        self._timers = Timers()
        self._link = ControlLink(self._identity, self._timers, rng)
        self._retry = Backoff(rng, RETRY_FIRST, RETRY_MOST)
        self._machine = StateMachine("path", _S.IDLE, TABLE)
        self._generation = 0
        self._announcer: Announcer | None = None
        self._puncher: Puncher | None = None
        self._path: Path | None = None

    @property
    def state(self) -> PathState:
        return self._machine.state

    def deadline(self) -> float | None:
        """When `TimerFired` is wanted next, or None."""
        return self._timers.deadline()

    def start(self, now: float) -> list[e.Action]:
        """The first actions."""
        return list(self._link.connect(now))

    def handle(self, event: e.Event, now: float) -> list[e.Action]:
        """One event in, actions out, in the order in which to carry them out."""
        if self.state is _S.CLOSED:
            return []
        actions = list(self._dispatch(event, now))
        self._arm("announce", self._announcer.deadline if self._announcer else None)
        self._arm("handshake", self._puncher.deadline if self._puncher else None)
        self._arm("path", self._path.deadline if self._path else None)
        return actions

    def _dispatch(self, event: e.Event, now: float) -> Iterator[e.Action]:
        match event:
            case e.ControlOpened():
                yield from self._control_opened(now)
            case e.ControlReceived(message):
                self._link.heard(now)
                yield from self._message_arrived(message, now)
            case e.ControlGarbled(reason):
                yield e.CloseControl()
                yield from self._control_lost(reason, now)
            case e.ControlBroken(reason):
                yield from self._control_lost(reason, now)
            case e.DatagramArrived(datagram, source, generation):
                if generation == self._generation:
                    yield from self._datagram_arrived(datagram, source, now)
            case e.TimerFired():
                for name in self._timers.due(now):
                    yield from self._timer_fired(str(name), now)
            case e.StopRequested():
                yield from self._close()

    # The control link

    def _control_opened(self, now: float) -> Iterator[e.Action]:
        if self.state is _S.ESTABLISHED:
            yield from self._link.opened(0, now)
            return
        yield from self._open_socket(self._generation + 1)
        yield from self._link.opened(self._generation, now)
        yield self._announce(now)

    def _control_lost(self, reason: str, now: float) -> Iterator[e.Action]:
        if self.state is _S.ESTABLISHED:
            yield from self._link.broken(reason, now)
        elif self._once:
            yield e.Tell(e.ServerLost(reason, None))
            yield from self._close()
        else:
            yield from self._give_up()
            yield from self._link.broken(reason, now)

    def _message_arrived(
        self, message: m.Message | m.UnknownMessage, now: float
    ) -> Iterator[e.Action]:
        match message:
            case m.Registered(version=version) if version != PROTOCOL_VERSION:
                text = f"the server chose version {version}, this client speaks {PROTOCOL_VERSION}"
                yield from self._refused(m.ErrorCode.UNSUPPORTED_VERSION, text, now)
            case m.Registered():
                yield from self._link.accepted(message, now)
                if self.state is _S.IDLE:  # the path was lost while the answer was on its way
                    yield from self._offer(now)
            case m.Refused(code, text):
                yield from self._refused(code, text, now)
            case m.PeerStatus(state):
                yield from self._peer_status(state, now)
            case m.OpenSocket(generation):
                yield from self._fresh_socket_ordered(generation, now)
            case m.StartRound():
                yield from self._round_started(message, now)
            case m.SendHello() if self._puncher is not None:
                yield from self._puncher.ordered(message, now)
            case m.Failed(attempt, code, text):
                start = self._puncher.round if self._puncher else None
                if start is None or start.attempt == attempt:
                    yield from self._attempt_failed(code, text, now)
            case m.Heartbeat(transaction):
                yield e.SendMessage(m.HeartbeatAnswer(transaction))
            case m.HeartbeatAnswer(transaction):
                self._link.answered(transaction)
            case _:
                log.debug("ignored from the server: %r", message)

    def _refused(self, code: str, text: str, now: float) -> Iterator[e.Action]:
        if code == m.ErrorCode.UNKNOWN_MESSAGE:
            log.warning("the server does not know a message of ours: %s", text)
        elif code in FINAL_REFUSALS or (self._once and self.state is not _S.ESTABLISHED):
            yield e.Tell(e.ServerRefused(code, text))
            yield from self._close()
        else:
            yield e.CloseControl()
            yield from self._control_lost(text, now)

    def _peer_status(self, state: m.PeerState, now: float) -> Iterator[e.Action]:
        yield e.Tell(e.PeerSeen(self._identity.peer, state))
        if state is not m.PeerState.LEFT:
            return
        if self._path is not None:
            self._path.doubt(now)
        elif self.state is _S.PUNCHING:
            yield from self._offer(now)

    # Sockets and announces: steps 1 to 3

    def _fresh_socket_ordered(self, generation: int, now: float) -> Iterator[e.Action]:
        if self.state is _S.ANNOUNCING and self._generation >= generation:
            yield self._announce(now)
            return
        if self.state is _S.ESTABLISHED:
            goes_on = self._only_this_side_has_proof()
            yield e.Tell(
                e.PathLost("the other side had no proof of it", attempt_goes_on=True)
                if goes_on
                else e.PathLost("the other side asked for a new path")
            )
            if self._once and not goes_on:
                yield from self._close()
                return
        yield from self._open_socket(max(generation, self._generation + 1))
        yield self._announce(now)

    def _only_this_side_has_proof(self) -> bool:
        """Whether an order to open a socket means the next round. The peer has sent nothing that
        only an established peer sends, and has not left either."""
        puncher, path = self._puncher, self._path
        assert puncher is not None
        assert path is not None
        return not (puncher.peer_has_proof or path.is_doubted)

    def _offer(self, now: float) -> Iterator[e.Action]:
        """Ask for a new attempt with a fresh socket; without a server, wait for it."""
        if not self._link.is_registered:
            yield from self._give_up()
            return
        yield from self._open_socket(self._generation + 1)
        yield e.SendMessage(m.Retry(self._generation))
        yield self._announce(now)

    def _open_socket(self, generation: int) -> Iterator[e.Action]:
        yield from self._drop_socket()
        self._machine.fire(_T.OPEN)
        self._generation = (generation - 1) % MAX_COUNTER + 1
        self._announcer = Announcer(self._identity.token, self._generation, self._rng)
        self._puncher = Puncher(self._generation)
        yield e.OpenUdp(self._generation)

    def _drop_socket(self) -> Iterator[e.Action]:
        self._puncher = None
        self._path = None
        self._announcer = None
        self._timers.cancel("retry")
        if self.state is not _S.IDLE:
            yield e.CloseUdp(self._generation)

    def _give_up(self) -> Iterator[e.Action]:
        yield from self._drop_socket()
        self._machine.fire(_T.GIVE_UP)

    def _announce(self, now: float) -> e.Action:
        assert self._announcer is not None
        return self._announcer.announce(now)

    # The round: steps 4 to 6

    def _round_started(self, start: m.StartRound, now: float) -> Iterator[e.Action]:
        if self.state is not _S.ANNOUNCING:
            return
        assert self._announcer is not None
        assert self._puncher is not None
        self._machine.fire(_T.START)
        self._announcer.stop()
        yield from self._puncher.start(start, now)

    def _see_whether_proven(self, now: float) -> Iterator[e.Action]:
        """After a datagram of the round: was that the proof?"""
        if self.state is not _S.PUNCHING or self._puncher is None:
            return
        start, remote = self._puncher.round, self._puncher.remote
        if start is None or remote is None:
            return
        self._machine.fire(_T.PROVEN)
        self._retry.reset()
        self._path = Path(start.token, remote, self._rng, now)
        if self._link.is_registered:
            yield e.SendMessage(m.Established(start.attempt, start.round))
        yield e.Tell(
            e.PathEstablished(
                start.attempt, start.round, METHOD, remote, self._generation, start.token
            )
        )

    def _attempt_failed(self, code: str, text: str, now: float) -> Iterator[e.Action]:
        if self.state is _S.ESTABLISHED:
            yield e.Tell(e.PathLost("the other side never confirmed the path"))
        yield from self._give_up()
        if self._once:
            yield e.Tell(e.AttemptFailed(code, text, None))
            yield from self._close()
            return
        pause = self._retry.next()
        self._timers.set("retry", now + pause)
        yield e.Tell(e.AttemptFailed(code, text, pause))

    # Datagrams and the path

    def _datagram_arrived(
        self, datagram: datagrams.Datagram, source: Endpoint, now: float
    ) -> Iterator[e.Action]:
        match datagram:
            case datagrams.Announced() if self._announcer is not None:
                before = self._announcer.mapped
                yield from self._announcer.answered(datagram, now)
                if before not in (None, self._announcer.mapped):
                    yield from self._link.doubt(now)
            case datagrams.Hello() if self._puncher is not None:
                yield from self._puncher.hello_arrived(datagram, source, now)
                yield from self._see_whether_proven(now)
            case datagrams.Confirm() if self._puncher is not None:
                yield from self._puncher.confirm_arrived(datagram, source)
                yield from self._see_whether_proven(now)
            case datagrams.Ping() | datagrams.Pong() | datagrams.Bye():
                yield from self._traffic_arrived(datagram.token, source, now)
                yield from self._path_datagram(datagram, source, now)
            case datagrams.Data(tag=tag) | datagrams.Fragment(tag=tag):
                yield from self._traffic_arrived(tag, source, now)
            case _:
                log.debug("ignored from %s: %r", source, datagram)

    def _traffic_arrived(self, mark: bytes, source: Endpoint, now: float) -> Iterator[e.Action]:
        if self._puncher is not None:
            self._puncher.traffic_arrived(mark, source)
            yield from self._see_whether_proven(now)

    def _path_datagram(
        self,
        datagram: datagrams.Ping | datagrams.Pong | datagrams.Bye,
        source: Endpoint,
        now: float,
    ) -> Iterator[e.Action]:
        path = self._path
        if path is None:
            return
        if isinstance(datagram, datagrams.Bye):
            if path.is_farewell(datagram, source):
                yield from self._path_lost("the other side closed it", now)
            return
        for answer in path.arrived(datagram, source, now):
            yield e.SendDatagram(answer, path.remote, self._generation)

    def _path_lost(self, reason: str, now: float) -> Iterator[e.Action]:
        yield e.Tell(e.PathLost(reason))
        if self._once:
            yield from self._close()
        else:
            yield from self._link.doubt(now)
            yield from self._offer(now)

    # Time, and the end

    def _timer_fired(self, name: str, now: float) -> Iterator[e.Action]:
        if name in ControlLink.TIMERS:
            if (reason := self._link.timed_out(name, now)) is not None:
                yield e.CloseControl()
                yield from self._control_lost(reason, now)
            else:
                yield from self._link.timer_fired(name, now)
        elif name == "announce" and self._announcer is not None:
            yield from self._announcer.due(now, server_answers=self._link.is_registered)
        elif name == "retry":
            yield from self._offer(now)
        elif name == "handshake" and self._puncher is not None:
            yield from self._puncher.repeat(now)
        elif name == "path" and self._path is not None:
            if self._path.has_ended(now):
                yield from self._path_lost("the other side has stopped answering", now)
                return
            if self._path.falls_silent(now):
                yield from self._link.doubt(now)
            for ping in self._path.ping_if_due(now):
                yield e.SendDatagram(ping, self._path.remote, self._generation)

    def _close(self) -> Iterator[e.Action]:
        if self._path is not None:
            yield e.SendDatagram(self._path.farewell(), self._path.remote, self._generation)
        yield from self._link.close()
        yield from self._drop_socket()
        self._machine.fire(_T.CLOSE)

    def _arm(self, name: str, deadline: float | None) -> None:
        if deadline is None:
            self._timers.cancel(name)
        else:
            self._timers.set(name, deadline)
