"""MACs and nonces of the handshake."""

from __future__ import annotations

from nat_traversal.crypto.proof import is_mac, is_nonce, mac, nonce
from nat_traversal.wire.endpoint import Endpoint

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
