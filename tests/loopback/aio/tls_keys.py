"""Certificates and keys in files, as the settings of both sides name them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nat_traversal import (
    ClientTlsSettings,
    ServerTlsSettings,
)
from tests.certificates import Authority, Issued


@dataclass(frozen=True)
class Keys:
    """A folder of files, and the authority whose certificate is in it."""

    folder: Path
    authority: Authority
    issued: Issued

    def server(self, issued: Issued | None = None) -> ServerTlsSettings:
        """For a server that has `issued`, by default one for 127.0.0.1 and localhost."""
        issued = issued or self.issued
        stem = self.folder / issued.fingerprint[:8]
        return ServerTlsSettings(
            issued.certificate_file(stem.with_suffix(".crt")),
            issued.key_file(stem.with_suffix(".key")),
        )

    @property
    def ca(self) -> str:
        return str(self.folder / "ca.crt")

    def clients(self) -> dict[str, ClientTlsSettings]:
        return {
            "ca": ClientTlsSettings(ca=self.ca),
            "fingerprint": ClientTlsSettings(fingerprint=self.issued.fingerprint),
        }
