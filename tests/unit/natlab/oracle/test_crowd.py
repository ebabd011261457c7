"""The model of a NAT that is full, that others use as well, or that has several external addresses."""

from __future__ import annotations

import random

import pytest

from nat_traversal.wire.endpoint import Endpoint
from natlab.behavior import parse_behavior, pool
from natlab.oracle.model import Admission, ModelNat, NoRoomError

PUBLIC = "203.0.113.2"
REMOTE = Endpoint("192.0.2.2", 6545)
OTHER = Endpoint("192.0.2.3", 6545)


def made(text: str) -> ModelNat:
    return ModelNat(parse_behavior(text), PUBLIC, random.Random(1))


def socket(number: int, host: str = "10.0.1.2") -> Endpoint:
    return Endpoint(host, 10_000 + number)


def test_a_full_nat_refuses_a_new_session_until_another_has_ended() -> None:
    nat = made("EIM+APDF+sessions-64+10s")
    for number in range(64):
        nat.outbound(socket(number), REMOTE, number / 64)
    with pytest.raises(NoRoomError, match=r"203\.0\.113\.2 has no room for another session"):
        nat.outbound(socket(64), REMOTE, 2.0)
    with pytest.raises(NoRoomError):
        nat.outbound(socket(0), OTHER, 2.0)  # a mapping has room, its second session has not
    nat.outbound(socket(0), REMOTE, 9.0)
    nat.outbound(socket(64), REMOTE, 10.1)  # the second session began at 1/64


def test_a_full_nat_that_evicts_ends_the_session_made_first() -> None:
    nat = made("APDM+APDF+evict+sessions-64")
    mapped = [nat.outbound(socket(number), REMOTE) for number in range(64)]
    nat.outbound(socket(64), REMOTE)
    assert nat.judge(REMOTE, mapped[0]).admission is Admission.FILTERED
    assert nat.inbound(REMOTE, mapped[1]) == socket(1)
    assert nat.outbound(socket(0), REMOTE) == mapped[0]  # the mapping lives, and is open again
    assert nat.inbound(REMOTE, mapped[0]) == socket(0)
    assert nat.judge(REMOTE, mapped[1]).admission is Admission.FILTERED


def test_a_session_that_ended_and_came_back_leaves_no_place_behind() -> None:
    nat = made("EIM+APDF+sessions-64+10s")
    for then in (0.0, 11.0, 22.0):
        for number in range(64):
            nat.outbound(socket(63 - number if then else number), REMOTE, then)


def test_paired_and_arbitrary_addresses() -> None:
    first, second = pool(parse_behavior("EIM+EIF+addresses-2"), PUBLIC)
    assert (first, second) == ("203.0.113.2", "203.0.113.34")
    paired = made("EIM+EIF+addresses-2")
    seen = [
        {paired.outbound(socket(number, host), REMOTE).address for number in range(5)}
        for host in ("10.0.1.7", "10.0.1.2")
    ]
    assert seen == [{first}, {second}]
    arbitrary = made("EIM+EIF+arbitrary+addresses-2")
    turns = [arbitrary.outbound(socket(number), REMOTE).address for number in range(4)]
    assert turns == [first, second, first, second]
    mapped = arbitrary.outbound(socket(1), OTHER)
    assert mapped.address == second
    assert arbitrary.inbound(OTHER, mapped) == socket(1)
    assert arbitrary.inbound(OTHER, Endpoint(first, mapped.port)) is None


def test_other_subscribers_take_the_next_ports() -> None:
    nat = made("APDM+APDF+sequential+background-20")
    before = nat.outbound(socket(0), REMOTE, 100.0).port
    after = nat.outbound(socket(1), REMOTE, 200.0).port
    between = after - before - 1
    # 20 a second for 100 s, and five standard deviations.
    assert abs(between - 2000) < 5 * 2000**0.5
    assert nat.outbound(socket(0), REMOTE, 200.0).port == before
    alone = made("APDM+APDF+sequential")
    assert [alone.outbound(socket(n), REMOTE, 100.0 * n).port for n in (0, 1)] == [1024, 1025]


def test_other_subscribers_fill_a_nat() -> None:
    nat = made("EIM+EIF+sessions-64+background-100")
    nat.outbound(socket(0), REMOTE, 0.0)
    with pytest.raises(NoRoomError):
        nat.outbound(socket(1), REMOTE, 10.0)
    nat.outbound(socket(0), REMOTE, 10.0)
