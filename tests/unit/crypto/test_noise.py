"""The symmetric state against published vectors: of Noise, of HKDF, of X25519."""

from __future__ import annotations

import hmac

import pytest

from nat_traversal.crypto import seal
from nat_traversal.crypto.dh import KeyPair
from nat_traversal.crypto.noise import SymmetricState, expand, hkdf
from nat_traversal.errors import KeyRefusedError
from nat_traversal.wire.offers import Suite

EPHEMERALS = (
    "893e28b9dc6ca8d611ab664754b8ceb7bac5117349a4439a6b0569da977c464a",
    "bbdb4cdbd309f1a1f2e1456967fe288cadd6f712d65dc7b7793d5e63da6b375b",
)
PAYLOADS = (
    "4c756477696720766f6e204d69736573",
    "4d757272617920526f746862617264",
    "462e20412e20486179656b",
    "4361726c204d656e676572",
)
VECTORS = {
    "Noise_NN_25519_AESGCM_SHA256": (
        Suite.AES_256_GCM,
        (
            "95ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f144808843"
            "934ff73eebb9d930ebf62b8e4db8133ca936872b5551efd7c9989c646d8cf0"
        ),
        "8d372b94914e80018211a344b8b1c5a2869492a0db46990c0362f3",
        "e183b0abd55550f9955fb05476d988c6f27628d7bbde111c39ccbc",
    ),
    "Noise_NN_25519_ChaChaPoly_SHA256": (
        Suite.CHACHA20_POLY1305,
        (
            "95ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f144808843"
            "a0ff96bdf86b579ef7dbf94e812a7470b903c20a85a87e3a1fe863264ae547"
        ),
        "eb1a3e3d80c1792b1bb9cb0e1382f8d8322bfb1ca7c4c8517bb686",
        "c781b198d2a974eb1da2c7d518c000cf6396de87ca540963c03713",
    ),
}
"""From the vectors of cacophony: message 2, whose tag covers the transcript, and the first one each way after."""


def sealed(suite: Suite, key: bytes, plain: bytes, header: bytes) -> bytes:
    place = memoryview(bytearray(len(plain) + seal.TAG_OCTETS))
    seal.sealer(suite, key)(bytes(12), plain, header, place)
    return bytes(place)


@pytest.mark.parametrize("name", VECTORS)
def test_a_noise_handshake_over_our_parts_gives_the_published_octets(name: str) -> None:
    suite, message_2, from_initiator, from_responder = VECTORS[name]
    initiator, responder = (KeyPair(bytes.fromhex(text)) for text in EPHEMERALS)
    first, second, third, fourth = map(bytes.fromhex, PAYLOADS)
    state = SymmetricState(name.encode())
    state.mix_hash(b"John Galt")

    state.mix_hash(initiator.public)
    state.mix_hash(first)
    state.mix_hash(responder.public)
    key = state.mix_key(responder.exchange(initiator.public))
    message = sealed(suite, key, second, state.transcript_hash)
    state.mix_hash(message)
    ours, theirs = state.split()

    assert (responder.public + message).hex() == message_2
    # In Noise the first message of the transport phase is the initiator's.
    assert sealed(suite, ours, third, b"").hex() == from_initiator
    assert sealed(suite, theirs, fourth, b"").hex() == from_responder


def test_expand_gives_the_octets_of_rfc_5869() -> None:
    salt, info = bytes(range(13)), bytes(range(0xF0, 0xFA))
    secret = hmac.digest(salt, b"\x0b" * 22, "sha256")
    assert secret.hex() == "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5"
    assert expand(secret, info, 42).hex() == (
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"
    )


def test_hkdf_of_noise_is_that_of_rfc_5869_without_info() -> None:
    secret = hmac.digest(b"s" * 32, b"material", "sha256")
    assert b"".join(hkdf(b"s" * 32, b"material", 3)) == expand(secret, b"", 96)


def test_x25519_gives_the_public_halves_of_these_vectors() -> None:
    publics = [KeyPair(bytes.fromhex(text)).public.hex() for text in EPHEMERALS]
    assert publics == [
        "ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c7944",
        "95ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f144808843",
    ]


def test_own_key_and_points_of_small_order_are_refused() -> None:
    pair = KeyPair(b"p" * 32)
    with pytest.raises(KeyRefusedError, match="this side's own"):
        pair.exchange(pair.public)
    for bad in (bytes(32), b"\x01" + bytes(31)):
        with pytest.raises(KeyRefusedError, match="no usable X25519 key"):
            pair.exchange(bad)


def test_a_private_key_does_not_show() -> None:
    pair = KeyPair(b"secret octets of a private key..")
    assert "secret" not in repr(pair) + str(pair)
    assert pair.public.hex() in repr(pair)
