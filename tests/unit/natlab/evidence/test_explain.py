"""What the lab says of a cell: the words, with time and reason, and whose doing the outcome is."""

from __future__ import annotations

from itertools import product

import pytest

from nat_traversal.wire.datagrams import Announce, Confirm, encode
from nat_traversal.wire.endpoint import Endpoint
from natlab.behavior import NINE
from natlab.evidence.captions import comments
from natlab.evidence.category import Category, categorize
from natlab.evidence.check import LINKS_KEPT, MODELLED, Check
from natlab.evidence.checks import run_checks
from natlab.evidence.explain import cause, explain, reason
from natlab.evidence.journey import Fate
from natlab.oracle import path_can_open
from natlab.oracle.outcome import Outcome
from natlab.oracle.predict import predict
from natlab.oracle.prediction import Prediction
from natlab.presets import PRESETS, REAL_WORLD
from tests.unit.natlab.scenes import (
    SERVER,
    TAGS,
    A,
    Scene,
    connected,
    failed,
    inside,
    opened,
    swapped,
)

PORT_RESTRICTED, MASQUERADE, SYMMETRIC = "port-restricted-cone", "linux-masquerade", "symmetric"


def test_deciding_packet_of_each_round_is_told_with_time_and_reason() -> None:
    assert reason(swapped().trace(), PORT_RESTRICTED, MASQUERADE) == (
        "Round 1: nat_b took for itself host_a's HELLO 3 at 0.003 s (ICMP port unreachable): host_b "
        "had sent from 198.51.100.2:50001 only to 192.0.2.2:6545; round 2: host_b's HELLO 3 arrived "
        "at host_a at 0.005 s: host_a had sent from 203.0.113.2:40002 to 198.51.100.2:50002."
    )


def _moved_answer() -> Scene:
    scene = opened(1)
    scene.hello(1, 3)
    moved = Endpoint("198.51.100.2", 777)
    scene.send("host_b", Confirm(TAGS[1], 1, True), 1, Fate.DROPPED, translated=moved)
    return scene


def _dropped(*, moved: bool) -> Scene:
    scene = opened(1)
    scene.hello(1, 1, Fate.DROPPED, translated=Endpoint("203.0.113.2", 777) if moved else None)
    return scene


@pytest.mark.parametrize(
    ("scene", "nat_a", "nat_b", "words"),
    [
        (swapped(), PORT_RESTRICTED, MASQUERADE, "host_a had opened nat_a for this port, with roles swapped."),
        (connected(), "none", "none", "host_b is public."),
        (connected(), "none", "full-cone", "nat_b lets everybody in."),
        (connected(), "none", "restricted-cone", "host_b had opened nat_b for this address."),
        (_dropped(moved=True), SYMMETRIC, PORT_RESTRICTED, "nat_a gave a new port, which nat_b does not admit."),
        (_dropped(moved=False), PORT_RESTRICTED, PORT_RESTRICTED, "nat_b kept out a HELLO from where nothing had gone."),
        (_moved_answer(), PORT_RESTRICTED, "full-cone", "nat_b's answer left by a new port; nat_a dropped it."),
        (Scene(), "none", "none", "The hosts were never told to start."),
    ],
)  # fmt: skip
def test_cause_is_at_most_ten_words_without_ports(
    scene: Scene, nat_a: str, nat_b: str, words: str
) -> None:
    said = cause(scene.trace(), nat_a, nat_b)
    assert said == words
    assert len(said.split()) <= 10


def test_explanation_tells_of_every_hello() -> None:
    assert explain(swapped().trace(), PORT_RESTRICTED, MASQUERADE) == (
        "Round 1 failed: nat_b took for itself host_a's HELLO 1 at 0.002 s (ICMP port unreachable): "
        "host_b had sent from 198.51.100.2:50001 only to 192.0.2.2:6545; nat_a dropped host_b's "
        "HELLO 2 (from port 2527 of nat_b, not 50001) at 0.003 s: filtering is "
        "address-and-port-dependent and host_a had sent from 203.0.113.2:40001 only to "
        "192.0.2.2:6545 and 198.51.100.2:50001; nat_b took for itself host_a's HELLO 3 at 0.003 s "
        "(ICMP port unreachable): host_b had sent from 198.51.100.2:50001 only to 192.0.2.2:6545. "
        "Round 2 connected: nat_a dropped host_b's HELLO 1 at 0.004 s: filtering is "
        "address-and-port-dependent and host_a had sent from 203.0.113.2:40002 only to "
        "192.0.2.2:6545; host_a's HELLO 2 arrived at host_b at 0.004 s: host_b had sent from "
        "198.51.100.2:50002 to 203.0.113.2:40002; host_b's HELLO 3 arrived at host_a at 0.005 s: "
        "host_a had sent from 203.0.113.2:40002 to 198.51.100.2:50002; CONFIRM came back to host_b "
        "at 0.005 s; data crossed both ways."
    )


