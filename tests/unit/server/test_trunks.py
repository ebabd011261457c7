"""Several registrations on one connection: each as if it had a connection of its own, and their common end."""

from __future__ import annotations

from dataclasses import replace

from nat_traversal.machine import actions as do
from nat_traversal.machine import events as e
from nat_traversal.machine import notices as note
from nat_traversal.server.trunks import pair_of, seat, trunk_of
from nat_traversal.wire import messages as m
from nat_traversal.wire.endpoint import Endpoint
from tests.unit.counterpart import an_announce, an_offer, some_keys
from tests.unit.server.rig import SETTINGS, Rig

HUB, ANNA, BEN, RIVAL = 1, 2, 3, 4
KEYS = dict(
    zip(
        ("hub-anna", "hub-ben", "hub-carl", "anna", "ben", "rival"),
        some_keys(*"abcdef"),
        strict=True,
    )
)
TWO = m.Registered(1, 2, SETTINGS.heartbeat, SETTINGS.pairs)


def register(name: str, peer: str, key: str, owner: bytes = b"") -> m.Register:
    return m.Register(1, (2,), name, peer, KEYS[key], 1, an_offer(), owner=owner)


def a_hub(rig: Rig, *pairs: m.Message) -> None:
    """A connection with a registration for anna, and those that `pairs` begin."""
    rig.feed(e.ControlOpened(HUB, Endpoint("192.0.2.9", 5)))
    rig.receive(HUB, register("hub", "anna", "hub-anna"))
    for each in pairs:
        rig.receive(HUB, each)


def a_friend(rig: Rig, connection: int, name: str) -> None:
    rig.feed(e.ControlOpened(connection))
    rig.receive(connection, register(name, "hub", name))


def told(rig: Rig, connection: int) -> list[m.Message]:
    said, rig.messages[connection] = rig.messages.get(connection, []), []
    return said


def for_ben(*messages: m.Message) -> list[m.Message]:
    return [m.ForPair(7, message) for message in messages]


BEN_TOO = m.ForPair(7, register("hub", "ben", "hub-ben"))


def test_numbers_lead_there_and_back() -> None:
    assert (trunk_of(seat(5, 9)), pair_of(seat(5, 9)), seat(5, 0)) == (5, 9, 5)
    assert (trunk_of(-3), pair_of(-3)) == (-3, 0)


def test_each_registration_has_its_own_peer_and_orders() -> None:
    rig = Rig()
    a_hub(rig, BEN_TOO)
    absent = m.PeerStatus(m.PeerState.ABSENT)
    assert told(rig, HUB) == [TWO, absent, *for_ben(TWO, absent)]
    a_friend(rig, BEN, "ben")
    assert told(rig, HUB) == for_ben(m.PeerStatus(m.PeerState.PRESENT))
    rig.feed(e.DatagramArrived(an_announce(KEYS["hub-ben"], 1, 1), Endpoint("198.51.100.1", 9)))
    rig.feed(e.DatagramArrived(an_announce(KEYS["ben"], 1, 1), Endpoint("198.51.100.2", 9)))
    assert any(isinstance(each, m.StartRound) for each in told(rig, BEN))
    orders = told(rig, HUB)
    assert orders
    assert [each for each in orders if not (isinstance(each, m.ForPair) and each.pair == 7)] == []
    assert rig.machine.attempts == 1
    assert rig.machine.registered == {"hub", "ben"}


def test_one_that_leaves_ends_alone_and_the_last_ends_the_connection() -> None:
    rig = Rig()
    a_hub(rig, BEN_TOO)
    a_friend(rig, ANNA, "anna")
    a_friend(rig, BEN, "ben")
    told(rig, ANNA), told(rig, BEN), told(rig, HUB)
    rig.receive(HUB, m.Leave())
    assert told(rig, ANNA) == [m.PeerStatus(m.PeerState.LEFT)]
    assert (told(rig, BEN), rig.closed) == ([], [])
    rig.receive(HUB, m.Heartbeat(1))
    rig.receive(HUB, m.ForPair(7, m.Heartbeat(2)))
    assert told(rig, HUB) == for_ben(m.HeartbeatAnswer(2)), (
        "late words of the one that left get no answer"
    )
    rig.receive(HUB, m.ForPair(7, m.Leave()))
    assert (told(rig, BEN), rig.closed) == ([m.PeerStatus(m.PeerState.LEFT)], [HUB])
    assert rig.machine.registered == {"anna", "ben"}


