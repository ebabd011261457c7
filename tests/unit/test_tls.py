"""Fingerprints as text, and which values of TLS there are."""

from __future__ import annotations

import pytest

from nat_traversal import ClientTlsSettings, UsageError
from nat_traversal.tls import fingerprint_text, parse_fingerprint

DIGEST = bytes(range(200, 232))


@pytest.mark.parametrize(
    "text", [DIGEST.hex(), DIGEST.hex().upper(), DIGEST.hex(":"), fingerprint_text(DIGEST)]
)
def test_a_fingerprint_is_hex_with_or_without_colons(text: str) -> None:
    assert parse_fingerprint(text) == DIGEST
    assert ClientTlsSettings(fingerprint=text).pin == DIGEST


@pytest.mark.parametrize(
    "text", ["", "ab", DIGEST.hex()[1:], DIGEST.hex() + "00", DIGEST.hex(" "), "g" * 64, "é" * 64]
)
def test_nothing_else_is(text: str) -> None:
    with pytest.raises(UsageError, match="is no SHA-256 fingerprint: give the 64 hex digits"):
        ClientTlsSettings(fingerprint=text)


def test_one_way_to_know_the_server_is_enough() -> None:
    with pytest.raises(UsageError, match="choose one"):
        ClientTlsSettings(ca="ca.pem", fingerprint=DIGEST.hex())
    assert ClientTlsSettings().pin is None
