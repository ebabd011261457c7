"""One QUIC connection between two hosts and the TCP connections in it: events in, actions out.

The side that listens is QUIC's client and opens a stream for each connection. Its first octet says what it is for. Each
side has one stream more, for its grants of credit.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field

from aioquic.quic import events as q
from aioquic.quic.connection import QuicConnection

from nat_traversal.errors import WireError
from nat_traversal.machine.transitions import StateMachine
from nat_traversal.streams import actions as do
from nat_traversal.streams.actions import StreamAction, Why
from nat_traversal.streams.awake import Awake
from nat_traversal.streams.credit import (
    INITIAL_CREDIT,
    MOST_WINDOW,
    Grants,
    Incoming,
    Outgoing,
    encode_grant,
    window,
)
from nat_traversal.streams.quic import (
    ADDRESS,
    control_of,
    end_of,
    hoards,
    is_stopped,
    resize,
    restart,
)
from nat_traversal.streams.states import TABLE, StreamState, StreamTrigger

log = logging.getLogger(__name__)

TCP = b"\x01"
"""The first octet of a stream from the side that listens: an ordinary TCP connection."""
SILENCE = 60.0
"""Seconds without an answer, while a path stands and QUIC asks for one, until it is over."""
_SILENT = f"no answer for {SILENCE:g} s"
_BEYOND_CREDIT = "octets came in a stream beyond what was granted"
_SCATTERED = "octets came in more pieces than any loss makes"
_HOARDS = "a message of TLS came that no handshake has"
_PIECES, _PIECE = 128, 1024
"""Of a stream: pieces that may have come before others, and one more for each so many octets that were granted."""
_ROUNDING = 1e-6
"""Seconds. aioquic adds a pause to a time, and later takes it from another: the two may miss each other by the last bit."""
_LONGEST_PAUSE = 3600.0
"""Seconds: QUIC asks again far sooner."""
BAD_WORD = 0x10
"""QUIC's application error where the other side breaks these rules."""
_GRANTS_OF_CLIENT, _GRANTS_OF_SERVER = 2, 3
"""The streams that carry grants: the first unidirectional ones of each side."""


@dataclass(slots=True)
class _Stream:
    state: StateMachine[StreamState, StreamTrigger]
    outgoing: Outgoing = field(default_factory=Outgoing)
    incoming: Incoming = field(default_factory=Incoming)