def test_cell_without_a_hello_is_told_so() -> None:
    words = "No HELLO was sent: the hosts were never told to start."
    assert explain(Scene().trace(), "none", "none") == words
    assert reason(Scene().trace(), "none", "none") == words


def test_lost_copy_decides_nothing_if_a_later_one_met_the_nat() -> None:
    scene = opened(1)
    scene.hello(1, 1, Fate.LOST)
    assert "HELLO 1 was lost" in reason(scene.trace(), "none", PORT_RESTRICTED)
    scene.hello(1, 1, Fate.DROPPED, copy=1)
    assert "nat_b dropped host_a's HELLO 1" in reason(scene.trace(), "none", PORT_RESTRICTED)


def test_confirm_that_was_not_let_in_is_told() -> None:
    scene = opened(1)
    scene.hello(1, 3)
    moved = Endpoint("198.51.100.2", 777)
    scene.send("host_b", Confirm(TAGS[1], 1, True), 1, Fate.DROPPED, translated=moved)
    said = reason(scene.trace(), PORT_RESTRICTED, "full-cone")
    assert "host_a's HELLO 3 arrived at host_b" in said
    assert (
        ", but nat_a dropped host_b's CONFIRM (from port 777 of nat_b, not 50001) at 0.002 s: "
        "filtering is address-and-port-dependent and host_a had sent"
    ) in said


def test_host_whose_announces_are_blocked_is_named() -> None:
    scene = Scene()
    scene.register()
    announce = encode(Announce(b"r" * 16, 1, 1))
    for _ in range(3):
        scene.see(A.host_link, True, inside("host_a", 1), SERVER, payload=announce)
    scene.announce("host_b", 1)
    trace = scene.trace()
    assert trace.unheard == ("host_a",)
    assert reason(trace, "udp-blocked", "none") == (
        "No HELLO was sent: host_a's 3 ANNOUNCEs, the first at 0.000 s, never left nat_a, "
        "so the server knows no address of it."
    )
    results = {
        check.name: check
        for check in run_checks(trace, "udp-blocked", "none", predict("udp-blocked", "none"))
    }
    for name in ("the outcome is proven", "round 1 went A, B, A", MODELLED):
        assert results[name].ok, results[name]
    assert not results["the outcome is proven"].why.startswith("no HELLO was sent at all")
    wrong = {
        check.name: check for check in run_checks(trace, "none", "none", predict("none", "none"))
    }
    assert not wrong[MODELLED].ok


@pytest.mark.parametrize(
    ("nat_b", "fate", "words"),
    [
        (PORT_RESTRICTED, Fate.DELIVERED, "though host_b had not sent there"),
        ("full-cone", Fate.DELIVERED, "filtering is endpoint-independent"),
        ("full-cone", Fate.DROPPED, "against its filtering, which is endpoint-independent"),
        ("restricted-cone", Fate.DROPPED, "filtering is address-dependent and host_b had sent"),
        ("none", Fate.DELIVERED, "host_b is public"),
        ("none", Fate.DROPPED, "there is no NAT that should have done so"),
        (PORT_RESTRICTED, Fate.TAKEN_BY_ROUTER, "nat_b rejected host_a's HELLO 1"),
        (PORT_RESTRICTED, Fate.LOST, "was lost before it reached nat_b"),
        (PORT_RESTRICTED, Fate.EXPIRED, "as its TTL wanted"),
        (PORT_RESTRICTED, Fate.BLOCKED, "never left nat_a at 0.001 s"),
        (PORT_RESTRICTED, Fate.PORT_CLOSED, "found the socket of host_b closed at 0.002 s"),
    ],
)
def test_reason_is_that_of_this_nat(nat_b: str, fate: Fate, words: str) -> None:
    scene = opened(1)
    scene.hello(1, 1, fate)
    assert words in reason(scene.trace(), "none", nat_b)


def test_what_was_sent_only_after_the_packet_came_is_no_reason() -> None:
    scene = Scene()
    scene.hello(1, 1, Fate.DROPPED)
    scene.hello(1, 2)
    said = explain(scene.trace(), PORT_RESTRICTED, PORT_RESTRICTED)
    assert "host_b had sent nothing from 198.51.100.2:50001" in said


