"""The NAT model: RFC 4787's axes one by one, and the order-sensitive quirk."""

import random

import pytest

from nat_traversal.wire.behavior import Filtering, Mapping
from nat_traversal.wire.endpoint import Endpoint
from natlab.behavior import NatBehavior, Unsolicited, parse_behavior
from natlab.oracle.model import Admission, ModelNat, Verdict
from natlab.presets import PRESETS

INSIDE = Endpoint("10.0.1.2", 5000)
OTHER_INSIDE = Endpoint("10.0.1.3", 5000)
PUBLIC = "203.0.113.2"
REMOTE = Endpoint("198.51.100.2", 7000)
SAME_HOST = Endpoint("198.51.100.2", 7001)
STRANGER = Endpoint("192.0.2.2", 7000)


def model(name: str, **options: float) -> ModelNat:
    return ModelNat(PRESETS[name].behavior, PUBLIC, random.Random(1), **options)


def test_public_host_is_left_alone_in_both_directions() -> None:
    nat = model("none")
    assert nat.outbound(INSIDE, REMOTE) == INSIDE
    assert nat.judge(STRANGER, INSIDE) == Verdict(Admission.DELIVERED, INSIDE)


@pytest.mark.parametrize(
    ("mapping", "same_host", "same_stranger"),
    [
        (Mapping.ENDPOINT_INDEPENDENT, True, True),
        (Mapping.ADDRESS_DEPENDENT, True, False),
        (Mapping.ADDRESS_AND_PORT_DEPENDENT, False, False),
    ],
)
def test_mapping_is_reused_as_far_as_its_behavior_says(
    mapping: Mapping, same_host: bool, same_stranger: bool
) -> None:
    nat = ModelNat(NatBehavior(mapping, Filtering.ENDPOINT_INDEPENDENT), PUBLIC, random.Random(1))
    first = nat.outbound(INSIDE, REMOTE)
    assert nat.outbound(INSIDE, REMOTE) == first
    assert (nat.outbound(INSIDE, SAME_HOST) == first) is same_host
    assert (nat.outbound(INSIDE, STRANGER) == first) is same_stranger


@pytest.mark.parametrize(
    ("name", "same_host", "stranger"),
    [
        ("full-cone", Admission.DELIVERED, Admission.DELIVERED),
        ("restricted-cone", Admission.DELIVERED, Admission.FILTERED),
        ("port-restricted-cone", Admission.FILTERED, Admission.FILTERED),
        ("symmetric", Admission.FILTERED, Admission.FILTERED),
        ("linux-masquerade", Admission.TAKEN_BY_ROUTER, Admission.TAKEN_BY_ROUTER),
    ],
)
def test_filter_lets_in_as_far_as_its_behavior_says(
    name: str, same_host: Admission, stranger: Admission
) -> None:
    nat = model(name)
    outside = nat.outbound(INSIDE, REMOTE)
    assert nat.inbound(REMOTE, outside) == INSIDE
    assert nat.judge(SAME_HOST, outside).admission is same_host
    assert nat.judge(STRANGER, outside).admission is stranger


@pytest.mark.parametrize("name", [name for name in PRESETS if name != "none"])
def test_internal_endpoint_is_closed_until_it_has_sent(name: str) -> None:
    assert model(name).inbound(REMOTE, Endpoint(PUBLIC, INSIDE.port)) is None


def test_symmetric_keeps_each_filter_with_its_own_mapping() -> None:
    nat = model("symmetric")
    announced = nat.outbound(INSIDE, STRANGER)
    nat.outbound(INSIDE, REMOTE)
    assert nat.judge(REMOTE, announced).admission is Admission.FILTERED


def test_cone_preserves_the_port_unless_another_host_holds_it() -> None:
    nat = model("full-cone")
    first, second = nat.outbound(INSIDE, REMOTE), nat.outbound(OTHER_INSIDE, REMOTE)
    assert first == Endpoint(PUBLIC, INSIDE.port)
    assert second.address == PUBLIC
    assert second.port != INSIDE.port
    assert nat.inbound(REMOTE, first) == INSIDE
    assert nat.inbound(REMOTE, second) == OTHER_INSIDE


