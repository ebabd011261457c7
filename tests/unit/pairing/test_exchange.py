"""Two sides tell each other their keys, whatever is lost; a guest takes no other key than the invited one."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nat_traversal.errors import UsageError
from nat_traversal.pairing.exchange import Exchange

HOME, FRIEND, OTHER = b"h" * 32, b"f" * 32, b"o" * 32


@given(st.randoms(use_true_random=False), st.floats(0, 0.9))
def test_both_have_both_keys_whatever_is_lost(chance: random.Random, loss: float) -> None:
    home, friend = Exchange(HOME), Exchange(FRIEND, HOME)
    for _ in range(2000):
        for sender, receiver in ((home, friend), (friend, home)):
            if chance.random() >= loss:
                receiver.receive(sender.message())
        if home.done and friend.done:
            break
    assert (home.peer, friend.peer) == (FRIEND, HOME)


def test_nobody_is_done_before_the_other_said_that_it_heard() -> None:
    home, friend = Exchange(HOME), Exchange(FRIEND, HOME)
    friend.receive(home.message())
    assert not friend.done
    home.receive(friend.message())
    assert home.done
    friend.receive(home.message())
    assert friend.done


def test_a_guest_takes_no_other_key_than_the_invited_one() -> None:
    friend = Exchange(FRIEND, HOME)
    with pytest.raises(UsageError, match="does not have the key of this invitation"):
        friend.receive(Exchange(OTHER).message())
    assert friend.peer is None


def test_the_first_key_stays() -> None:
    home = Exchange(HOME)
    home.receive(Exchange(FRIEND).message())
    home.receive(Exchange(OTHER).message())
    assert home.peer == FRIEND


@given(st.one_of(st.binary(max_size=80), st.just(b"[" * 50_000), st.sampled_from([b"{}", b"[]", b'{"identity":1,"heard":true}'])))  # fmt: skip
def test_what_is_no_message_changes_nothing(datagram: bytes) -> None:
    home = Exchange(HOME)
    home.receive(datagram)
    assert (home.peer, home.heard) == (None, False)
