"""The server's self-signed certificate: made at the first start, then kept."""

from __future__ import annotations

import datetime
from pathlib import Path

from nat_traversal.cli.state import write_once
from nat_traversal.errors import UsageError
from nat_traversal.tls import ServerTlsSettings

FILE = "server.pem"
"""Holds the private key and the certificate: so the two are always of one pair."""
_VALID = datetime.timedelta(days=3652)
"""Ten years. Clients know it by its fingerprint, which no date ends."""
_CLOCKS_DIFFER = datetime.timedelta(days=1)


def kept(directory: Path, now: datetime.datetime) -> ServerTlsSettings:
    """The certificate in `directory`, made there if there is none. Raises `UsageError`."""
    path = directory / FILE
    if not path.exists():
        write_once(path, self_signed(now))
    return ServerTlsSettings(str(path))


def self_signed(now: datetime.datetime) -> bytes:
    """A new private key (P-256) and its certificate, in PEM form. Raises `UsageError`."""
    try:
        from cryptography import x509  # noqa: PLC0415 - a server needs it for nothing else
        from cryptography.hazmat.primitives import hashes, serialization  # noqa: PLC0415
        from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415
    except ImportError:
        raise UsageError(
            "to make a certificate takes the package cryptography: apt install python3-cryptography, "
            "or pip install cryptography; or give your own by --tls-cert FILE --tls-key FILE"
        ) from None
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "nat-traversal server")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCKS_DIFFER)
        .not_valid_after(now + _VALID)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return private + certificate.public_bytes(serialization.Encoding.PEM)