def test_symmetric_ports_come_from_the_seed() -> None:
    assert model("symmetric").outbound(INSIDE, REMOTE) == model("symmetric").outbound(
        INSIDE, REMOTE
    )


def test_booked_tuple_moves_the_inside_hosts_flow_and_no_other() -> None:
    nat = model("linux-masquerade")
    announced = nat.outbound(INSIDE, STRANGER)
    assert nat.judge(REMOTE, announced).admission is Admission.TAKEN_BY_ROUTER

    moved = nat.outbound(INSIDE, REMOTE)
    assert moved.port != announced.port
    assert nat.outbound(INSIDE, REMOTE) == moved
    assert nat.judge(REMOTE, announced).admission is Admission.TAKEN_BY_ROUTER
    assert nat.inbound(REMOTE, moved) == INSIDE
    assert nat.outbound(INSIDE, STRANGER) == announced
    assert nat.inbound(STRANGER, announced) == INSIDE


def test_packet_before_any_mapping_books_too() -> None:
    nat = model("linux-masquerade")
    nat.inbound(REMOTE, Endpoint(PUBLIC, INSIDE.port))
    assert nat.outbound(INSIDE, STRANGER).port == INSIDE.port
    assert nat.outbound(INSIDE, REMOTE).port != INSIDE.port


def test_booked_tuple_stays_the_routers_though_the_filter_would_let_it_in() -> None:
    behavior = NatBehavior(
        Mapping.ENDPOINT_INDEPENDENT, Filtering.ENDPOINT_INDEPENDENT, Unsolicited.ORDER_SENSITIVE
    )
    nat = ModelNat(behavior, PUBLIC, random.Random(1))
    nat.inbound(STRANGER, Endpoint(PUBLIC, INSIDE.port))
    outside = nat.outbound(INSIDE, REMOTE)
    assert nat.judge(STRANGER, outside).admission is Admission.TAKEN_BY_ROUTER
    assert nat.inbound(SAME_HOST, outside) == INSIDE


class Always2000(random.Random):
    def randrange(self, *_: object) -> int:
        return 2000 - 1024


def test_moved_flow_avoids_ports_that_are_held_or_booked() -> None:
    nat = ModelNat(PRESETS["linux-masquerade"].behavior, PUBLIC, Always2000())
    nat.outbound(Endpoint(INSIDE.address, 2000), STRANGER)
    for port in (2001, INSIDE.port):
        nat.inbound(REMOTE, Endpoint(PUBLIC, port))
    assert nat.outbound(INSIDE, REMOTE) == Endpoint(PUBLIC, 2002)


def test_inside_host_that_sends_first_is_not_moved() -> None:
    nat = model("linux-masquerade")
    outside = nat.outbound(INSIDE, REMOTE)
    assert nat.inbound(REMOTE, outside) == INSIDE
    assert nat.outbound(INSIDE, REMOTE) == outside


def test_silent_nat_forgets_an_unsolicited_packet() -> None:
    nat = model("port-restricted-cone")
    announced = nat.outbound(INSIDE, STRANGER)
    nat.inbound(REMOTE, announced)
    assert nat.outbound(INSIDE, REMOTE) == announced


def test_mapping_and_booking_end_after_the_timeout() -> None:
    nat = model("linux-masquerade", timeout=5.0)
    announced = nat.outbound(INSIDE, STRANGER, 0.0)
    nat.inbound(REMOTE, announced, 1.0)
    assert nat.outbound(INSIDE, REMOTE, 2.0) != announced
    assert nat.inbound(STRANGER, announced, 5.0) == INSIDE
    assert nat.inbound(STRANGER, announced, 10.1) is None
    assert nat.outbound(INSIDE, REMOTE, 20.0) == announced


def made(text: str) -> ModelNat:
    return ModelNat(parse_behavior(text), PUBLIC, random.Random(1))