def test_open_paths_are_those_that_a_low_ttl_opener_or_plain_hellos_open() -> None:
    closed = {pair for pair in product(PRESETS, repeat=2) if not path_can_open(*pair)}
    assert closed == {
        (SYMMETRIC, SYMMETRIC),
        *product([SYMMETRIC], [PORT_RESTRICTED, MASQUERADE]),
        *product([PORT_RESTRICTED, MASQUERADE], [SYMMETRIC]),
    }


@pytest.mark.parametrize("other", ["none", "full-cone", "udp-blocked"])
@pytest.mark.parametrize("blocked", ["udp-blocked", "tcp-only"])
def test_no_path_opens_where_no_udp_passes(blocked: str, other: str) -> None:
    assert not path_can_open(blocked, other)
    assert not path_can_open(other, blocked)


def test_whatever_the_ordered_hellos_open_can_open() -> None:
    for pair in product([*PRESETS, *REAL_WORLD, *NINE], repeat=2):
        assert path_can_open(*pair) or predict(*pair).outcome is Outcome.FAILED


SECOND = (Outcome.CONNECTED, 2)
FIRST = (Outcome.CONNECTED, 1)
NEVER = (Outcome.FAILED, None)


@pytest.mark.parametrize(
    ("pair", "predicted", "observed", "category"),
    [
        ((PORT_RESTRICTED, PORT_RESTRICTED), FIRST, FIRST, Category.AS_PREDICTED),
        ((PORT_RESTRICTED, PORT_RESTRICTED), FIRST, SECOND, Category.MISSED),
        ((PORT_RESTRICTED, PORT_RESTRICTED), FIRST, NEVER, Category.MISSED),
        ((PORT_RESTRICTED, MASQUERADE), SECOND, FIRST, Category.LAB_WRONG),
        ((SYMMETRIC, SYMMETRIC), NEVER, NEVER, Category.FORBIDDEN),
        ((SYMMETRIC, SYMMETRIC), NEVER, FIRST, Category.LAB_WRONG),
        ((MASQUERADE, MASQUERADE), NEVER, NEVER, Category.MISSED),
    ],
)
def test_category_is_whose_doing_the_outcome_is(
    pair: tuple[str, str],
    predicted: tuple[Outcome, int | None],
    observed: tuple[Outcome, int | None],
    category: Category,
) -> None:
    prediction = Prediction("ordered-hello", *predicted, ())
    others = Check("the programs say what the packets say", False, "one that is not the lab's")
    as_it_should_be = [Check(MODELLED, True, ""), Check(LINKS_KEPT, True, ""), others]
    assert categorize(*pair, prediction, observed, as_it_should_be) is category


@pytest.mark.parametrize("name", [MODELLED, LINKS_KEPT])
def test_category_is_the_lab_s_where_its_part_was_not_as_it_should_be(name: str) -> None:
    prediction = predict("none", "none")
    observed = (prediction.outcome, prediction.round)
    wrong = [Check(name, False, "why")]
    assert categorize("none", "none", prediction, observed, wrong) is Category.LAB_WRONG


def test_comment_tells_round_step_copy_and_fate_at_every_point() -> None:
    scene = opened(1)
    scene.hello(1, 2, Fate.DROPPED, copy=3)
    shown = {point: text for (point, _), text in comments(scene.trace()).items() if "HELLO" in text}
    assert list(shown) == ["host_b-eth0", "nat_b-lan", "nat_b-wan", "nat_a-wan"]
    assert set(shown.values()) == {
        "HELLO round=1 step=2 copy=3 host_b to host_a: dropped, last seen at nat_a"
    }


def test_every_datagram_has_a_comment() -> None:
    for scene in (connected(), swapped(), failed()):
        texts = set(comments(scene.trace()).values())
        assert "ANNOUNCE host_a to server: delivered" in texts
        sent = sum(packet.payload != b"" and packet.protocol == 17 for packet in scene.packets)
        assert len(comments(scene.trace())) == sent
    assert "DATA host_b to host_a: delivered" in set(comments(connected().trace()).values())
    lost = Endpoint("198.51.100.2", 9)
    scene = opened(1)
    scene.hello(1, 1, Fate.LOST, destination=lost)
    assert "host_a to host_b: lost, last seen at nat_a" in " ".join(
        comments(scene.trace()).values()
    )