class Streams:
    """The machine. `opens`: this side listens, and so opens the streams."""

    def __init__(self, quic: QuicConnection, *, opens: bool) -> None:
        self._quic = quic
        self._awake = Awake(quic, control_of(quic))
        self._opens = opens
        self._own_grants = _GRANTS_OF_CLIENT if opens else _GRANTS_OF_SERVER
        self._their_grants = _GRANTS_OF_SERVER if opens else _GRANTS_OF_CLIENT
        self._grants = Grants()
        self._streams: dict[int, _Stream] = {}
        self._is_closed = False
        self._asked_at: float | None = None
        """When the first timer ran out since the other side was heard last."""

    # What this side wants

    def start(self, now: float) -> None:
        """Begin the handshake: the side that listens calls it once."""
        self._quic.connect(ADDRESS, now)

    def open(self) -> int:
        """A new connection of a local program: its stream."""
        stream = self._quic.get_next_available_stream_id()
        self._quic.send_stream_data(stream, TCP)
        self._begin(stream)
        return stream

    def room(self, stream: int) -> int:
        """Octets that may be sent in it now."""
        at = self._streams.get(stream)
        if at is None or not at.state.allows(StreamTrigger.END):
            return 0
        return at.outgoing.room

    def send(self, stream: int, octets: bytes) -> None:
        """The program has sent these: at most `room`."""
        at = self._streams[stream]
        at.outgoing.sent(len(octets))
        self._quic.send_stream_data(stream, octets)

    def end(self, stream: int) -> None:
        """The program has sent its last octet."""
        if self._fire(stream, StreamTrigger.END):
            self._quic.send_stream_data(stream, b"", end_stream=True)

    def break_off(self, stream: int, why: Why) -> None:
        """End both directions at once. Octets that are on their way are lost."""
        at = self._streams.get(stream)
        if at is None or not at.state.allows(StreamTrigger.BREAK):
            return
        receives = at.state.state is not StreamState.HEARD
        self._fire(stream, StreamTrigger.BREAK)
        self._quic.reset_stream(stream, why)
        if receives:
            self._quic.stop_stream(stream, why)

    def read(self, stream: int, octets: int) -> None:
        """The program has taken so many of the octets that came."""
        at = self._streams.get(stream)
        if at is None or not octets or self._is_closed:
            return
        limit = at.incoming.read(octets, window(len(self._streams)))
        if limit is not None and at.state.allows(StreamTrigger.PEER_END):
            self._quic.send_stream_data(self._own_grants, encode_grant(stream, limit))

    def resize(self, octets: int) -> None:
        """Datagrams of so many octets pass whole: QUIC's may have as many, if that is more than it needs at least."""
        resize(self._quic, octets)

    def close(self, reason: str = "") -> None:
        """End it. `datagrams` has the word to the other side."""
        self._is_closed = True
        self._quic.close(error_code=BAD_WORD if reason else 0, reason_phrase=reason)

    # Datagrams and time

    @property
    def streams(self) -> int:
        """How many there are."""
        return len(self._streams)

    @property
    def deadline(self) -> float | None:
        """When to call `due` next."""
        return self._quic.get_timer()

    def datagrams(self, now: float) -> list[bytes]:
        """Those that are to leave now."""
        return self._awake.datagrams(now + _ROUNDING)

    def arrived(self, datagrams: Iterable[bytes], now: float) -> list[StreamAction]:
        """Datagrams came."""
        self._asked_at = None
        problem = ""
        for datagram in datagrams:
            self._quic.receive_datagram(datagram, ADDRESS, now)
            if hoards(self._quic):
                problem = _HOARDS
                break
        found = self._happened()
        problem = problem or self._excess()
        if problem and not self._is_closed:
            self.close(problem)
            found.append(do.Closed(problem))
        return found

    def due(self, now: float) -> list[StreamAction]:
        """The deadline has come."""
        self._asked_at = now if self._asked_at is None else self._asked_at
        if now - self._asked_at > SILENCE and not self._is_closed:
            self.close(_SILENT)
            return [do.Closed(_SILENT)]
        self._quic.handle_timer(now + _ROUNDING)
        return self._happened()

    def hurry(self, now: float) -> list[StreamAction]:
        """Datagrams take another way from now on, of which nothing is known: ask at once what has arrived, and not only
        after the pause that silence has made long."""
        restart(self._quic)
        deadline = self.deadline
        if deadline is None or deadline - now > _LONGEST_PAUSE:
            return []  # nothing is on its way
        self._asked_at = None
        self._quic.handle_timer(max(now, deadline))
        return self._happened()

    # What the other side wants

    def _happened(self) -> list[StreamAction]:
        found: list[StreamAction] = []
        while (event := self._quic.next_event()) is not None:
            try:
                found += self._event(event)
            except WireError as error:
                log.debug("closing: %s", error)
                if not self._is_closed:
                    self.close(str(error))
                    found.append(do.Closed(str(error)))
        end = end_of(self._quic)
        if end is not None and not self._is_closed:
            self._is_closed = True
            found.append(do.Closed(_in_words(end)))
        return found

    def _excess(self) -> str:
        """Octets behind a gap make no event, but aioquic keeps room for all before them, and doubles its window: ten
        datagrams of one octet would take 4 GiB. It keeps a note of each piece as well."""
        for stream in self._awake.heard():
            number, receiver = stream.stream_id, stream.receiver
            begin = receiver.starting_offset()
            if number == self._their_grants:
                limit = begin + MOST_WINDOW
            else:
                at = self._streams.get(number) if number is not None else None
                limit = (at.incoming.limit if at else INITIAL_CREDIT) + len(TCP)
            if receiver.highest_offset > limit:
                return _BEYOND_CREDIT
            if len(receiver._ranges) > _PIECES + (limit - begin) // _PIECE:  # noqa: SLF001
                return _SCATTERED
        return ""

    def _event(self, event: q.QuicEvent) -> list[StreamAction]:
        match event:
            case _ if self._is_closed:
                return []
            case q.StreamDataReceived(data, end_stream, stream):
                return self._data(stream, data, is_last=end_stream)
            case q.StreamReset(code, stream):
                return self._broken(stream, code, StreamTrigger.PEER_BREAK)
            case q.StopSendingReceived(code, stream):
                return self._broken(stream, code, StreamTrigger.PEER_STOP)
        return []

    def _data(self, stream: int, octets: bytes, *, is_last: bool) -> list[StreamAction]:
        if stream == self._their_grants:
            return self._granted(octets)
        if stream & 0x03:
            raise WireError("a stream of an unknown kind was opened")
        found: list[StreamAction] = []
        at = self._streams.get(stream)
        if at is None:
            if self._opens:
                return []  # it has ended here
            if octets[:1] != TCP:
                raise WireError("a stream of an unknown kind was opened")
            octets = octets[1:]
            at = self._begin(stream)
            if is_stopped(self._quic, stream):  # that was told before its first octet came
                self._fire(stream, StreamTrigger.PEER_STOP)
            else:
                found.append(do.Opened(stream))
        if at.state.state is not StreamState.BROKEN and octets:
            at.incoming.arrived(len(octets))
            found.append(do.Received(stream, octets))
        if is_last:
            was_broken = at.state.state is StreamState.BROKEN
            if self._fire(stream, StreamTrigger.PEER_END) and not was_broken:
                found.append(do.Ended(stream))
        return found

    def _granted(self, octets: bytes) -> list[StreamAction]:
        return [
            do.Granted(stream)
            for stream, limit in self._grants.arrived(octets)
            if (at := self._streams.get(stream)) is not None and at.outgoing.granted(limit)
        ]

    def _broken(self, stream: int, code: int, trigger: StreamTrigger) -> list[StreamAction]:
        if stream & 0x02:
            raise WireError("the stream of grants was broken off")
        at = self._streams.get(stream)
        if at is None:
            return []
        before = at.state.state
        if not self._fire(stream, trigger) or before is StreamState.BROKEN:
            return []
        self._quic.reset_stream(stream, code)
        return [do.Broken(stream, code)]

    def _begin(self, stream: int) -> _Stream:
        state = StateMachine(f"stream {stream}", StreamState.OPEN, TABLE)
        at = self._streams[stream] = _Stream(state)
        return at

    def _fire(self, stream: int, trigger: StreamTrigger) -> bool:
        """Whether it means something in the state of that stream."""
        at = self._streams.get(stream)
        if at is None or not at.state.allows(trigger):
            return False
        if at.state.fire(trigger) is StreamState.GONE:
            del self._streams[stream]
        return True


def _in_words(event: q.ConnectionTerminated) -> str:
    if not event.error_code and not event.reason_phrase:
        return ""
    return event.reason_phrase or f"QUIC error {event.error_code:#x}"