@pytest.mark.parametrize(
    ("refresh", "after_outbound", "after_inbound"),
    [
        ("outbound-refresh", True, False),
        ("inbound-refresh", True, True),
        ("absolute", False, False),
    ],
)
def test_a_mapping_lives_on_by_the_packets_that_refresh_it(
    refresh: str, after_outbound: bool, after_inbound: bool
) -> None:
    nat = made(f"EIM+APDF+5s+{refresh}")
    outside = nat.outbound(INSIDE, REMOTE, 0.0)
    nat.outbound(INSIDE, REMOTE, 4.0)
    assert (nat.inbound(REMOTE, outside, 8.0) == INSIDE) is after_outbound
    assert (nat.inbound(REMOTE, outside, 12.0) == INSIDE) is after_inbound


def test_an_absolute_filter_ends_with_its_mapping() -> None:
    nat = made("EIM+APDF+5s+absolute")
    outside = nat.outbound(INSIDE, REMOTE, 0.0)
    nat.outbound(INSIDE, STRANGER, 4.0)
    assert nat.inbound(STRANGER, outside, 5.0) == INSIDE
    assert nat.inbound(STRANGER, outside, 5.1) is None


@pytest.mark.parametrize(
    ("allocation", "ports"),
    [
        ("preserving", [5000, 6000]),
        ("sequential", [1024, 1025]),
    ],
)
def test_new_mappings_get_their_ports_as_told(allocation: str, ports: list[int]) -> None:
    nat = made(f"EIM+EIF+{allocation}")
    sources = [INSIDE, Endpoint(INSIDE.address, 6000)]
    assert [nat.outbound(source, REMOTE).port for source in sources] == ports


def test_every_host_has_a_block_of_ports() -> None:
    nat = made("APDM+EIF+block-per-host")
    for number in (2, 3):
        for port in range(20):
            source = Endpoint(f"10.0.1.{number}", 7000 + port)
            assert nat.outbound(source, REMOTE).port // 1024 == number


def test_every_port_of_a_block_is_given_once() -> None:
    nat = made("EIM+EIF+block-per-host")
    sources = [Endpoint("10.0.1.3", 1024 + n) for n in range(1024)]
    given = {nat.outbound(source, REMOTE).port for source in sources}
    assert given == set(range(3 * 1024, 4 * 1024))


def test_after_the_highest_port_the_lowest_is_the_next() -> None:
    nat = made("EIM+EIF+sequential")
    nat.others_took(65_534)
    sources = [Endpoint(INSIDE.address, 5000 + number) for number in range(4)]
    given = [nat.outbound(source, REMOTE).port for source in sources]
    assert given == [65_534, 65_535, 1024, 1025]


def test_a_preserving_dependent_mapping_keeps_the_port_for_one_destination_only() -> None:
    nat = made("APDM+EIF+preserving")
    assert nat.outbound(INSIDE, REMOTE).port == INSIDE.port
    assert nat.outbound(INSIDE, STRANGER).port != INSIDE.port


def test_a_rejecting_nat_says_so_and_forgets() -> None:
    nat = made("EIM+APDF+reject")
    announced = nat.outbound(INSIDE, STRANGER)
    assert nat.judge(REMOTE, announced).admission is Admission.REJECTED
    assert nat.outbound(INSIDE, REMOTE) == announced


@pytest.mark.parametrize(
    ("hairpin", "seen"),
    [("hairpin-external-source", Endpoint(PUBLIC, 5000)), ("hairpin-internal-source", INSIDE)],
)
def test_hairpinning_shows_the_source_it_is_named_for(hairpin: str, seen: Endpoint) -> None:
    nat = made(f"EIM+EIF+{hairpin}")
    target = nat.outbound(OTHER_INSIDE, REMOTE)
    assert target == Endpoint(PUBLIC, 5000)
    second = Endpoint(PUBLIC, nat.outbound(INSIDE, REMOTE).port)
    shown, verdict = nat.hairpin(INSIDE, target)
    assert verdict == Verdict(Admission.DELIVERED, OTHER_INSIDE)
    assert shown == (second if seen != INSIDE else INSIDE)


