"""Openers of `low-ttl` are no weapon: whoever orders them, and whatever routers seem to say."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from nat_traversal.machine import actions as do
from nat_traversal.machine import events as e
from nat_traversal.paths.budget import MOST_DATAGRAMS, OPENING_DATAGRAMS
from nat_traversal.wire import messages as m
from nat_traversal.wire.endpoint import Endpoint
from nat_traversal.wire.opener import MOST_HOPS, Opener
from tests.unit.client.rig import Rig
from tests.unit.client.test_restraint import connected, lost

VICTIM = Endpoint("198.51.100.9", 53)


def a_round(rig: Rig, number: int, *, validated: bool) -> m.StartRound:
    start = rig.round(token=bytes([number]) * 16)
    named = (m.Candidate("srflx", VICTIM, validated),)
    return replace(start, candidates=named, round=number, method="low-ttl")


def to_victim(rig: Rig) -> list[do.SendDatagram]:
    sent = rig.done(do.SendDatagram)
    return [
        each for each in sent if each.destination and each.destination.address == VICTIM.address
    ]


@pytest.mark.parametrize("validated", [True, False])
def test_a_lying_server_s_openers_stay_within_the_attempt_s_budget(validated: bool) -> None:
    rig = connected(Rig())
    for number in range(1, 50):
        rig.receive(a_round(rig, number, validated=validated))
        for transaction in (1, 2, 3):
            rig.receive(m.SendHello(transaction, 1, number, 0))
            rig.wait(1.0)
        rig.receive(m.SendHello(4, 1, number, 1))
        rig.wait(5.0)
        if lost(rig):
            break
        rig.receive(m.OpenSocket(number + 1))
    assert len(to_victim(rig)) == (MOST_DATAGRAMS if validated else OPENING_DATAGRAMS)
    opened = Counter(each.generation for each in rig.done(do.OpenUdp))
    opened.subtract(each.generation for each in rig.done(do.CloseUdp))
    assert opened.total() <= 1 + MOST_HOPS


def test_words_of_routers_move_nothing_but_the_hop_and_count_only_while_they_are_asked_for() -> (
    None
):
    rig = connected(Rig())
    rig.receive(a_round(rig, 1, validated=True))
    before = len(rig.actions)
    rig.feed(e.HopTold("198.18.0.1", 1))
    assert len(rig.actions) == before
    rig.receive(m.SendHello(1, 1, 1, 0))
    probes = [each for each in to_victim(rig) if each.is_traced]
    assert [each.hops for each in probes] == list(range(1, MOST_HOPS + 1))
    for _ in range(1000):
        rig.feed(e.HopTold("198.18.0.1", probes[1].generation))
    rig.wait(1.0)
    (opener,) = [each for each in to_victim(rig) if not each.is_traced]
    assert isinstance(opener.datagram, Opener)
    assert (opener.hops, opener.datagram.hops, opener.generation) == (2, 2, 1)
    assert m.HelloSent(1, opened=True) in rig.messages()
    rig.feed(e.HopTold("198.18.0.1", probes[5].generation))
    assert len(to_victim(rig)) <= 2 * MOST_HOPS


def test_no_opener_leaves_where_no_router_has_answered_and_the_server_is_told_so() -> None:
    rig = connected(Rig())
    rig.receive(a_round(rig, 1, validated=True))
    rig.receive(m.SendHello(1, 1, 1, 0))
    rig.wait(1.0)
    assert [each for each in to_victim(rig) if not each.is_traced] == []
    assert m.HelloSent(1, opened=False) in rig.messages()
