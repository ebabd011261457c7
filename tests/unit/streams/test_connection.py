"""Streams between two machines: what one side's program says arrives, whatever happens to datagrams between."""

from __future__ import annotations

import random
from typing import Any

import pytest
from aioquic.quic.connection import QuicConnection

from nat_traversal.aio.stream_identity import made_identity
from nat_traversal.errors import KeyRefusedError, WireError
from nat_traversal.streams import quic
from nat_traversal.streams.actions import Why
from nat_traversal.streams.connection import SILENCE
from nat_traversal.streams.credit import INITIAL_CREDIT, MOST_WINDOW
from tests.unit.streams.pair import WAY, Pair, broken_off, identity

SLOW = 0.25
"""Seconds from one side to the other, on another path."""
OCTETS = random.Random(3).randbytes(200_000)


def opened(pair: Pair) -> int:
    """A connection that both sides know."""
    stream = pair.a.streams.open()
    pair.a.flush()
    pair.run(1.0)
    assert stream in pair.b.opened
    return stream


@pytest.mark.parametrize("loss", [0.0, 0.05, 0.3])
def test_both_directions_arrive_whole_and_in_order(loss: float) -> None:
    pair = Pair(loss=loss)
    stream = pair.a.streams.open()
    pair.a.says(stream, OCTETS, is_last=True)
    pair.run(2.0)
    pair.b.says(stream, OCTETS[::-1], is_last=True)
    pair.run(600.0)
    assert pair.b.received[stream] == OCTETS
    assert pair.a.received[stream] == OCTETS[::-1]
    assert (pair.a.ended, pair.b.ended) == ([stream], [stream])
    assert (pair.a.streams.streams, pair.b.streams.streams) == (0, 0)
    assert (pair.a.closed, pair.b.closed) == ([], [])


def test_loss_at_random_does_not_slow_it_down() -> None:
    pair = Pair(loss=0.05)
    stream = opened(pair)
    began = pair.clock.now
    pair.a.says(stream, 10 * OCTETS, is_last=True)
    took = pair.clock.run_until(lambda: bool(pair.b.ended), 60.0) - began
    assert took < 40 * WAY  # with CUBIC it is some seven hundred


def test_a_connection_is_known_before_its_program_says_anything() -> None:
    pair = Pair()
    stream = pair.a.streams.open()
    pair.a.flush()
    pair.run(3.5 * WAY)
    assert pair.b.opened == [stream]
    assert pair.b.received == {}


def test_one_direction_ends_and_the_other_goes_on() -> None:
    pair = Pair()
    stream = opened(pair)
    pair.b.says(stream, b"bye", is_last=True)
    pair.run(1.0)
    assert (bytes(pair.a.received[stream]), pair.a.ended) == (b"bye", [stream])
    pair.a.says(stream, OCTETS, is_last=True)
    pair.run(10.0)
    assert pair.b.received[stream] == OCTETS
    assert pair.b.ended == [stream]


def test_a_side_that_reads_nothing_gets_its_first_credit_and_no_more() -> None:
    pair = Pair()
    stream = opened(pair)
    pair.b.reads = False
    pair.a.says(stream, bytes(10 * INITIAL_CREDIT))
    pair.run(60.0)
    assert len(pair.b.received[stream]) == INITIAL_CREDIT
    assert pair.a.streams.room(stream) == 0


def test_what_is_granted_and_unread_has_a_bound_and_reading_goes_on_from_there() -> None:
    pair = Pair()
    stream = opened(pair)
    pair.a.says(stream, bytes(2 * INITIAL_CREDIT))
    pair.run(5.0)  # all of it is read, so the window is as wide as it gets
    pair.b.reads = False
    before = len(pair.b.received[stream])
    pair.a.says(stream, bytes(2 * MOST_WINDOW))
    pair.run(120.0)
    unread = len(pair.b.received[stream]) - before
    assert MOST_WINDOW // 2 <= unread <= MOST_WINDOW
    pair.b.reads = True
    pair.b.streams.read(stream, unread)
    pair.b.flush()
    pair.run(120.0)
    assert len(pair.b.received[stream]) == before + 2 * MOST_WINDOW


def test_a_slow_connection_does_not_hold_up_another() -> None:
    pair = Pair()
    slow, quick = opened(pair), opened(pair)
    pair.b.reads = False
    pair.a.says(slow, bytes(10 * INITIAL_CREDIT))
    pair.run(10.0)
    pair.b.reads = True
    pair.a.says(quick, OCTETS, is_last=True)
    pair.run(10.0)
    assert len(pair.b.received[slow]) == INITIAL_CREDIT
    assert pair.b.received[quick] == OCTETS