def test_a_hairpinned_packet_meets_the_receivers_filter() -> None:
    nat = made("EIM+APDF+hairpin-external-source")
    target = nat.outbound(OTHER_INSIDE, REMOTE)
    own, verdict = nat.hairpin(INSIDE, target)
    assert verdict.admission is Admission.FILTERED
    assert nat.hairpin(OTHER_INSIDE, own)[1].admission is Admission.DELIVERED
    assert nat.hairpin(INSIDE, target)[1].admission is Admission.DELIVERED


@pytest.mark.parametrize("mapping", ["ADM", "APDM"])
def test_a_hairpinned_answer_leaves_from_a_mapping_of_its_own(mapping: str) -> None:
    nat = made(f"{mapping}+EIF+hairpin-external-source")
    target = nat.outbound(OTHER_INSIDE, REMOTE)
    shown, verdict = nat.hairpin(INSIDE, target)
    assert verdict.internal == OTHER_INSIDE
    answer, verdict = nat.hairpin(OTHER_INSIDE, shown)
    assert verdict.internal == INSIDE
    assert answer != target


def test_nothing_is_hairpinned_unless_the_nat_does() -> None:
    nat = made("EIM+EIF")
    target = nat.outbound(OTHER_INSIDE, REMOTE)
    assert nat.hairpin(INSIDE, target)[1].admission is Admission.NOT_HAIRPINNED
    nobody = made("EIM+EIF+hairpin-internal-source")
    assert nobody.hairpin(INSIDE, target)[1].admission is Admission.NO_MAPPING


@pytest.mark.parametrize("flag", ["no-udp", "tcp-only"])
def test_a_nat_without_udp_lets_nothing_in(flag: str) -> None:
    nat = made(f"EIM+EIF+{flag}")
    assert nat.judge(REMOTE, nat.outbound(INSIDE, REMOTE)).admission is Admission.BLOCKED


def test_filter_ends_while_its_mapping_lives() -> None:
    nat = model("port-restricted-cone", timeout=5.0)
    outside = nat.outbound(INSIDE, REMOTE, 0.0)
    nat.outbound(INSIDE, STRANGER, 4.0)
    assert nat.judge(REMOTE, outside, 6.0).admission is Admission.FILTERED
    assert nat.inbound(STRANGER, outside, 6.0) == INSIDE


def test_packet_to_another_address_is_nobodys() -> None:
    nat = model("linux-masquerade")
    nat.outbound(INSIDE, REMOTE)
    elsewhere = Endpoint("203.0.113.9", INSIDE.port)
    assert nat.judge(REMOTE, elsewhere).admission is Admission.NO_MAPPING


def test_an_icmp_error_closes_where_a_nat_lets_it_and_the_next_packet_opens_again() -> None:
    nat = ModelNat(parse_behavior("EIM+APDF+icmp-closes"), PUBLIC, random.Random(1))
    outside = nat.outbound(INSIDE, REMOTE)
    nat.outbound(INSIDE, STRANGER)
    nat.hears_error(outside, REMOTE)
    assert nat.judge(REMOTE, outside).admission is Admission.FILTERED
    assert nat.inbound(STRANGER, outside) == INSIDE
    assert nat.outbound(INSIDE, REMOTE) == outside
    assert nat.inbound(REMOTE, outside) == INSIDE


def test_an_icmp_error_closes_nothing_behind_other_nats() -> None:
    nat = ModelNat(parse_behavior("EIM+APDF"), PUBLIC, random.Random(1))
    outside = nat.outbound(INSIDE, REMOTE)
    nat.hears_error(outside, REMOTE)
    assert nat.inbound(REMOTE, outside) == INSIDE


def test_parity_is_kept_by_a_nat_that_draws_its_ports() -> None:
    nat = ModelNat(parse_behavior("APDM+APDF+port-parity"), PUBLIC, random.Random(1))
    sources = [Endpoint(INSIDE.address, 30_000 + n) for n in range(20)]
    assert [
        each for each in sources if (nat.outbound(each, REMOTE).port - each.port) % 2 != 0
    ] == []
