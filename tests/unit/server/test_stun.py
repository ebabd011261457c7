"""Budgets of answers to STUN."""

from __future__ import annotations

import itertools

import pytest

from nat_traversal.machine.counters import Counters
from nat_traversal.server.stun import Alternate, StunAnswers
from nat_traversal.settings import ServerSettings
from nat_traversal.wire import stun_client
from nat_traversal.wire.endpoint import Endpoint

REQUEST = bytes.fromhex("000100002112a442") + bytes(12)


class Rig:
    def __init__(self, settings: ServerSettings | None = None) -> None:
        self.counters = Counters()
        self.stun = StunAnswers(settings or ServerSettings(), self.counters)

    def answered(self, addresses: list[str], now: float = 0.0, port: int = 9) -> int:
        answers = (self.stun.answer(REQUEST, Endpoint(each, port), now) for each in addresses)
        return sum(answer is not None for answer in answers)


def addresses(count: int) -> list[str]:
    return [f"203.0.{number // 250}.{1 + number % 250}" for number in range(count)]


def test_a_source_gets_ten_a_second_and_the_others_theirs() -> None:
    rig = Rig()
    assert rig.answered(["203.0.113.1"] * 100) == 10
    assert rig.answered(["203.0.113.2"] * 5) == 5
    assert rig.answered(["203.0.113.1"] * 100, now=1.0) == 10
    assert rig.counters["stun-shed"] == 180


def test_a_whole_prefix_of_ipv6_is_one_source() -> None:
    rig = Rig()
    assert rig.answered([f"2001:db8::{number:x}" for number in range(1, 100)]) == 10


def test_all_together_get_a_thousand_a_second() -> None:
    rig = Rig()
    assert rig.answered(addresses(5000)) == 1000
    assert rig.answered(addresses(5000), now=0.5) == 500


def test_the_budgets_are_settings() -> None:
    rig = Rig(ServerSettings(stun_per_source=2, stun_in_all=3))
    assert rig.answered(["203.0.113.1"] * 9) == 2
    assert rig.answered(addresses(9)) == 1


@pytest.mark.parametrize(
    ("address", "port"), [("203.0.113.1", 0), ("0.0.0.0", 9), ("224.0.0.1", 9), ("255.255.255.255", 9)]
)  # fmt: skip
def test_nothing_goes_where_no_host_can_be(address: str, port: int) -> None:
    rig = Rig()
    assert rig.answered([address], port=port) == 0
    assert rig.counters["stun-malformed"] == 1


def test_what_is_no_request_is_counted_and_not_answered() -> None:
    rig = Rig()
    source = Endpoint("203.0.113.1", 9)
    assert rig.stun.answer(b"\1" + REQUEST[1:], source, 0.0) is None
    assert rig.counters["stun-malformed"] == 1


def test_sources_without_end_take_no_memory_without_end() -> None:
    settings = ServerSettings(sources=64, stun_in_all=1e9)
    rig = Rig(settings)
    for number in itertools.islice(itertools.count(), 1000):
        rig.answered([f"203.0.{number // 250}.{1 + number % 250}"])
    assert len(rig.stun.sources) == 64


ALTERNATE = Alternate(Endpoint("192.0.2.2", 6545), Endpoint("192.0.2.3", 6546))
SOURCE = Endpoint("203.0.113.1", 9)


def beside(settings: ServerSettings | None = None) -> StunAnswers:
    return StunAnswers(settings or ServerSettings(), Counters(), ALTERNATE)


@pytest.mark.parametrize("asked", ALTERNATE.endpoints)
@pytest.mark.parametrize("address", [False, True])
@pytest.mark.parametrize("port", [False, True])
def test_each_of_four_endpoints_answers_from_the_one_that_was_asked_for(
    asked: Endpoint, address: bool, port: bool
) -> None:
    request = stun_client.request(bytes(12), change_address=address, change_port=port)
    got = beside().answer(request, SOURCE, 0.0, asked)
    assert got is not None
    assert got.origin is not None
    assert (got.origin.address != asked.address, got.origin.port != asked.port) == (address, port)
    assert got.destination == SOURCE
    other = stun_client.decode(got.octets).other
    assert other is not None
    assert other.address != asked.address
    assert other.port != asked.port
    assert other in ALTERNATE.endpoints


def test_a_source_has_one_budget_at_all_endpoints_whatever_it_asks_for() -> None:
    """So nobody gets more aimed at a victim by the alternate than without it."""
    answers = beside()
    sent = [
        answers.answer(stun_client.request(bytes(12), change_address=change), SOURCE, 0.0, asked)
        for asked in ALTERNATE.endpoints
        for change in (False, True)
        for _ in range(10)
    ]
    assert sum(answer is not None for answer in sent) == 10


@pytest.mark.parametrize("source", ALTERNATE.endpoints)
def test_the_server_answers_no_request_that_seems_to_come_from_itself(source: Endpoint) -> None:
    assert beside().answer(REQUEST, source, 0.0, ALTERNATE.primary) is None


def test_an_answer_to_another_port_goes_to_the_source_and_nowhere_else() -> None:
    request = stun_client.request(bytes(12), response_port=77)
    got = beside().answer(request, SOURCE, 0.0, ALTERNATE.primary)
    assert got is not None
    assert got.destination == Endpoint(SOURCE.address, 77)
    nowhere = stun_client.request(bytes(12), response_port=0)
    assert beside().answer(nowhere, SOURCE, 0.0, ALTERNATE.primary) is None


def test_an_error_comes_from_where_the_request_went() -> None:
    """Its attribute 0x7fff has to be understood, and is not."""
    request = bytes.fromhex(
        "000100142112a442" + "00" * 12 + "0003000400000006" + "7fff0000" + "0027000400070000"
    )
    got = beside().answer(request, SOURCE, 0.0, ALTERNATE.primary)
    assert got is not None
    assert stun_client.decode(got.octets).error == 420
    assert (got.origin, got.destination) == (ALTERNATE.primary, SOURCE)