def test_a_side_that_sends_more_than_was_granted_is_told_and_closed() -> None:
    pair = Pair()
    stream = opened(pair)
    pair.b.reads = False
    pair.a.streams._streams[stream].outgoing._limit = 10 * INITIAL_CREDIT
    pair.a.says(stream, bytes(INITIAL_CREDIT + 1))
    pair.run(10.0)
    reason = "more octets came in a stream than were granted"
    assert pair.b.closed == [reason]
    assert pair.a.closed == [reason]


@pytest.mark.parametrize("of_a", [True, False])
@pytest.mark.parametrize("loss", [0.0, 0.3])
def test_a_reset_is_known_at_the_other_side_and_leaves_nothing(of_a: bool, loss: float) -> None:
    pair = Pair(loss=loss)
    stream = opened(pair)
    pair.a.says(stream, OCTETS)
    pair.b.says(stream, OCTETS)
    pair.run(0.1)
    side, other = (pair.a, pair.b) if of_a else (pair.b, pair.a)
    broken_off(side, stream, Why.REFUSED)
    pair.run(60.0)
    assert (side.broken, other.broken) == ([], [(stream, Why.REFUSED)])
    assert (pair.a.streams.streams, pair.b.streams.streams) == (0, 0)
    assert not pair.a.ended
    assert not pair.b.ended


def test_a_reset_at_both_sides_at_once_leaves_nothing() -> None:
    pair = Pair()
    stream = opened(pair)
    broken_off(pair.a, stream)
    broken_off(pair.b, stream)
    pair.run(10.0)
    assert (pair.a.streams.streams, pair.b.streams.streams) == (0, 0)
    assert (pair.a.broken, pair.b.broken) == ([], [])


@pytest.mark.long
def test_a_thousand_connections_at_once_and_as_many_again() -> None:
    pair = Pair()
    for _ in range(2):
        streams = [pair.a.streams.open() for _ in range(1000)]
        for stream in streams:
            pair.a.says(stream, b"%d" % stream, is_last=True)
        pair.run(60.0)
        for stream in streams:
            assert bytes(pair.b.received[stream]) == b"%d" % stream
            pair.b.says(stream, b"", is_last=True)
        pair.run(60.0)
        assert (pair.a.streams.streams, pair.b.streams.streams) == (0, 0)


def test_connections_with_nothing_to_say_cost_others_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks = 0

    def look(quic: QuicConnection, **of: Any) -> None:
        nonlocal looks
        looks += 1
        looked(quic, **of)

    looked = QuicConnection._write_stream_limits
    monkeypatch.setattr(QuicConnection, "_write_stream_limits", look)
    pair = Pair()
    busy, *silent = [pair.a.streams.open() for _ in range(300)]
    pair.a.flush()
    pair.run(10.0)
    looks = sent = 0
    for side in (pair.a, pair.b):
        side.sizes.clear()
    pair.a.says(busy, OCTETS, is_last=True)
    pair.run(10.0)
    sent = len(pair.a.sizes) + len(pair.b.sizes)
    assert sent > 150
    assert (
        looks < 6 * sent
    )  # each packet, and the one that would be next, for a stream and that of grants
    for stream in silent:
        pair.a.says(stream, b"%d" % stream, is_last=True)
    pair.run(10.0)
    assert [bytes(pair.b.received[stream]) for stream in silent] == [
        b"%d" % each for each in silent
    ]


def test_an_outage_breaks_nothing_and_the_new_path_is_used_at_once() -> None:
    pair = Pair()
    stream = opened(pair)
    pair.a.says(stream, OCTETS, is_last=True)
    pair.run(0.03)
    pair.passes = False
    pair.run(50.0)
    before = len(pair.b.received[stream])
    assert before < len(OCTETS)
    pair.move()
    pair.run(5 * WAY)
    assert len(pair.b.received[stream]) > before
    pair.run(20.0)
    assert pair.b.received[stream] == OCTETS


def test_a_new_path_is_used_at_once_though_silence_has_made_pauses_long() -> None:
    pair = Pair()
    stream = opened(pair)
    pair.loss = 1.0  # the path is dead, and nobody knows
    pair.a.says(stream, b"hello")
    pair.run(40.0)
    pair.loss = 0.0
    pair.move()
    pair.run(1.5 * WAY)
    assert bytes(pair.b.received[stream]) == b"hello"


def test_a_new_path_is_taken_for_one_of_which_nothing_is_known() -> None:
    def sent_in_a_round_trip() -> int:
        before = len(pair.a.sizes)
        pair.run(2 * WAY)
        return len(pair.a.sizes) - before

    pair = Pair()
    stream = opened(pair)
    pair.a.says(stream, 10 * OCTETS)
    pair.run(8 * WAY)
    before = sent_in_a_round_trip()
    pair.move()
    assert sent_in_a_round_trip() < before / 4
    pair.run(20.0)
    assert pair.b.received[stream] == 10 * OCTETS


