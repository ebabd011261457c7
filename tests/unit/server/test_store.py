"""The store in memory: claims, leases, look-ups, signals."""

from __future__ import annotations

from nat_traversal.server.store import (
    Claim,
    Claimed,
    Held,
    Holder,
    LookedUp,
    LookUp,
    MemoryStore,
    PeerLeft,
    Publish,
    Release,
    Signalled,
)

A = Holder("host_a", "host_b", connection=1)
RIVAL = Holder("host_a", "host_c", connection=2)
B = Holder("host_b", "host_a", connection=3)
LEASE = 10.0


def test_id_belongs_to_the_first_who_claims_it() -> None:
    store = MemoryStore()
    assert store.handle(Claim(A, LEASE), 0.0) == [Claimed(A)]
    assert store.handle(Claim(RIVAL, LEASE), 9.0) == [Held(RIVAL, A)]
    assert store.handle(Claim(B, LEASE), 9.0) == [Claimed(B)]


def test_id_stays_its_holders_until_it_is_given_back() -> None:
    """A host that was suspended wakes after every lease, and its clients are still there."""
    store = MemoryStore()
    store.handle(Claim(A, LEASE), 0.0)
    assert store.handle(Claim(A, LEASE), 9.0) == [Claimed(A)]
    assert store.handle(Claim(RIVAL, LEASE), 1000.0) == [Held(RIVAL, A)]
    assert store.handle(LookUp("host_a", B), 1000.0) == [LookedUp(B, A)]


def test_only_the_holder_can_release_an_id() -> None:
    store = MemoryStore()
    store.handle(Claim(A, LEASE), 0.0)
    assert store.handle(Release(RIVAL), 0.0) == []
    assert store.handle(LookUp("host_a", B), 0.0) == [LookedUp(B, A)]
    assert store.handle(Release(A), 0.0) == []
    assert store.handle(LookUp("host_a", B), 0.0) == [LookedUp(B, None)]
    assert store.handle(Claim(RIVAL, LEASE), 0.0) == [Claimed(RIVAL)]


def test_signal_reaches_the_holder_or_nobody() -> None:
    store = MemoryStore()
    assert store.handle(Publish("host_a", PeerLeft("host_b")), 0.0) == []
    store.handle(Claim(A, LEASE), 0.0)
    signal = PeerLeft("host_b")
    assert store.handle(Publish("host_a", signal), 1.0) == [Signalled(A, signal)]
