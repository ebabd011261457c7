"""Why two NATs leave a pair relayed, in words, from the facts of both."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nat_traversal.client.explanation import explain
from nat_traversal.errors import WireError
from nat_traversal.wire.behavior import Filtering, Mapping, PortAllocation
from nat_traversal.wire.nat_facts import NatFacts
from natlab.behavior import NINE, Unsolicited
from natlab.oracle.rungs import rung
from natlab.presets import preset


def facts(nat: str) -> NatFacts:
    behavior = preset(nat).behavior
    assert behavior is not None
    order = behavior.unsolicited is Unsolicited.ORDER_SENSITIVE
    return NatFacts(behavior.mapping, behavior.filtering, behavior.allocation, order)


@pytest.mark.parametrize(
    ("mine", "theirs", "reason"),
    [
        (
            "APDM+APDF",
            "EIM+APDF",
            (
                "your NAT gives a new port to every destination, and theirs filters by port, "
                "so there is no direct path without guessing ports"
            ),
        ),
        (
            "EIM+APDF",
            "ADM+EIF",
            (
                "your NAT filters by port, and theirs gives a new port to every destination address, "
                "so there is no direct path without guessing ports"
            ),
        ),
        (
            "APDM+APDF",
            "APDM+ADF",
            (
                "both NATs give a new port to every destination, "
                "so there is no direct path without guessing ports"
            ),
        ),
        (
            "linux-masquerade",
            "linux-masquerade",
            "both NATs move a packet to another port if the other side's comes first",
        ),
        (
            "EIM+EIF",
            "APDM+APDF",
            "neither NAT forbids a direct path, and yet its packets do not cross",
        ),
    ],
)
def test_the_reason_names_both_nats(mine: str, theirs: str, reason: str) -> None:
    found = explain(facts(mine), facts(theirs))
    assert found is not None
    assert found.reason == reason
    assert found.remedy


def test_each_pair_of_the_nine_has_the_oracles_rung_and_mirrored_words() -> None:
    for one, other in itertools.product(NINE, repeat=2):
        here, there = explain(facts(one), facts(other)), explain(facts(other), facts(one))
        assert here is not None
        assert there is not None
        assert here.rung == there.rung == rung(one, other)
        assert ("guessing" in here.reason) == ("guessing" in there.reason)


def test_one_known_nat_is_told_if_it_is_strict_and_nothing_is_guessed() -> None:
    strict = facts("APDM+APDF")
    mine, theirs = explain(strict, None), explain(None, strict)
    assert mine is not None
    assert theirs is not None
    assert mine.reason == "your NAT gives a new port to every destination"
    assert theirs.reason == "their NAT gives a new port to every destination"
    assert explain(facts("EIM+APDF"), None) is None
    assert explain(NatFacts(), NatFacts()) is None


@given(
    st.none() | st.sampled_from(Mapping),
    st.none() | st.sampled_from(Filtering),
    st.none() | st.sampled_from(PortAllocation),
    st.none() | st.booleans(),
)
def test_facts_come_back_as_they_were_told(
    mapping: Mapping | None,
    filtering: Filtering | None,
    allocation: PortAllocation | None,
    order: bool | None,
) -> None:
    told = NatFacts(mapping, filtering, allocation, order)
    assert NatFacts.decode(told.encode()) == told
    assert NatFacts.decode(told.encode() + b"later") == told


@given(st.binary(max_size=8))
def test_whatever_a_peer_says_is_facts_or_malformed(octets: bytes) -> None:
    if len(octets) < 4:
        with pytest.raises(WireError):
            NatFacts.decode(octets)
    else:
        NatFacts.decode(octets)