def test_all_end_with_their_connection() -> None:
    rig = Rig()
    a_hub(rig, BEN_TOO)
    a_friend(rig, ANNA, "anna")
    a_friend(rig, BEN, "ben")
    rig.feed(e.ControlBroken("gone", HUB))
    left = m.PeerStatus(m.PeerState.LEFT)
    assert (told(rig, ANNA)[-1], told(rig, BEN)[-1]) == (left, left)
    assert rig.machine.registered == {"anna", "ben"}
    assert len(rig.machine.hosts) == 2


def test_more_than_the_server_takes_are_refused_alone() -> None:
    rig = Rig(replace(SETTINGS, pairs=2))
    a_hub(rig, BEN_TOO)
    told(rig, HUB)
    rig.receive(HUB, m.ForPair(8, register("hub", "carl", "hub-carl")))
    (refused,) = told(rig, HUB)
    assert isinstance(refused, m.ForPair)
    assert isinstance(refused.message, m.Refused)
    assert (refused.pair, refused.message.code) == (8, m.ErrorCode.SERVER_FULL)
    assert "at most 2 peers" in refused.message.text
    assert (rig.closed, len(rig.machine.hosts)) == ([], 2)


def test_a_refusal_ends_one_and_the_connection_goes_on() -> None:
    rig = Rig()
    a_hub(rig, m.ForPair(7, register("hub", "hub", "hub-ben")))
    refused, left = told(rig, HUB)[-2:]
    assert isinstance(refused, m.ForPair)
    assert isinstance(refused.message, m.Refused)
    assert (refused.pair, refused.message.code) == (7, m.ErrorCode.BAD_ID)
    assert left == m.ForPair(7, m.Leave())
    assert (rig.closed, len(rig.machine.hosts)) == ([], 1)


def test_an_id_is_held_by_one_connection_whatever_peer_another_one_wants() -> None:
    """Without keys the holder is asked: it answers on any of its registrations, or loses the id with all of them."""
    rig = Rig()
    a_hub(rig, BEN_TOO)
    told(rig, HUB)
    rig.feed(e.ControlOpened(RIVAL))
    rig.receive(RIVAL, register("hub", "carl", "rival"))
    (asked,) = told(rig, HUB)
    assert isinstance(asked, m.Heartbeat)
    rig.receive(HUB, m.HeartbeatAnswer(asked.transaction))
    (refused,) = told(rig, RIVAL)
    assert isinstance(refused, m.Refused)
    assert refused.code == m.ErrorCode.ID_IN_USE
    rig.wait(SETTINGS.spared_for)
    rig.messages[RIVAL] = []
    rig.feed(e.ControlOpened(RIVAL + 1))
    rig.receive(RIVAL + 1, replace(register("hub", "carl", "rival"), key=KEYS["hub-carl"]))
    rig.wait(15.0)
    assert TWO in told(rig, RIVAL + 1)
    assert HUB in rig.closed
    gone = [each.id for each in rig.notices if isinstance(each, note.HostLeft)]
    assert gone == ["hub", "hub"]


def test_a_garbled_line_ends_the_connection_with_all_that_it_carries() -> None:
    rig = Rig()
    a_hub(rig, BEN_TOO)
    rig.receive(HUB, m.Leave())
    rig.feed(e.ControlGarbled("no JSON", HUB))
    assert (rig.closed, rig.machine.hosts) == ([HUB], ())


def test_a_message_that_had_no_form_ends_only_its_registration() -> None:
    rig = Rig()
    a_hub(rig, BEN_TOO)
    failed = do.SendMessage(m.ForPair(7, m.Heartbeat(1)), HUB)
    rig.feed(e.ActionFailed(failed, "too long"))
    assert (told(rig, HUB)[-1], rig.closed) == (m.ForPair(7, m.Leave()), [])
    assert [host.connection for host in rig.machine.hosts] == [HUB]


def test_registrations_that_come_and_go_without_end_are_held_to_the_rate_of_connections() -> None:
    rig = Rig(replace(SETTINGS, connects_burst=5, connects_per_source=1.0))
    a_hub(rig)
    codes: list[str] = []
    for number in range(1, 20):
        rig.receive(HUB, m.ForPair(number, register("hub", f"friend_{number}", "hub-ben")))
        rig.receive(HUB, m.ForPair(number, m.Leave()))
        codes += [
            each.message.code
            for each in told(rig, HUB)
            if isinstance(each, m.ForPair) and isinstance(each.message, m.Refused)
        ]
    assert codes.count(m.ErrorCode.TOO_FAST) == 14
    rig.wait(2.0)
    rig.receive(HUB, m.ForPair(77, register("hub", "ben", "hub-carl")))
    assert m.ForPair(77, TWO) in told(rig, HUB)
