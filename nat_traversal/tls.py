"""How the control connection is secured: one frozen value for each end, and fingerprints as text. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from nat_traversal.errors import UsageError

FINGERPRINT_OCTETS = 32
"""SHA-256 of a certificate in DER form (FIPS 180-4; as `openssl x509 -fingerprint -sha256` prints it)."""
_FINGERPRINT = re.compile(r"(?:[0-9A-Fa-f]{2}:?){31}[0-9A-Fa-f]{2}", re.ASCII)


def parse_fingerprint(text: str) -> bytes:
    """The 32 octets of a SHA-256 fingerprint: 64 hex digits, with or without colons. Raises `UsageError`."""
    if not _FINGERPRINT.fullmatch(text):
        raise UsageError(
            f"{text!r} is no SHA-256 fingerprint: give the 64 hex digits that the server printed "
            "at its start, with or without colons"
        )
    return bytes.fromhex(text.replace(":", ""))


def fingerprint_text(fingerprint: bytes) -> str:
    """As people compare it: pairs of hex digits between colons."""
    return fingerprint.hex(":").upper()


@dataclass(frozen=True, slots=True)
class ClientTlsSettings:
    """TLS to the server, and which server certificate a client accepts.

    With neither field: one that a CA of this system has signed for the server's name. Raises
    `UsageError` for both fields at once, and for a fingerprint that is none.
    """

    ca: str | None = None
    """The file of the CA certificates to trust instead of the system's (PEM)."""
    fingerprint: str | None = None
    """The certificate itself, by its SHA-256 in hex. Then neither name, CA nor dates are looked at."""

    def __post_init__(self) -> None:
        if self.ca is not None and self.fingerprint is not None:
            raise UsageError("a CA and a fingerprint are both given: choose one")
        if self.fingerprint is not None:
            parse_fingerprint(self.fingerprint)

    @property
    def pin(self) -> bytes | None:
        """`fingerprint` as 32 octets."""
        return None if self.fingerprint is None else parse_fingerprint(self.fingerprint)


@dataclass(frozen=True, slots=True)
class ServerTlsSettings:
    """TLS at the server: its certificate and private key, as files in PEM form."""

    certificate: str
    """The server's own certificate first, then those between it and the CA, if any."""
    key: str | None = None
    """The private key, without a passphrase. None: it is in the file of the certificate."""
