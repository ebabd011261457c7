"""An invitation: one line with everything that the other host needs to find this one and to be let in. Pure.

    nat-traversal://server.example:6545/home?peer=friend&key=…&until=1796000000#SECRET

The part after ``#``, which no server ever sees (RFC 3986 section 3.5), is a key of 32 octets that works once.
"""

from __future__ import annotations

import base64
import binascii
import re
import urllib.parse
from dataclasses import dataclass, field

from nat_traversal.errors import UsageError
from nat_traversal.tls import ClientTlsSettings, parse_fingerprint
from nat_traversal.wire.endpoint import HostPort
from nat_traversal.wire.ids import check_id, parse_server

SCHEME = "nat-traversal"
KEY_OCTETS = 32
MOST_CHARACTERS = 1000
"""A line that is longer is none."""
SYSTEM_CAS = "system"
"""As `tls`: the server's certificate is one that the system's CAs have signed."""
_WHOLE = "copy the whole line that `nat-traversal invite` printed"
_LATEST = 1 << 40
"""Seconds since 1970 that no invitation reaches."""


@dataclass(frozen=True, slots=True)
class Invitation:
    """`inviter` waits at `server` for `guest`, until `expires` (seconds since 1970, UTC)."""

    server: HostPort
    inviter: str
    guest: str
    public: bytes
    """The inviter's identity: 32 octets."""
    expires: int
    secret: bytes = field(repr=False)
    """Both hosts' shared key, for one connection: 32 octets."""
    tls: ClientTlsSettings | None = None
    """TLS to the server: by the system's CAs or a fingerprint."""

    def url(self) -> str:
        """The line to copy. Raises `UsageError` for a server behind a CA of its own, whose file no line can hold."""
        query = {
            "peer": self.guest,
            "key": _text(self.public),
            "until": self.expires,
        }
        if self.tls is not None:
            if self.tls.ca is not None:
                raise UsageError(
                    "an invitation cannot hold the file of --ca: use --server-fingerprint instead"
                )
            query["tls"] = SYSTEM_CAS if self.tls.pin is None else self.tls.pin.hex()
        words = urllib.parse.urlencode(query)
        return f"{SCHEME}://{self.server}/{self.inviter}?{words}#{_text(self.secret)}"


def parse(line: str, now: float) -> Invitation:
    """The invitation of a line, which may have blanks around it. `now`: seconds since 1970.

    Raises `UsageError`, one line with what is wrong; it repeats nothing of the line, which holds a secret.
    """
    text = line.strip()
    if not text.startswith(f"{SCHEME}://") or len(text) > MOST_CHARACTERS:
        raise UsageError(f"this is no invitation, which begins with {SCHEME}://: {_WHOLE}")
    try:
        parts = urllib.parse.urlsplit(text)
        query = dict(urllib.parse.parse_qsl(parts.query, strict_parsing=True, max_num_fields=8))
    except ValueError:
        raise _incomplete("is not whole") from None
    if not parts.fragment:
        raise _incomplete("lacks its end, the secret after #")
    try:
        invitation = Invitation(
            server=parse_server(parts.netloc),
            inviter=check_id(parts.path.removeprefix("/")),
            guest=check_id(query["peer"]),
            public=_octets(query["key"]),
            expires=_seconds(query["until"]),
            secret=_octets(parts.fragment),
            tls=_tls(query.get("tls")),
        )
    except (KeyError, ValueError, UsageError):
        raise _incomplete("is not whole, or was changed") from None
    if now >= invitation.expires:
        raise UsageError(
            "this invitation has expired: ask for a new one "
            "(or set this host's clock, if it is wrong)"
        )
    return invitation


def _incomplete(how: str) -> UsageError:
    return UsageError(f"this invitation {how}: {_WHOLE}")


def _seconds(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,13}", text, re.ASCII) or int(text) >= _LATEST:
        raise ValueError
    return int(text)


def _tls(word: str | None) -> ClientTlsSettings | None:
    if word is None:
        return None
    if word == SYSTEM_CAS:
        return ClientTlsSettings()
    parse_fingerprint(word)
    return ClientTlsSettings(fingerprint=word)


def _text(key: bytes) -> str:
    """43 characters that URLs and double clicks leave whole (RFC 4648 section 5, without padding)."""
    return base64.urlsafe_b64encode(key).decode().rstrip("=")


def _octets(text: str) -> bytes:
    if not re.fullmatch(r"[A-Za-z0-9_-]{43}", text, re.ASCII):
        raise ValueError
    try:
        key = base64.urlsafe_b64decode(f"{text}=")
    except binascii.Error:
        raise ValueError from None
    if _text(key) != text:  # bits behind the last octet
        raise ValueError
    return key
