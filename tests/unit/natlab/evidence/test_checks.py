"""What a trace has to show of a pair whose outcome is predicted, and what is told where it does not."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from nat_traversal.wire import messages
from nat_traversal.wire.datagrams import (
    Confirm,
    Datagram,
    Frame,
    Hello,
    encode,
)
from nat_traversal.wire.endpoint import Endpoint
from natlab.evidence import checks
from natlab.evidence.journey import Fate, decode
from natlab.evidence.methods import ordered_hello
from natlab.evidence.result import Case, conclude
from natlab.evidence.trace import Trace
from natlab.oracle.predict import predict
from tests.unit.natlab.scenes import (
    OUTSIDE,
    TAGS,
    A,
    Scene,
    connected,
    failed,
    inside,
    opened,
    outside,
    swapped,
)

NATS = {
    connected: ("port-restricted-cone", "port-restricted-cone"),
    swapped: ("port-restricted-cone", "linux-masquerade"),
    failed: ("symmetric", "symmetric"),
}


@pytest.mark.parametrize("story", list(NATS), ids=lambda story: story.__name__)
def test_every_check_holds_for_a_story_as_it_should_be(story: Callable[[], Scene]) -> None:
    results = checks.run_checks(story().trace(), *NATS[story], predict(*NATS[story]))
    assert [check for check in results if not check.ok] == []
    assert len({check.name for check in results}) == 9


def without(scene: Scene, *kinds: type[Datagram]) -> Scene:
    scene.packets = [p for p in scene.packets if not isinstance(decode(p), kinds)]
    return scene


def half_connected() -> Scene:
    scene = opened(1)
    scene.hello(1, 3)
    return scene


def one_way_data() -> Scene:
    scene = opened(1)
    scene.hello(1, 3)
    scene.send("host_b", Confirm(TAGS[1], 1, False), 1)
    scene.data("host_a", 1)
    scene.data("host_b", 1, Fate.DROPPED)
    return scene


def test_a_confirm_that_is_not_let_in_is_a_failure() -> None:
    scene = half_connected()
    scene.send("host_b", Confirm(TAGS[1], 1, False), 1, Fate.DROPPED)
    assert ordered_hello.outcome_is_proven(scene.trace()).ok


@pytest.mark.parametrize(
    ("scene", "seen"),
    [
        (half_connected(), "HELLO 3 arrived and was not confirmed"),
        (one_way_data(), "data reached host_b"),
        (without(connected(), Confirm), "data reached host_a"),
        (without(connected(), Frame), "CONFIRM arrived"),
        (Scene(), "no HELLO was sent"),
    ],
)
def test_half_an_outcome_is_none(scene: Scene, seen: str) -> None:
    check = ordered_hello.outcome_is_proven(scene.trace())
    assert not check.ok
    assert seen in check.why


def test_outcome_and_round_must_be_the_predicted_ones() -> None:
    trace = connected().trace()
    wrong_round = checks.outcome_is_predicted(trace, predict(*NATS[swapped]))
    assert not wrong_round.ok
    assert wrong_round.why == "observed connected in round 1, predicted connected in round 2"
    assert not checks.outcome_is_predicted(trace, predict(*NATS[failed])).ok


def late_hello() -> Scene:
    """HELLO 1 is lost, so that HELLO 2 has left the order-sensitive NAT before it."""
    return connected(Fate.LOST)


@pytest.mark.parametrize(
    ("cross", "scene", "predicted", "ok"),
    [
        (False, swapped(), 2, True),
        (False, late_hello(), 2, False),
        (True, swapped(), 1, False),
        (True, late_hello(), 1, True),
        # Chance decides which HELLO is first, so the prediction is that for what the capture shows.
        (None, swapped(), 2, True),
        (None, late_hello(), 1, True),
    ],
)
def test_prediction_is_that_for_hellos_that_cross_or_do_not(
    cross: bool | None, scene: Scene, predicted: int, ok: bool
) -> None:
    case = Case.of(*NATS[swapped], "two_nats", cross=cross)
    result = conclude(case, scene.trace())
    assert (result.predicted_round, result.ok) == (predicted, ok)


def modelled(scene: Scene, nat_a: str, nat_b: str) -> str:
    """Why the packets are not those of the model."""
    check = checks.packets_fared_as_modelled(scene.trace(), nat_a, nat_b)
    assert not check.ok
    return check.why


def test_packet_that_fared_otherwise_than_in_the_model_is_told() -> None:
    assert modelled(connected(), "port-restricted-cone", "full-cone") == (
        "1 of 8 otherwise: HELLO of host_a to 198.51.100.2:50001 was dropped, in the model delivered"
    )
    assert "was dropped, in the model taken-by-router" in modelled(
        connected(), "port-restricted-cone", "linux-masquerade"
    )
    assert "was taken-by-router, in the model filtered" in modelled(
        swapped(), "port-restricted-cone", "port-restricted-cone"
    )
    assert modelled(Scene(), "none", "none") == "0 packets"


def test_port_that_the_model_would_not_have_shown_is_told() -> None:
    moved = opened(1)
    moved.hello(1, 1, Fate.DROPPED, translated=Endpoint(OUTSIDE["host_a"], 61_000))
    kept = opened(1)
    kept.hello(1, 1, Fate.DROPPED)
    blocked = opened(1)
    blocked.hello(1, 1, Fate.BLOCKED)
    cone, symmetric = "port-restricted-cone", "symmetric"
    assert "left as 203.0.113.2:61000, which" in modelled(moved, cone, cone)
    assert "left as 203.0.113.2:40001, which" in modelled(kept, symmetric, cone)
    assert "never left its NAT" in modelled(blocked, cone, cone)
    assert checks.packets_fared_as_modelled(moved.trace(), symmetric, cone).ok
    assert checks.packets_fared_as_modelled(kept.trace(), cone, cone).ok


def test_host_that_answers_late_is_no_matter_of_its_nat() -> None:
    """HELLO 2 leaves for the announced address, though HELLO 1 from another has just arrived."""
    seen = Endpoint(OUTSIDE["host_a"], 61_000)
    scene = opened(1)
    scene.hello(1, 1, translated=seen)
    scene.hello(1, 2, Fate.DROPPED)
    scene.hello(1, 2, copy=1, destination=seen)
    assert checks.packets_fared_as_modelled(scene.trace(), "symmetric", "full-cone").ok


def order(*steps: tuple[int, str]) -> Trace:
    scene = opened(1)
    for step, sender in steps:
        scene.hello(1, step, Fate.DROPPED, sender=sender)
    return scene.trace()


@pytest.mark.parametrize(
    "steps",
    [
        ((2, "host_b"), (1, "host_a"), (3, "host_a")),
        ((1, "host_a"), (3, "host_a"), (2, "host_b")),
        ((1, "host_a"), (2, "host_b")),
        ((1, "host_b"), (2, "host_a"), (3, "host_b")),
        ((1, "host_a"), (2, "host_b"), (3, "host_a"), (1, "host_b")),
    ],
    ids=["2-1-3", "1-3-2", "no 3", "roles swapped", "both send 1"],
)
def test_round_in_another_order_is_told(steps: tuple[tuple[int, str], ...]) -> None:
    check = ordered_hello.round_ran_in_order(order(*steps), 1)
    assert not check.ok
    assert check.name == "round 1 went A, B, A"


def test_second_round_must_take_place_after_a_failed_first() -> None:
    scene = opened(1)
    for step in (1, 2, 3):
        scene.hello(1, step, Fate.DROPPED)
    check = ordered_hello.round_ran_in_order(scene.trace(), 2)
    assert (check.ok, check.name) == (False, "round 2 went B, A, B")
    assert ordered_hello.round_ran_in_order(connected().trace(), 2).ok


def test_second_round_with_the_roles_of_the_first_is_told() -> None:
    scene = opened(1, 2)
    for step, sender in ((1, "host_a"), (2, "host_b"), (3, "host_a")):
        scene.hello(2, step, Fate.DROPPED, sender=sender)
    assert not ordered_hello.round_ran_in_order(scene.trace(), 2).ok


def test_socket_of_an_earlier_round_is_told() -> None:
    scene = opened(1)
    scene.hello(1, 1, Fate.DROPPED)
    scene.send("host_a", Hello(TAGS[2], 2, 2, False), 1, Fate.DROPPED)
    check = ordered_hello.sockets_were_fresh(scene.trace())
    assert not check.ok
    assert "10.0.1.2:40001" in check.why


def test_external_endpoint_of_an_earlier_round_is_told() -> None:
    scene = opened(1, 2)
    scene.hello(1, 1, Fate.DROPPED)
    scene.hello(2, 2, Fate.DROPPED, translated=outside("host_a", 1))
    check = ordered_hello.sockets_were_fresh(scene.trace())
    assert not check.ok
    assert "203.0.113.2:40001" in check.why


def test_token_of_an_earlier_round_is_told() -> None:
    scene = opened(1, 2)
    scene.hello(1, 1, Fate.DROPPED)
    scene.hello(2, 1, Fate.DROPPED, tag=TAGS[1])
    assert not ordered_hello.tokens_were_fresh(scene.trace()).ok


def late_copy() -> Iterator[tuple[str, Scene]]:
    scene = connected()
    scene.hello(1, 2, copy=1)
    yield "host_b sent HELLO 2 of round 1", scene
    scene = connected()
    scene.hello(2, 1, Fate.DROPPED)
    yield "host_b sent HELLO 1 of round 2", scene


@pytest.mark.parametrize(("told", "scene"), list(late_copy()))
def test_hello_after_success_is_told(told: str, scene: Scene) -> None:
    check = ordered_hello.nothing_went_on_after_success(scene.trace())
    assert not check.ok
    assert told in check.why


def test_copy_sent_before_its_sender_knew_is_no_fault() -> None:
    scene = opened(1)
    scene.hello(1, 1, Fate.DROPPED)
    scene.hello(1, 2)
    scene.hello(1, 3)
    scene.hello(1, 2, copy=1)
    scene.conclude(1)
    assert ordered_hello.nothing_went_on_after_success(scene.trace()).ok


def two_rounds(speaker: str, pause: float, *, decided: bool = False) -> Scene:
    """Round 2 gives host_b proof, by a CONFIRM that wants an answer. After `pause` the `speaker` speaks in round 1, which goes
    on beside it; host_a has shown by then that it has proof too, if that is `decided`."""
    scene = opened(1, 2)
    scene.hello(1, 1, Fate.DROPPED)
    scene.hello(2, 2)
    scene.hello(2, 3)
    scene.send("host_a", Confirm(TAGS[2], 2, True), 2)
    scene.send("host_b", Confirm(TAGS[2], 2, False), 2)
    for host in ("host_a", "host_b"):
        scene.say(host, messages.Established(1, 2))
    if decided:
        scene.data("host_a", 2)
    scene.clock += pause
    scene.hello(1, 2 if speaker == "host_b" else 3, Fate.DROPPED)
    scene.data("host_a", 2)
    scene.data("host_b", 2)
    return scene


@pytest.mark.parametrize(
    ("scene", "ok"),
    [
        (two_rounds("host_b", 0.3), True),
        (two_rounds("host_b", 0.2), False),
        (two_rounds("host_b", 0.3, decided=True), False),
        (two_rounds("host_a", 0.3), False),
    ],
    ids=["after the pause", "too early", "it knows", "the one that decides"],
)
def test_the_host_that_does_not_decide_may_go_on_with_the_other_round(
    scene: Scene, ok: bool
) -> None:
    assert ordered_hello.nothing_went_on_after_success(scene.trace()).ok is ok


def test_host_may_repeat_itself_until_it_knows_whatever_its_peer_knows() -> None:
    scene = opened(1)
    scene.hello(1, 3)
    scene.say("host_b", messages.Established(1, 1))
    scene.hello(1, 3, copy=1)
    scene.conclude(1)
    assert ordered_hello.nothing_went_on_after_success(scene.trace()).ok


def test_address_that_nobody_announced_or_observed_is_told() -> None:
    scene = opened(1)
    scene.hello(1, 1, Fate.DROPPED, destination=Endpoint(OUTSIDE["host_b"], 50_999))
    check = ordered_hello.only_known_addresses_were_used(scene.trace())
    assert not check.ok
    assert "198.51.100.2:50999" in check.why


def test_address_is_known_only_once_it_has_been_announced() -> None:
    scene = Scene()
    scene.hello(1, 1, Fate.DROPPED)
    scene.announce("host_b", 1)
    assert not ordered_hello.only_known_addresses_were_used(scene.trace()).ok


def test_observed_source_may_be_answered() -> None:
    scene = opened(1)
    moved = Endpoint(OUTSIDE["host_b"], 61_000)
    scene.hello(1, 2, translated=moved)
    scene.hello(1, 3, destination=moved)
    assert ordered_hello.only_known_addresses_were_used(scene.trace()).ok


def test_strangers_hello_is_told() -> None:
    scene = opened(1)
    payload = encode(Hello(TAGS[1], 1, 2, False))
    scene.see(A.host_link, False, Endpoint("192.0.2.3", 1), inside("host_a", 1), payload=payload)
    check = ordered_hello.only_known_addresses_were_used(scene.trace())
    assert not check.ok
    assert "192.0.2.3:1" in check.why
