"""The hop at which an opener has to end, from the routers' words."""

from __future__ import annotations

import pytest

from nat_traversal.paths.hops import Hops
from nat_traversal.wire.opener import MOST_HOPS

PEER = "198.51.100.2"
HOME, CARRIER = "192.168.1.1", "100.64.0.1"


def public(hop: int) -> str:
    return f"198.18.0.{hop}"


def told(words: dict[int, str]) -> Hops:
    hops = Hops(PEER)
    for hop, teller in words.items():
        hops.told(hop, teller)
    return hops


@pytest.mark.parametrize(
    ("words", "hop"),
    [
        ({}, None),
        ({1: HOME}, None),
        ({1: HOME, 2: public(2)}, 2),
        ({1: HOME, 2: CARRIER, 3: public(3)}, 3),
        ({1: HOME, 2: public(2), 3: public(3), 4: public(4)}, 3),
        ({1: HOME, **{hop: public(hop) for hop in range(2, 11)}}, 6),
        # some routers are silent
        ({1: HOME, 5: public(5)}, 5),
        ({3: public(3), 7: public(7)}, 5),
        # this host's NAT answers by its external address
        ({1: "203.0.113.2", 2: public(2)}, 2),
        # a carrier numbers its routers privately, beyond its NAT too
        ({1: HOME, 2: CARRIER, 3: "10.7.0.1"}, 3),
        # a public host
        ({1: public(1)}, 1),
    ],
)
def test_it_is_between_the_nats(words: dict[int, str], hop: int | None) -> None:
    assert told(words).between == hop


def test_what_the_peers_nat_says_counts_for_nothing() -> None:
    """It forwards some packets: at a higher count one would have come to it."""
    assert told({1: HOME, 2: public(2), 3: PEER, 4: PEER}).between == 2


def test_the_first_word_of_a_hop_counts() -> None:
    hops = told({1: HOME, 2: HOME})
    hops.told(2, public(2))
    assert hops.between == 2
    assert hops.missing == tuple(range(3, MOST_HOPS + 1))
