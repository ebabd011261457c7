"""A peer that was let in and keeps no rule of TCP services takes no memory without bound, and raises nothing but an end."""

from __future__ import annotations

import random
import time

import pytest
from aioquic.quic.rangeset import RangeSet

from nat_traversal.errors import KeyRefusedError
from nat_traversal.streams import actions as do
from nat_traversal.streams import quic
from nat_traversal.streams.credit import INITIAL_CREDIT, MOST_WINDOW
from nat_traversal.streams.pieces import Pieces
from nat_traversal.streams.quic import MOST_STREAMS
from tests.unit.streams.hostile import Hostile, crypto_frame, reset_frame, stop_frame, stream_frame
from tests.unit.streams.pair import identity

BEYOND = [do.Closed("octets came in a stream beyond what was granted")]
GRANTS = {True: 3, False: 2}
"""The stream of the peer's grants, by whether the victim listens."""


def kept(hostile: Hostile) -> int:
    """Octets in QUIC's buffers of the victim."""
    streams = hostile.victim.streams._quic._streams.values()
    return sum(len(each.receiver._buffer) for each in streams)


@pytest.mark.parametrize("is_opened", [True, False])
def test_one_octet_behind_a_gap_of_more_than_was_granted_ends_it(is_opened: bool) -> None:
    hostile = Hostile(listens=False)
    if is_opened:
        assert hostile.sends(stream_frame(0, 0, b"\x01")) == [do.Opened(0)]
    assert hostile.sends(stream_frame(0, INITIAL_CREDIT, b"x")) == []  # the last that it may send
    assert hostile.sends(stream_frame(0, INITIAL_CREDIT + 1, b"x")) == BEYOND
    most = hostile.victim.streams._quic._streams[0].max_stream_data_local
    for offset in (most - 1, 2 * most - 1, 4 * most - 1):  # aioquic doubles its window each time
        assert hostile.sends(stream_frame(0, offset, b"x")) == []
    assert kept(hostile) <= INITIAL_CREDIT + 2


def test_the_side_that_listens_takes_no_such_octet_either() -> None:
    hostile = Hostile(listens=True)
    stream = hostile.victim.streams.open()
    assert hostile.sends(stream_frame(stream, INITIAL_CREDIT - 1, b"x")) == []
    assert hostile.sends(stream_frame(stream, INITIAL_CREDIT + 1, b"x")) == BEYOND


@pytest.mark.parametrize("listens", [True, False])
def test_grants_have_no_wide_gap(listens: bool) -> None:
    hostile = Hostile(listens=listens)
    assert hostile.sends(stream_frame(GRANTS[listens], MOST_WINDOW - 1, b"x")) == []
    assert hostile.sends(stream_frame(GRANTS[listens], MOST_WINDOW, b"x")) == BEYOND


def test_the_side_that_connects_opens_no_stream() -> None:
    hostile = Hostile(listens=True)
    assert hostile.sends(stream_frame(1, 0, b"\x01")) == [
        do.Closed("a stream of an unknown kind was opened")
    ]


def test_streams_without_end_that_never_say_a_word_are_refused() -> None:
    hostile = Hostile(listens=False)
    streams = hostile.victim.streams._quic._streams
    assert hostile.sends(*(reset_frame(4 * each, 0) for each in range(200))) == []
    last = 2 * MOST_STREAMS - 1
    assert hostile.sends(reset_frame(4 * last, 0)) == []
    assert len(streams) <= 2 * MOST_STREAMS + 2
    (closed,) = hostile.sends(stream_frame(4 * (last + 1), 0, b"\x01"))
    assert closed == do.Closed("Too many streams open")
    assert len(streams) <= 2 * MOST_STREAMS + 2


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize("is_last", [True, False])
def test_a_stream_that_takes_nothing_from_the_first_is_not_opened(
    at_once: bool, is_last: bool
) -> None:
    hostile = Hostile(listens=False)
    words = stop_frame(0), stream_frame(0, 0, b"\x01hello", is_last=is_last)
    for packets in [words] if at_once else [words[:1], words[1:]]:
        assert hostile.sends(*packets) == []
    victim = hostile.victim.streams
    assert victim.room(0) == 0
    assert victim.streams == (0 if is_last else 1)
    assert hostile.sends(stream_frame(4, 0, b"\x01")) == [do.Opened(4)]


def test_a_certificate_of_another_version_is_refused_as_any_that_cannot_be_read() -> None:
    of_version_3, of_version_2 = b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x01"
    certificate = identity().octets
    assert of_version_3 in certificate
    with pytest.raises(KeyRefusedError, match="cannot be read"):
        quic.client(certificate.replace(of_version_3, of_version_2, 1), 1200)


def scattered(count: int) -> bytes:
    """Frames of every second octet of a stream, without its first ones."""
    return b"".join(stream_frame(0, 3 + 2 * each, b"x") for each in range(count))


def test_more_pieces_than_any_loss_makes_end_it() -> None:
    hostile = Hostile(listens=False)
    most = 128 + (INITIAL_CREDIT + 1) // 1024
    assert hostile.sends(scattered(most)) == []
    assert hostile.sends(scattered(most + 1)) == [
        do.Closed("octets came in more pieces than any loss makes")
    ]


def test_a_message_of_tls_that_no_handshake_has_ends_it() -> None:
    ended = [do.Closed("a message of TLS came that no handshake has")]
    hostile = Hostile(listens=False)
    assert hostile.sends(b"".join(crypto_frame(3 + 2 * each, b"x") for each in range(64))) == []
    assert hostile.sends(crypto_frame(200, b"x")) == ended
    hostile = Hostile(listens=True)
    message = b"\x04\xff\xff\xff" + bytes(65_532)
    for at in range(0, len(message), 1024):
        assert hostile.sends(crypto_frame(at, message[at : at + 1024])) == []
    assert hostile.sends(crypto_frame(len(message), b"x")) == ended


def test_pieces_are_what_aioquic_makes_of_them() -> None:
    for seed in range(200):
        rng, pieces, ranges = random.Random(seed), Pieces(), RangeSet()
        for _ in range(60):
            start = rng.randrange(100)
            stop = start + rng.randint(1, 1 + seed % 9)
            pieces.add(start, stop)
            ranges.add(start, stop)
            assert [pieces[at] for at in range(len(pieces))] == list(ranges)
            if rng.random() < 0.1:
                assert pieces.shift() == ranges.shift()
    with pytest.raises(IndexError):
        Pieces()[0]


def test_a_frame_costs_no_more_where_there_are_many_pieces() -> None:
    pieces = Pieces()
    for each in range(5_000):
        pieces.add(2 * each, 2 * each + 1)
    before = time.process_time()
    for _ in range(10_000):
        pieces.add(9_998, 9_999)
    assert time.process_time() - before < 0.5, "aioquic's take 1.7 s"
