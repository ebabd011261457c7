"""The certificate of this process for QUIC inside its paths: made in memory, kept nowhere."""

from __future__ import annotations

import datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519

from nat_traversal.streams.quic import NAME, StreamIdentity

_FROM, _UNTIL = datetime.datetime(1970, 1, 1), datetime.datetime(9999, 12, 31)  # noqa: DTZ001 - UTC, as X.509 has it
"""It lives as long as the process, and hosts whose clocks are wrong have it too."""


def made_identity() -> StreamIdentity:
    """A new key (Ed25519) and its self-signed certificate."""
    key = ed25519.Ed25519PrivateKey.generate()
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "nat-traversal")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_FROM)
        .not_valid_after(_UNTIL)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
        .sign(key, None)
    )
    return StreamIdentity(certificate, key)
