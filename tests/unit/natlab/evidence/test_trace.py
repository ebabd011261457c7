"""The evidence: datagrams followed through synthetic captures, and every check both ways."""

from __future__ import annotations

import pytest

from nat_traversal.wire import messages
from nat_traversal.wire.datagrams import (
    Confirm,
    Hello,
    encode,
)
from nat_traversal.wire.endpoint import Endpoint
from natlab.evidence.journey import Fate
from natlab.evidence.methods import ordered_hello
from natlab.evidence.trace import Trace
from natlab.oracle.outcome import Outcome
from tests.unit.natlab.scenes import (
    HOP,
    OUTSIDE,
    SERVER,
    TAGS,
    A,
    B,
    Scene,
    connected,
    failed,
    inside,
    opened,
    outside,
    swapped,
)


@pytest.mark.parametrize("fate", list(Fate))
def test_fate_is_read_from_where_the_datagram_was_seen_last(fate: Fate) -> None:
    scene = Scene()
    scene.hello(1, 1, fate)
    (hello,) = scene.trace().rounds[0].hellos
    assert hello.fate is fate
    assert (hello.sender, hello.receiver) == ("host_a", "host_b")
    assert hello.translated == (None if fate is Fate.BLOCKED else outside("host_a", 1))
    assert (hello.reached is not None) == (
        fate in {Fate.DELIVERED, Fate.PORT_CLOSED, Fate.DROPPED, Fate.TAKEN_BY_ROUTER}
    )
    assert (hello.arrived is not None) == (fate in {Fate.DELIVERED, Fate.PORT_CLOSED})


def test_identical_octets_sent_again_are_told_apart_by_time() -> None:
    scene = Scene()
    scene.hello(1, 2, Fate.DROPPED)
    scene.hello(1, 2, Fate.DELIVERED)
    scene.hello(1, 2, Fate.DROPPED)
    fates = [hello.fate for hello in scene.trace().rounds[0].hellos]
    assert fates == [Fate.DROPPED, Fate.DELIVERED, Fate.DROPPED]


def test_identical_octets_that_are_on_the_way_together_come_in_their_order() -> None:
    scene, payload = Scene(), encode(Confirm(TAGS[1], 1, False))
    a, b = outside("host_a", 1), outside("host_b", 1)
    scene.hello(1, 1)
    for _ in range(2):
        scene.leave(B, inside("host_b", 1), a, payload, b)
    for _ in range(2):
        scene.see(A.wan, False, b, a, payload=payload)
        scene.see(A.lan, True, b, inside("host_a", 1), payload=payload)
        scene.see(A.host_link, False, b, inside("host_a", 1), payload=payload)
    confirms = scene.trace().rounds[0].confirms
    assert [each.fate for each in confirms] == [Fate.DELIVERED] * 2
    times = [each.arrived - each.sent for each in confirms if each.arrived is not None]
    assert times == pytest.approx([8 * HOP] * 2)


def test_unanswered_copy_on_a_tuple_that_was_answered_once_is_the_routers_too() -> None:
    scene = Scene()
    scene.hello(1, 1, Fate.TAKEN_BY_ROUTER)
    scene.hello(1, 1, Fate.DROPPED, copy=1)
    assert [h.fate for h in scene.trace().rounds[0].hellos] == [Fate.TAKEN_BY_ROUTER] * 2


def test_socket_that_closed_later_had_received_before() -> None:
    scene = Scene()
    scene.hello(1, 2)
    scene.hello(1, 2, Fate.PORT_CLOSED, copy=1)
    scene.hello(1, 2, copy=2)  # the ICMP for this one fell to the rate limit
    fates = [hello.fate for hello in scene.trace().rounds[0].hellos]
    assert fates == [Fate.DELIVERED, Fate.PORT_CLOSED, Fate.PORT_CLOSED]


def test_hosts_own_refusal_that_its_nat_passes_on_is_not_the_routers() -> None:
    scene = Scene()
    scene.hello(1, 1, Fate.DROPPED)
    scene.hello(1, 3, Fate.PORT_CLOSED)
    assert [h.fate for h in scene.trace().rounds[0].hellos] == [Fate.DROPPED, Fate.PORT_CLOSED]


def test_one_hello_to_two_addresses_is_two_passages_though_they_cross_on_the_way() -> None:
    scene = Scene()
    payload = encode(Hello(TAGS[1], 1, 1, False))
    socket, wanted = inside("host_a", 1), inside("host_b", 1)
    here, there = outside("host_b", 1), Endpoint(OUTSIDE["host_b"], 9)
    as_here, as_there = outside("host_a", 1), Endpoint(OUTSIDE["host_a"], 8)
    for target in (here, there):
        scene.see(A.host_link, True, socket, target, payload=payload)
    for shown, target in ((as_there, there), (as_here, here)):
        scene.see(A.wan, True, shown, target, payload=payload)
    for shown, target in ((as_there, there), (as_here, here)):
        scene.see(B.wan, False, shown, target, payload=payload)
    scene.see(B.lan, True, as_here, wanted, payload=payload)
    scene.see(B.host_link, False, as_here, wanted, payload=payload)
    first, second = scene.trace().rounds[0].hellos
    assert (first.translated, first.fate) == (as_here, Fate.DELIVERED)
    assert (second.translated, second.fate) == (as_there, Fate.DROPPED)