def lone_loss(pair: Pair, stream: int) -> float:
    """Seconds until a message arrives whose first datagram is lost, with nothing behind it."""
    before = len(pair.b.received[stream])
    pair.loss = 1.0
    began = pair.clock.now
    pair.a.says(stream, b"hello")
    pair.loss = 0.0
    return pair.clock.run_until(lambda: len(pair.b.received[stream]) > before, 60.0) - began


def say_often(pair: Pair, stream: int, times: int) -> None:
    """So that both sides learn how long a round trip takes."""
    for _ in range(times):
        pair.a.says(stream, b"hello")
        pair.run(2.0)


def test_what_is_lost_on_a_new_path_is_missed_as_soon_as_its_round_trip_tells() -> None:
    pair = Pair()
    stream = opened(pair)
    on_such_a_path = lone_loss(pair, stream)
    pair.way = SLOW
    say_often(pair, stream, 40)
    assert lone_loss(pair, stream) > 2 * SLOW
    pair.way = WAY
    pair.move()
    say_often(pair, stream, 2)
    assert lone_loss(pair, stream) < 1.2 * on_such_a_path


def test_an_answer_on_the_path_before_tells_nothing_of_the_new_one() -> None:
    pair = Pair()
    stream = opened(pair)
    pair.way = SLOW
    say_often(pair, stream, 40)
    pair.a.says(stream, OCTETS[:3_000])
    pair.run(SLOW)  # it is there, and its answer is on its way
    pair.way = WAY
    pair.move()
    pair.run(2.0)
    pair.a.says(stream, b"hello")
    pair.run(2.0)
    assert lone_loss(pair, stream) < SLOW


def test_a_loss_right_after_a_long_outage_costs_no_pause_as_long_as_the_last() -> None:
    pair = Pair()
    stream = opened(pair)
    pair.loss = 1.0
    pair.a.says(stream, b"hello")
    pair.run(40.0)
    pair.move()  # and the first datagrams on it are lost too
    pair.run(0.1)
    pair.loss = 0.0
    pair.run(2.0)
    assert bytes(pair.b.received[stream]) == b"hello"


def test_a_side_that_has_said_all_can_still_break_off() -> None:
    pair = Pair()
    stream = opened(pair)
    pair.a.says(stream, b"bye", is_last=True)
    pair.run(5.0)
    broken_off(pair.a, stream)
    pair.run(5.0)
    assert pair.b.broken == [(stream, Why.RESET)]
    assert (pair.a.streams.streams, pair.b.streams.streams) == (0, 0)


def test_a_side_that_never_answers_is_given_up_with_a_reason() -> None:
    pair = Pair(loss=1.0)
    pair.a.streams.open()
    pair.a.flush()
    pair.run(3 * SILENCE)
    assert pair.a.closed == ["no answer for 60 s"]


def test_an_idle_connection_costs_nothing_and_lives() -> None:
    pair = Pair()
    stream = opened(pair)
    pair.run(60.0)
    sent = len(pair.a.sizes), len(pair.b.sizes)
    pair.run(86_400.0)
    assert (len(pair.a.sizes), len(pair.b.sizes)) == sent
    pair.b.says(stream, b"hello")
    pair.run(1.0)
    assert bytes(pair.a.received[stream]) == b"hello"


def test_the_end_of_one_side_is_known_at_the_other_one_way_later() -> None:
    pair = Pair()
    opened(pair)
    pair.b.streams.close()
    pair.b.flush()
    pair.run(1.01 * WAY)
    assert (pair.a.closed, pair.b.closed) == ([""], [])


def test_a_server_with_another_certificate_is_not_taken() -> None:
    pair = Pair(certificate=made_identity().octets)
    stream = pair.a.streams.open()
    pair.a.says(stream, b"a secret")
    pair.run(10.0)
    assert len(pair.a.closed) == 1
    assert "certificate" in pair.a.closed[0]
    assert pair.b.opened == []


def test_a_certificate_that_is_none_is_refused() -> None:
    for octets in (b"", b"\x30\x03abc"):
        with pytest.raises(KeyRefusedError, match="cannot be read"):
            quic.client(octets, 1200)


@pytest.mark.parametrize("octets", [b"", b"\x40", bytes(1200), b"\xc0" + bytes(1199)])
def test_a_datagram_that_begins_nothing_is_refused(octets: bytes) -> None:
    with pytest.raises(WireError):
        quic.server(identity(), octets, 1200)


def test_datagrams_grow_once_larger_ones_pass_and_shrink_again() -> None:
    pair = Pair()
    stream = opened(pair)
    for size, most in ((1440, 1440), (548, 1200), (1300, 1300)):
        pair.a.sizes.clear()
        pair.a.streams.resize(size)
        pair.a.says(stream, OCTETS)
        pair.run(30.0)
        assert max(pair.a.sizes) == most
