"""Proof of possession: made by the key alone, and bound to all that it is about."""

from __future__ import annotations

import random
from dataclasses import fields, replace
from typing import Any

import pytest

from nat_traversal.crypto.dh import KeyPair
from nat_traversal.crypto.possession import NAME, Claim, is_proof, proof
from nat_traversal.server.possession import Possession
from nat_traversal.wire import PROOF_BYTES
from nat_traversal.wire.messages import Register
from tests.unit.counterpart import an_offer

RNG = random.Random(3)
OWNER, SERVER, STRANGER = (KeyPair.generate(RNG) for _ in range(3))
CLAIM = Claim(bytes(16), SERVER.public, OWNER.public, "host_a", "192.0.2.2", bytes(32))


def test_both_sides_make_the_same_proof_and_nobody_else_does() -> None:
    made = proof(OWNER.exchange(SERVER.public), CLAIM)
    assert len(made) == PROOF_BYTES
    assert is_proof(SERVER.exchange(OWNER.public), CLAIM, made)
    assert not is_proof(SERVER.exchange(STRANGER.public), CLAIM, made)


@pytest.mark.parametrize("name", [each.name for each in fields(Claim)])
def test_proof_of_another_claim_is_none(name: str) -> None:
    secret = OWNER.exchange(SERVER.public)
    value: Any = getattr(CLAIM, name)
    other: Any = value + "x" if isinstance(value, str) else value[:-1] + b"\x01"
    change: dict[str, Any] = {name: other}
    assert not is_proof(secret, replace(CLAIM, **change), proof(secret, CLAIM))


def test_values_that_move_over_a_border_make_another_claim() -> None:
    one, other = replace(CLAIM, id="ab", via="c"), replace(CLAIM, id="a", via="bc")
    assert one.encode() != other.encode()


def test_name_is_that_of_the_document() -> None:
    assert NAME == b"nat-traversal 2: possession of the key that holds an id, X25519, SHA-256"


def register(owner: bytes) -> Register:
    return Register(
        1, (2,), "host_a", "host_b", bytes(32), 1, an_offer(), via="192.0.2.2", owner=owner
    )


def test_question_is_answered_by_the_owner_alone_and_each_by_an_answer_of_its_own() -> None:
    possession = Possession(KeyPair.generate, RNG, certificate=b"c" * 32)
    first, second = (possession.question(register(OWNER.public)) for _ in range(2))
    assert first.message.nonce != second.message.nonce
    assert first.message.public != second.message.public
    made = proof(OWNER.exchange(first.message.public), first.claim)
    assert first.is_answered_by(made)
    assert not second.is_answered_by(made)
    for index in range(PROOF_BYTES):
        changed = made[:index] + bytes([made[index] ^ 1]) + made[index + 1 :]
        assert not first.is_answered_by(changed)


@pytest.mark.parametrize("point", [bytes(32), bytes([1, *bytes(31)])])
def test_owner_of_small_order_cannot_be_proven(point: bytes) -> None:
    question = Possession(KeyPair.generate, RNG).question(register(point))
    assert not question.is_answered_by(proof(bytes(32), question.claim))


def test_question_shows_no_secret() -> None:
    question = Possession(KeyPair.generate, RNG).question(register(OWNER.public))
    assert "pair" not in repr(question)
