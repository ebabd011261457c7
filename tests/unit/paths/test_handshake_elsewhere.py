"""B in a round whose peer comes in at an address where it hears no answer: the others are opened as well."""

from __future__ import annotations

from nat_traversal.paths.budget import TrafficBudget
from nat_traversal.paths.methods.handshake import MOST_ADDED, Handshake, HandshakeState
from nat_traversal.wire.endpoint import Endpoint
from nat_traversal.wire.messages import Candidate, Role, StartRound
from tests.unit.counterpart import TOKEN, an_offer
from tests.unit.paths.test_handshake import (
    KEYS,
    OBSERVED,
    PEER,
    SETTINGS,
    begin,
    hello,
    says_confirm,
    says_hello,
)

IPV6 = Endpoint("2001:db8::2", 40_000)
WANTED = says_confirm(OBSERVED, wanted=True)
INTERVAL = SETTINGS.hello_interval


def heard_and_deaf(*announced: Endpoint) -> Handshake:
    """The peer speaks from `OBSERVED`, and its first HELLO 3 shows that no answer has come there."""
    shake = begin(Role.B, *announced)
    assert shake.hello_arrived(hello(1), OBSERVED, 0.0) == []
    assert shake.ordered(2, 0.1) == [says_hello(2, OBSERVED)]
    assert shake.hello_arrived(hello(3), OBSERVED, 0.2) == [WANTED]
    return shake


def test_a_peer_that_stays_deaf_is_called_at_its_other_addresses_too() -> None:
    """The first HELLO 3 tells nothing yet: the answer may be on its way. Its port at the server leads nowhere else."""
    shake = heard_and_deaf(IPV6, PEER)
    again = shake.hello_arrived(hello(3, copy=1), OBSERVED, 0.2 + INTERVAL)
    assert again == [
        says_confirm(OBSERVED, wanted=True, copy=1),
        says_hello(2, IPV6, copy=1),
    ]
    third = hello(3, heard_at=IPV6, copy=2)
    assert shake.hello_arrived(third, IPV6, 0.6) == [says_confirm(IPV6, copy=2)]
    assert shake.state is HandshakeState.ESTABLISHED
    assert shake.remote == IPV6


def test_a_peer_that_hears_is_called_nowhere_else() -> None:
    shake = begin(Role.B, IPV6, PEER)
    shake.hello_arrived(hello(1), OBSERVED, 0.0)
    shake.ordered(2, 0.1)
    third = hello(3, heard_at=OBSERVED)
    assert shake.hello_arrived(third, OBSERVED, 0.2) == [says_confirm(OBSERVED)]
    assert shake.hello_arrived(third, OBSERVED, 0.5) == [says_confirm(OBSERVED)]


def test_an_address_that_came_late_gets_no_more_than_its_number() -> None:
    budget = TrafficBudget()
    for each in (PEER, IPV6):
        budget.validate(each.address)
    start = StartRound(1, 1, Role.B, TOKEN, (Candidate("srflx", PEER),), an_offer("peer"))
    shake = Handshake(start, KEYS, SETTINGS, budget)
    shake.added([Candidate("mapped", IPV6)])
    shake.hello_arrived(hello(1), OBSERVED, 0.0)
    shake.ordered(2, 0.1)
    called = 0
    for copy in range(3 * MOST_ADDED):
        said = shake.hello_arrived(hello(3, copy=copy), OBSERVED, 0.2 + copy * INTERVAL) or []
        called += IPV6 in [to for _, to in said]
    assert called == MOST_ADDED
