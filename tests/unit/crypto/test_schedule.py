"""The key schedule: both sides agree, and every single value that goes in changes what comes out."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nat_traversal.crypto.dh import KeyPair
from nat_traversal.crypto.schedule import (
    Party,
    PathKeys,
    Transcript,
    choose,
    derive,
    next_epoch,
)
from nat_traversal.wire.offers import Offer, Suite, Trust

RNG = random.Random(1)
EPHEMERAL = (KeyPair.generate(RNG), KeyPair.generate(RNG))
IDENTITY = (KeyPair.generate(RNG), KeyPair.generate(RNG))
SUITES = (Suite.AES_256_GCM, Suite.CHACHA20_POLY1305)


def party(index: int) -> Party:
    offer = Offer(
        instance=bytes([index]) * 16,
        public=EPHEMERAL[index].public,
        identity=IDENTITY[index].public,
        trust=Trust.BOTH,
        suites=SUITES,
    )
    return Party(("host_a", "host_b")[index], offer)


TRANSCRIPT = Transcript(
    version=2,
    token=b"t" * 16,
    round=1,
    role_a="host_a",
    initiator=party(0),
    responder=party(1),
    suite=Suite.AES_256_GCM,
)


def secrets(index: int) -> list[bytes]:
    """ee, es, se, ss, as the initiator (0) or the responder (1) works them out."""
    mine, other = index, 1 - index
    es = (EPHEMERAL, IDENTITY) if index == 0 else (IDENTITY, EPHEMERAL)
    se = (IDENTITY, EPHEMERAL) if index == 0 else (EPHEMERAL, IDENTITY)
    return [
        EPHEMERAL[mine].exchange(EPHEMERAL[other].public),
        es[0][mine].exchange(es[1][other].public),
        se[0][mine].exchange(se[1][other].public),
        IDENTITY[mine].exchange(IDENTITY[other].public),
    ]


def keys(
    index: int, transcript: Transcript = TRANSCRIPT, psk: bytes | None = b"p" * 32
) -> PathKeys:
    return derive(transcript, is_initiator=index == 0, secrets=secrets(index), psk=psk)


def all_of(found: PathKeys) -> set[bytes]:
    return {
        found.sending.seal,
        found.sending.handshake,
        found.receiving.seal,
        found.receiving.handshake,
        found.chain,
    }


def test_the_two_sides_agree_and_no_key_serves_two_purposes() -> None:
    initiator, responder = keys(0), keys(1)
    assert initiator.sending == responder.receiving
    assert initiator.receiving == responder.sending
    assert (initiator.chain, initiator.transcript_hash) == (
        responder.chain,
        responder.transcript_hash,
    )
    assert len(all_of(initiator)) == 5


def changed_parties() -> list[Transcript]:
    found = []
    for side in ("initiator", "responder"):
        before: Party = getattr(TRANSCRIPT, side)
        offer = before.offer
        for party in (
            replace(before, id="host_c"),
            replace(before, offer=replace(offer, instance=b"i" * 16)),
            replace(before, offer=replace(offer, public=b"e" * 32)),
            replace(before, offer=replace(offer, identity=b"")),
            replace(before, offer=replace(offer, trust=Trust.SERVER)),
            replace(before, offer=replace(offer, suites=SUITES[:1])),
            replace(before, offer=replace(offer, suites=SUITES[::-1])),
            replace(before, offer=replace(offer, suites=(*SUITES, "of-2031"))),
        ):
            change: dict[str, Any] = {side: party}
            found.append(replace(TRANSCRIPT, **change))
    return found


@pytest.mark.parametrize(
    "other",
    [
        replace(TRANSCRIPT, version=3),
        replace(TRANSCRIPT, token=b"u" * 16),
        replace(TRANSCRIPT, round=2),
        replace(TRANSCRIPT, role_a="host_b"),
        replace(TRANSCRIPT, suite=Suite.CHACHA20_POLY1305),
        *changed_parties(),
    ],
)
def test_every_value_of_the_transcript_is_bound(other: Transcript) -> None:
    assert not all_of(keys(0)) & all_of(keys(0, other))


@pytest.mark.parametrize("missing", range(4))
def test_every_dh_result_is_bound(missing: int) -> None:
    some = secrets(0)
    some[missing] = bytes(32)
    other = derive(TRANSCRIPT, is_initiator=True, secrets=some, psk=b"p" * 32)
    assert not all_of(keys(0)) & all_of(other)


def test_the_shared_key_is_bound_and_its_absence_too() -> None:
    found = [all_of(keys(0, psk=psk)) for psk in (b"p" * 32, b"q" * 32, None)]
    assert len(set().union(*found)) == 15


def test_values_do_not_run_into_each_other() -> None:
    offer = party(0).offer
    one, other = (
        replace(TRANSCRIPT, initiator=Party(name, replace(offer, instance=instance)))
        for name, instance in (("host_ab", b"c" * 15), ("host_a", b"b" + b"c" * 15))
    )
    assert one.encode() != other.encode()


def test_plaintext_keys_come_from_the_token() -> None:
    plain = replace(TRANSCRIPT, suite=Suite.NONE)
    mine, theirs = (
        derive(plain, is_initiator=initiator, secrets=(), psk=None) for initiator in (True, False)
    )
    assert mine.sending == theirs.receiving
    other = derive(replace(plain, token=b"u" * 16), is_initiator=True, secrets=(), psk=None)
    assert not all_of(mine) & all_of(other)


def test_an_epoch_follows_the_one_before_and_nothing_else() -> None:
    before = keys(0), keys(1)
    after = [
        next_epoch(each, b"fresh secret", b"bound", is_initiator=index == 0)
        for index, each in enumerate(before)
    ]
    assert after[0].sending == after[1].receiving
    assert not all_of(after[0]) & all_of(before[0])
    for secret, bound in ((b"other secret", b"bound"), (b"fresh secret", b"other")):
        other = next_epoch(before[0], secret, bound, is_initiator=True)
        assert not all_of(other) & all_of(after[0])


def test_no_key_shows() -> None:
    found = keys(0)
    shown = repr(found) + repr(found.sending)
    assert not [key for key in all_of(found) if repr(key) in shown or key.hex() in shown]


def test_the_initiator_chooses_among_what_both_offer() -> None:
    assert choose(SUITES, SUITES[::-1]) is Suite.AES_256_GCM
    assert choose(SUITES[::-1], SUITES) is Suite.CHACHA20_POLY1305
    assert choose((Suite.NONE,), SUITES) is None
    assert choose(("of-2031", *SUITES), SUITES) is Suite.AES_256_GCM


@st.composite
def divided(draw: st.DrawFn) -> tuple[Transcript, Transcript]:
    """Two transcripts that have the same octets one behind the other, and may divide them in other ways."""
    octets = draw(st.text("ab", max_size=4)).encode()
    found = []
    for _ in range(2):
        first, second, third = sorted(draw(st.integers(0, len(octets))) for _ in range(3))
        offer = replace(
            party(0).offer,
            instance=octets[first:second],
            public=octets[second:third],
            identity=octets[third:],
        )
        found.append(replace(TRANSCRIPT, initiator=Party(octets[:first].decode(), offer)))
    return found[0], found[1]


@given(divided())
def test_no_two_transcripts_have_a_key_in_common(pair: tuple[Transcript, Transcript]) -> None:
    ours, theirs = (
        derive(transcript, is_initiator=index == 0, secrets=[b"s" * 32], psk=None)
        for index, transcript in enumerate(pair)
    )
    if pair[0] == pair[1]:
        assert (ours.sending, ours.receiving) == (theirs.receiving, theirs.sending)
        assert ours.chain == theirs.chain
    else:
        assert not all_of(ours) & all_of(theirs)
