"""Whose TURN server relays for a pair, what goes from host to host, and what of it is handed on."""

from __future__ import annotations

from nat_traversal.machine import actions as do
from nat_traversal.server.member import Member
from nat_traversal.server.turning import LASTED, Turning
from nat_traversal.wire import TOKEN_BYTES
from nat_traversal.wire import messages as m
from nat_traversal.wire.endpoint import Endpoint
from nat_traversal.wire.messages import TurnPart
from tests.unit.server.rig import ADDRESS, NAME, A, B, offer_of

TOKEN = bytes(TOKEN_BYTES)
RELAYED = m.Candidate("relay", Endpoint("192.0.2.9", 50_000))


def a_member(connection: int, part: TurnPart) -> Member:
    return Member(
        *(NAME[connection], connection, 1, 0.1, offer_of(connection)),
        relay_public=bytes(32),
        turn=part,
        was_seen=ADDRESS[connection],
    )


def members(a: TurnPart, b: TurnPart) -> tuple[Member, Member]:
    return a_member(A, a), a_member(B, b)


def said(actions: list[do.Action]) -> dict[int, m.Message]:
    return {each.connection: each.message for each in actions if isinstance(each, do.SendMessage)}


def test_the_host_whose_id_sorts_first_allocates_and_then_the_other() -> None:
    first, second = members(TurnPart.HAS, TurnPart.HAS)
    turning = Turning((second, first))
    assert turning.host is first
    orders = said(turning.begin(7, TOKEN, 0.0))
    own, other = orders[A], orders[B]
    assert isinstance(own, m.OpenTurn)
    assert isinstance(other, m.OpenTurn)
    assert own.candidates == (m.Candidate("srflx", ADDRESS[B]),)
    assert other.candidates == ()
    assert turning.done(7, first, 5.0)
    assert turning.host is second
    turning.attempt_began()
    assert turning.host is first


def test_a_peer_that_takes_no_part_or_was_never_seen_over_udp_cannot_be_relayed_for() -> None:
    assert Turning(members(TurnPart.HAS, TurnPart.NEVER)).host is None
    assert Turning(members(TurnPart.TAKES, TurnPart.TAKES)).host is None
    pair = members(TurnPart.HAS, TurnPart.TAKES)
    pair[1].was_seen = None
    assert Turning(pair).host is None


def test_a_path_that_has_stood_may_be_had_again_at_once() -> None:
    pair = members(TurnPart.HAS, TurnPart.TAKES)
    turning = Turning(pair)
    turning.begin(7, TOKEN, 0.0)
    turning.done(7, pair[1], LASTED)
    assert turning.host is pair[0]


def test_the_address_goes_to_the_peer_once_and_from_its_host_alone() -> None:
    first, second = pair = members(TurnPart.HAS, TurnPart.HAS)
    turning = Turning(pair)
    turning.begin(7, TOKEN, 0.0)
    address = m.TurnAddress(7, RELAYED)
    assert turning.told(second, address) == []
    assert turning.told(first, m.TurnAddress(8, RELAYED)) == []
    nowhere = m.Candidate("relay", Endpoint("224.0.0.1", 1))
    assert turning.told(first, m.TurnAddress(7, nowhere)) == []
    assert said(turning.told(first, address)) == {B: address}
    assert turning.told(first, address) == []


def test_the_peer_learns_that_a_host_has_done_with_it() -> None:
    first, second = pair = members(TurnPart.HAS, TurnPart.TAKES)
    turning = Turning(pair)
    turning.begin(7, TOKEN, 0.0)
    assert turning.done(6, first, 1.0) is None
    actions = turning.done(7, second, 1.0)
    assert actions is not None
    (news,) = said(actions).values()
    assert isinstance(news, m.RelayNews)
    assert (news.relay, news.code) == (7, m.RelayCode.DONE)
    assert not turning.is_open
