"""Seal and open: what is changed does not open; both ways of `cryptography` give the same octets."""

from __future__ import annotations

import pytest

from nat_traversal.crypto import seal
from nat_traversal.wire.offers import Suite

SUITES = [Suite.AES_256_GCM, Suite.CHACHA20_POLY1305]
KEY, NONCE = b"k" * 32, bytes(11) + b"\x07"


def sealed(suite: Suite, plain: bytes) -> bytearray:
    place = bytearray(len(plain) + seal.TAG_OCTETS)
    seal.sealer(suite, KEY)(NONCE, plain, None, memoryview(place))
    return place


def opened(suite: Suite, octets: bytes, nonce: bytes = NONCE) -> bytes:
    place = bytearray(len(octets) - seal.TAG_OCTETS)
    seal.opener(suite, KEY)(nonce, octets, None, memoryview(place))
    return bytes(place)


@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("plain", [b"", b"x", b"datagram" * 150])
def test_what_was_sealed_opens(suite: Suite, plain: bytes) -> None:
    octets = bytes(sealed(suite, plain))
    assert opened(suite, octets) == plain
    assert plain not in octets or len(plain) < 8


@pytest.mark.parametrize("suite", SUITES)
def test_any_changed_octet_and_nonce_is_found(suite: Suite) -> None:
    octets = sealed(suite, b"datagram")
    for position in range(len(octets)):
        changed = bytearray(octets)
        changed[position] ^= 1
        with pytest.raises(seal.NotAuthentic):
            opened(suite, bytes(changed))
    with pytest.raises(seal.NotAuthentic):
        opened(suite, bytes(octets), nonce=bytes(12))


class Old:
    """A cipher as `cryptography` 42 has it: without the methods that write into a buffer."""

    def __init__(self, cipher: object) -> None:
        self.encrypt = cipher.encrypt  # type: ignore[attr-defined]
        self.decrypt = cipher.decrypt  # type: ignore[attr-defined]


@pytest.mark.parametrize("suite", SUITES)
def test_an_old_cryptography_seals_the_same(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = sealed(suite, b"datagram")
    new = seal._cipher
    monkeypatch.setattr(seal, "_cipher", lambda suite, key: Old(new(suite, key)))
    assert sealed(suite, b"datagram") == expected
    assert opened(suite, bytes(expected)) == b"datagram"
    with pytest.raises(seal.NotAuthentic):
        opened(suite, bytes(expected), nonce=bytes(12))
