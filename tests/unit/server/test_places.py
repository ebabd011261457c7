"""The address of a server that goes to a client of another one: one that this client can reach."""

from __future__ import annotations

import pytest

from nat_traversal.server.cluster.places import Places
from nat_traversal.wire.endpoint import Endpoint

LOOPBACK, PRIVATE, PUBLIC = "127.0.0.1", "10.0.0.7", "192.0.2.7"
PUBLIC_6, TOLD = "2001:db8::7", "198.51.100.7"


def place_of(via: str, *known: str, told: str = "") -> str:
    places = Places(Endpoint(told, 7000) if told else None)
    for address in known:
        places.learn(Endpoint(address, 6545))
    found = places.of(via)
    return "" if found is None else found.address


@pytest.mark.parametrize(
    ("via", "known", "found"),
    [
        (PUBLIC, (PUBLIC,), PUBLIC),
        (PUBLIC, (PRIVATE,), ""),
        (PUBLIC, (LOOPBACK, PRIVATE, PUBLIC), PUBLIC),
        (PRIVATE, (PUBLIC, PRIVATE), PRIVATE),
        (PRIVATE, (PUBLIC,), PUBLIC),
        (PRIVATE, (LOOPBACK,), ""),
        (LOOPBACK, (LOOPBACK, PUBLIC), LOOPBACK),
        (PUBLIC_6, (PUBLIC,), ""),
        (PUBLIC_6, (PUBLIC, PUBLIC_6), PUBLIC_6),
        (PUBLIC, ("169.254.1.1",), ""),
        ("", (PUBLIC_6, PUBLIC), PUBLIC),
        ("", (PRIVATE,), ""),
        (PUBLIC, (), ""),
    ],
)
def test_it_is_of_the_same_ip_version_and_as_widely_reachable(
    via: str, known: tuple[str, ...], found: str
) -> None:
    assert place_of(via, *known) == found


@pytest.mark.parametrize("known", [(), (PRIVATE,), (PUBLIC,)])
def test_what_the_operator_has_told_comes_first_for_clients_from_outside(
    known: tuple[str, ...],
) -> None:
    assert place_of(PUBLIC, *known, told=TOLD) == TOLD
    assert place_of(PUBLIC_6, *known, told=TOLD) == ""
    assert place_of(PRIVATE, PRIVATE, told=TOLD) == PRIVATE