def test_foreign_udp_is_no_passage() -> None:
    scene = Scene()
    scene.see(A.host_link, True, inside("host_a", 1), SERVER, payload=b"\x00\x01not ours")
    assert scene.trace() == Trace((), (), (), ())


def test_connected_round_is_timed_from_the_later_registration_to_the_last_proof() -> None:
    trace = connected().trace()
    assert trace.outcome is Outcome.CONNECTED
    registered = max(
        said.time for said in trace.said if isinstance(said.message, messages.Register)
    )
    (confirm,) = trace.rounds[0].confirms
    assert confirm.arrived is not None
    assert trace.connect_seconds == confirm.arrived - registered


def test_registering_again_does_not_move_the_start() -> None:
    scene = connected()
    before = scene.trace().connect_seconds
    scene.register()
    assert scene.trace().connect_seconds == before


def test_bound_is_made_of_the_shortest_ways_between_links() -> None:
    scene = connected()
    trace = scene.trace()
    assert trace.bound_seconds is not None
    assert trace.connect_seconds is not None
    assert trace.bound_seconds == pytest.approx(4 * 3 * HOP + 3 * 5 * HOP)
    assert trace.bound_seconds < trace.connect_seconds
    assert swapped().trace().bound_seconds is None


def test_confirm_that_wants_an_answer_concludes_with_the_answer() -> None:
    scene = opened(1)
    scene.hello(1, 2, Fate.DROPPED)
    scene.send("host_a", Hello(TAGS[1], 1, 3, False), 1)
    scene.send("host_b", Confirm(TAGS[1], 1, True), 1)
    assert scene.trace().rounds[0].conclusion is None
    scene.send("host_a", Confirm(TAGS[1], 1, False), 1)
    conclusion = scene.trace().rounds[0].conclusion
    assert conclusion is not None
    assert conclusion.receiver == "host_b"


def test_hello_3_that_was_ordered_before_hello_2_came_proves_nothing_and_the_next_copy_does() -> (
    None
):
    """B's NAT shows the peer another port than the server, so HELLO 3 goes to the wrong one first."""
    seen_by_peer = Endpoint(OUTSIDE["host_b"], 62_246)
    scene = opened(1)
    scene.hello(1, 1)
    scene.hello(1, 2, translated=seen_by_peer)
    scene.send("host_a", Hello(TAGS[1], 1, 3, False, 0), 1)
    scene.send("host_b", Confirm(TAGS[1], 1, True, 0), 1, translated=seen_by_peer)
    assert scene.trace().rounds[0].conclusion is None
    scene.hello(1, 3, copy=1, destination=seen_by_peer)
    assert scene.trace().rounds[0].conclusion is None
    scene.send("host_b", Confirm(TAGS[1], 1, False, 1), 1, translated=seen_by_peer)
    scene.data("host_a", 1)
    scene.data("host_b", 1)
    round_ = scene.trace().rounds[0]
    assert round_.conclusion == round_.confirms[1]
    assert round_.is_connected
    assert ordered_hello.outcome_is_proven(scene.trace()).ok


def test_hello_3_that_answers_a_confirm_proves_b_its_way_where_both_nats_show_new_ports() -> None:
    """A answers from another port than B sent HELLO 2 to, so only the echo of a CONFIRM is proof for B."""
    a = Endpoint(OUTSIDE["host_a"], 62_247)
    b, b_then = (Endpoint(OUTSIDE["host_b"], port) for port in (62_246, 62_248))
    scene = opened(1)
    scene.hello(1, 1, Fate.DROPPED, translated=a)
    scene.hello(1, 2, translated=b)
    scene.hello(1, 3, destination=b, translated=a)
    scene.send("host_b", Confirm(TAGS[1], 1, True, 0), 1, destination=a, translated=b_then)
    scene.hello(1, 3, copy=1, destination=b_then, translated=a)
    assert scene.trace().rounds[0].conclusion is None
    scene.send("host_b", Confirm(TAGS[1], 1, False, 1), 1, destination=a, translated=b_then)
    round_ = scene.trace().rounds[0]
    assert round_.conclusion == round_.confirms[1]


def test_confirm_from_where_nobody_sends_to_concludes_nothing_though_data_arrives() -> None:
    scene = opened(1)
    scene.hello(1, 2)
    scene.hello(1, 3)
    scene.send(
        "host_b", Confirm(TAGS[1], 1, False), 1, translated=Endpoint(OUTSIDE["host_b"], 62_246)
    )
    scene.data("host_a", 1)
    scene.data("host_b", 1)
    assert scene.trace().rounds[0].conclusion is None
    assert scene.trace().outcome is Outcome.FAILED


def test_later_attempt_counts_its_rounds_anew() -> None:
    scene = failed()
    scene.hello(1, 1, Fate.DROPPED, tag=b"3" * 8)
    assert [(r.attempt, r.number) for r in scene.trace().rounds] == [(1, 1), (1, 2), (2, 1)]
