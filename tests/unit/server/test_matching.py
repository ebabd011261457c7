"""Which hosts may know of each other."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nat_traversal.server.matching import is_met, match, mismatch
from nat_traversal.wire.messages import Mismatch, Register
from nat_traversal.wire.offers import Suite, Trust
from tests.unit.counterpart import an_offer

KEY_A, KEY_B, OTHER = b"a" * 32, b"b" * 32, b"o" * 32


def host(
    name: str = "host_a",
    peer: str = "host_b",
    *,
    trust: Trust = Trust.SERVER,
    identity: bytes = b"",
    peer_key: bytes = b"",
    suites: tuple[str, ...] = (Suite.AES_256_GCM,),
) -> Register:
    offer = replace(an_offer(name), identity=identity, trust=trust, suites=suites)
    return Register(1, (2,), name, peer, bytes(32), 1, offer, peer_key=peer_key)


def a_and_b(trust: Trust) -> tuple[Register, Register]:
    """Two hosts that fit."""
    keys = trust in (Trust.IDENTITY, Trust.BOTH)
    a = host(trust=trust, identity=KEY_A if keys else b"", peer_key=KEY_B if keys else b"")
    b = host(
        "host_b",
        "host_a",
        trust=trust,
        identity=KEY_B if keys else b"",
        peer_key=KEY_A if keys else b"",
    )
    return a, b


@pytest.mark.parametrize("trust", Trust)
def test_hosts_that_name_each_other_and_offer_what_the_other_demands_match(trust: Trust) -> None:
    a, b = a_and_b(trust)
    assert match(a, b)
    assert match(b, a)


@pytest.mark.parametrize("trust", Trust)
def test_hosts_of_which_one_names_a_third_do_not(trust: Trust) -> None:
    a, b = a_and_b(trust)
    assert not match(a, replace(b, peer="host_c"))
    assert not match(replace(a, peer="host_c"), b)


@pytest.mark.parametrize("other", Trust)
@pytest.mark.parametrize("trust", Trust)
def test_another_degree_of_trust_is_met_by_neither(trust: Trust, other: Trust) -> None:
    a, (_, b) = a_and_b(trust)[0], a_and_b(other)
    assert match(a, b) == is_met(a, b) == is_met(b, a) == (trust is other)


@pytest.mark.parametrize("trust", [Trust.IDENTITY, Trust.BOTH])
def test_another_identity_meets_its_own_demand_only(trust: Trust) -> None:
    a, b = a_and_b(trust)
    impostor = replace(b, offer=replace(b.offer, identity=OTHER))
    assert not is_met(a, impostor)
    assert is_met(impostor, a)
    assert not match(a, impostor)


@pytest.mark.parametrize(
    ("ours", "theirs", "fit"),
    [
        ((Suite.NONE,), (Suite.NONE,), True),
        ((Suite.NONE,), (Suite.AES_256_GCM,), False),
        ((Suite.AES_256_GCM, Suite.NONE), (Suite.AES_256_GCM,), False),
        ((Suite.AES_256_GCM, "later"), (Suite.CHACHA20_POLY1305, "later"), True),
        ((Suite.AES_256_GCM,), (Suite.CHACHA20_POLY1305,), False),
    ],
)
def test_both_seal_in_a_way_in_common_or_neither_does(
    ours: tuple[str, ...], theirs: tuple[str, ...], fit: bool
) -> None:
    a, b = host(suites=ours), host("host_b", "host_a", suites=theirs)
    assert match(a, b) == match(b, a) == fit


def test_mismatch_tells_nothing_of_the_process_and_its_socket() -> None:
    b = a_and_b(Trust.IDENTITY)[1]
    told = mismatch(b)
    assert told == Mismatch(replace(b.offer, instance=bytes(16), public=b""))
    assert b.offer.instance != told.peer.instance
