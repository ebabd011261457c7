"""The datagrams of a QUIC connection that leave now, at a cost that silent streams do not add to.

For each packet, `aioquic` looks at every stream twice. Here it sees a few at a time, of those alone that may have
something for it. The order in which streams have their turn stays its own.
"""

# ruff: noqa: SLF001 - aioquic's interface has no word for it; see `quic._with_streams`

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from aioquic.quic.connection import QuicConnection
from aioquic.quic.stream import QuicStream

from nat_traversal.streams.bbr import Bbr
from nat_traversal.streams.pieces import Pieces

AT_ONCE = 32
"""Streams that aioquic sees: more fit into a packet only if each has little to say."""


class _Known(dict[int, QuicStream]):
    """The streams of a connection. aioquic asks for one with `get` when a frame for it comes, and when something is to be
    sent in it."""

    def __init__(self) -> None:
        super().__init__()
        self.touched: set[int] = set()

    def __setitem__(self, key: int, stream: QuicStream) -> None:
        receiver: Any = stream.receiver
        receiver._ranges = Pieces()
        super().__setitem__(key, stream)

    def get(self, key: int, default: Any = None) -> Any:
        self.touched.add(key)
        return super().get(key, default)

    def peek(self, key: int) -> QuicStream | None:
        """As `get`, of no account."""
        return super().get(key)


class Awake:
    """One connection's. Make it before there are streams."""

    def __init__(self, quic: QuicConnection, control: Bbr) -> None:
        self._quic = quic
        self._control = control
        assert not quic._streams, "made too late"
        quic._streams = self._known = _Known()

    def datagrams(self, now: float) -> list[bytes]:
        """Those that are to leave now."""
        quic, known = self._quic, self._known
        awake = self._woken()
        served: list[QuicStream] = []
        found: list[bytes] = []
        try:
            while True:
                some, awake = awake[:AT_ONCE], awake[AT_ONCE:]
                seen = {_number(stream): stream for stream in some}
                quic._streams, quic._streams_queue = dict(seen), some
                found += [octets for octets, _ in quic.datagrams_to_send(now)]
                for ended in seen.keys() - quic._streams.keys():
                    del known[ended]
                served += quic._streams_queue
                is_held = quic._pacing_at is not None
                self._control.built(is_held=is_held or bool(awake))
                if not awake or is_held or self._control.is_full:
                    return found
        finally:
            quic._streams = known
            quic._streams_queue = awake + [each for each in served if not _is_silent(each)]

    def heard(self) -> Iterator[QuicStream]:
        """The streams of which a frame may have come since `datagrams`, those that may still receive."""
        for number in self._known.touched:
            stream = self._known.peek(number)
            if stream is not None and not stream.receiver.is_finished:
                yield stream

    def _woken(self) -> list[QuicStream]:
        """All that may have something to say."""
        awake, known = self._quic._streams_queue, self._known
        asleep = known.touched - {_number(stream) for stream in awake}
        known.touched.clear()
        return awake + [known[number] for number in sorted(asleep) if number in known]


def _number(stream: QuicStream) -> int:
    assert stream.stream_id is not None
    return stream.stream_id


def _is_silent(stream: QuicStream) -> bool:
    """It has nothing to say, and waits for no acknowledgement that could change that."""
    sender, receiver, limit = stream.sender, stream.receiver, stream.max_stream_data_local
    return (
        sender._buffer_start == sender._buffer_stop
        and (
            sender.is_finished or (sender._buffer_fin is None and sender._reset_error_code is None)
        )
        and not (sender.is_finished and receiver.is_finished)
        and receiver._stop_error_code is None
        and stream.max_stream_data_local_sent == limit
        and (not limit or receiver.highest_offset * 2 <= limit)
    )
