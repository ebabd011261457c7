"""MACs and nonces of the handshake."""

from __future__ import annotations

import pytest

from nat_traversal.crypto.proof import is_mac, is_nonce, is_signed, mac, nonce, signed
from nat_traversal.wire.datagrams import Announce, Announced, Confirm, Hello, Signed, decode, encode
from nat_traversal.wire.endpoint import Endpoint
from tests.unit.counterpart import altered

HERE, THERE = Endpoint("192.0.2.1", 1000), Endpoint("192.0.2.1", 1001)


def test_a_mac_is_hmac_sha_256_cut_to_sixteen_octets() -> None:
    # RFC 4231 section 4.3
    assert mac(b"Jefe", b"what do ya want for nothing?").hex() == "5bdcc146bf60754e6a042426089575c7"


def test_any_other_message_key_or_mac_is_found() -> None:
    right = mac(b"key", b"message")
    assert is_mac(b"key", b"message", right)
    assert not is_mac(b"key", b"massage", right)
    assert not is_mac(b"kex", b"message", right)
    assert not is_mac(b"key", b"message", right[:-1])


def test_a_nonce_is_of_one_secret_round_and_address() -> None:
    right = nonce(b"secret", b"token", HERE)
    assert is_nonce(b"secret", b"token", HERE, right)
    assert len(right) == 8
    for others in ((b"Secret", b"token", HERE), (b"secret", b"other", HERE)):
        assert nonce(*others) != right
    assert not is_nonce(b"secret", b"token", THERE, right)


@pytest.mark.parametrize(
    "datagram",
    [
        Hello(b"12345678", 1, 2, True, 3, b"abcdefgh", b"ijklmnop", b"conn"),
        Confirm(b"12345678", 1, True, 3, b"abcdefgh", b"ijklmnop", b"conn"),
        Announce(b"handle".ljust(16), 7, 3),
        Announced(7, HERE, (THERE,)),
    ],
    ids=lambda datagram: type(datagram).__name__,
)
def test_a_mac_of_a_datagram_is_of_its_every_field(datagram: Signed) -> None:
    right = signed(datagram, b"key")
    assert is_signed(right, b"key")
    assert not is_signed(right, b"kex")
    assert not [other for other in altered(right) if is_signed(other, b"key")]
    came = decode(encode(right))
    assert came == right
    assert isinstance(came, Signed)
    assert is_signed(came, b"key")
