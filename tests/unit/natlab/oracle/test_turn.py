"""Who is carried by a TURN server, by the model: each of the 81 pairs that nothing opens, and what stands in its way."""

from __future__ import annotations

import itertools

import pytest

from nat_traversal.errors import UsageError
from nat_traversal.wire.methods import MethodName
from natlab.behavior import NINE, parse_behavior
from natlab.evidence.result import Case
from natlab.evidence.way import Kind
from natlab.oracle.outcome import Outcome
from natlab.oracle.predict import BY_TURN, LADDER, method_of
from natlab.oracle.turn import WHO, Turn, parse_turn, turn_of
from tests.unit.natlab.oracle.test_predict import expected_of_nine

TURN = MethodName.TURN
BLOCKED = "udp-blocked"
PAIRED = "APDM+APDF+addresses-4"
ARBITRARY = f"{PAIRED}+arbitrary"


@pytest.mark.parametrize("who", WHO)
@pytest.mark.parametrize(("nat_a", "nat_b"), list(itertools.product(NINE, repeat=2)))
def test_a_turn_server_carries_each_of_the_81_pairs_that_no_direct_path_opens(
    nat_a: str, nat_b: str, who: str
) -> None:
    opens = expected_of_nine(parse_behavior(nat_a), parse_behavior(nat_b)) is Outcome.CONNECTED
    case = Case.of(nat_a, nat_b, "two_nats", BY_TURN, parse_turn(who))
    assert case.method is (MethodName.ORDERED_HELLO if opens else TURN)
    assert case.path is (Kind.DIRECT if opens else Kind.RELAYED)
    assert case.turned_by == (None if opens else WHO[who][0])


def test_the_relay_of_the_server_comes_first() -> None:
    methods = (*LADDER, TURN)
    case = Case.of("symmetric", "symmetric", "two_nats", methods, parse_turn("both"))
    assert (case.method, case.turned_by) == (MethodName.RELAY, None)


def test_nothing_relays_without_a_turn_server_or_the_method() -> None:
    assert method_of("symmetric", "symmetric", BY_TURN) is None
    assert method_of("symmetric", "symmetric", BY_TURN[:-1], parse_turn("both")) is None


@pytest.mark.parametrize(
    ("nats", "turn", "own"),
    [
        (("symmetric", BLOCKED), "a", None),  # host_b cannot reach the relayed address
        (("symmetric", BLOCKED), "a,tcp", None),
        (("symmetric", BLOCKED), "b", None),  # host_b cannot reach its TURN server
        (("symmetric", BLOCKED), "b,tcp", "host_b"),
        ((BLOCKED, "symmetric"), "both,tcp", "host_a"),
        ((BLOCKED, "symmetric"), "both", None),
        ((BLOCKED, "tcp-only"), "both,tcp", None),
        ((PAIRED, PAIRED), "a", "host_a"),
        ((ARBITRARY, "symmetric"), "a", "host_a"),
    ],
)
def test_whose_turn_server_carries_a_pair_with_blocked_udp_or_several_addresses(
    nats: tuple[str, str], turn: str, own: str | None
) -> None:
    assert turn_of(*nats, parse_turn(turn)) == own


def test_a_peer_whose_nat_takes_any_of_its_addresses_is_left_to_nobody_s_guess() -> None:
    with pytest.raises(UsageError, match="NAT of host_b gives each mapping the next of its"):
        turn_of("symmetric", ARBITRARY, parse_turn("a"))


def test_hosts_and_transport_are_read() -> None:
    assert parse_turn("a") == parse_turn("a,udp") == Turn(("host_a",))
    assert str(parse_turn("both,tcp")) == "host_a and host_b, by tcp"


@pytest.mark.parametrize("text", ["", "c", "a,b", "a,", "a,tls", "both, tcp"])
def test_what_is_no_host_or_transport_is_one_line(text: str) -> None:
    with pytest.raises(UsageError, match="give a, b or both, with ,tcp as in both,tcp"):
        parse_turn(text)
