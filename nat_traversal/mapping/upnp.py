"""UPnP-IGD in words: where a router's description is, which service maps ports, and what to say to that.

A router's answers are read for the few words that matter, by expressions and not as XML: so no entity is expanded
and no other document fetched. Every address in them has to be the router's own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import escape, unescape
from urllib.parse import urljoin, urlsplit

MOST_OCTETS = 65_536
"""Of one answer of a router."""
CONFLICT = 718
"""ConflictInMappingEntry: another host has that port."""
ONLY_PERMANENT = 725
"""OnlyPermanentLeasesSupported."""
_LOCATION = re.compile(r"^location:[ \t]*(\S{1,512})", re.IGNORECASE | re.MULTILINE)
_SERVICE = re.compile(r"<service>(.{1,4096}?)</service>", re.DOTALL)
_TYPE = re.compile(
    r"<serviceType>\s*(urn:schemas-upnp-org:service:WAN(?:IP|PPP)Connection:[12])\s*</serviceType>"
)
_CONTROL = re.compile(r"<controlURL>\s*([^<\s]{1,512})\s*</controlURL>")
_ERROR = re.compile(r"<errorCode>\s*(\d{1,5})\s*</errorCode>")
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})")


@dataclass(frozen=True, slots=True)
class Place:
    """A document or service of a router."""

    host: str
    port: int
    path: str

    def __str__(self) -> str:
        return f"http://{self.host}:{self.port}{self.path}"


@dataclass(frozen=True, slots=True)
class MappingService:
    """The service of a router that maps ports."""

    place: Place
    type: str


def description(answer: bytes, router: str) -> Place | None:
    """Where the router's description is, by its answer to a search; None: it names no place of its own."""
    found = _LOCATION.search(answer[:2048].decode("ascii", "replace"))
    return None if found is None else _place(found.group(1), router)


def mapping_service(text: str, at: Place) -> MappingService | None:
    """The service in a router's description, which was read at `at`; None: it has none of its own."""
    for block in _SERVICE.findall(text):
        type_, control = _TYPE.search(block), _CONTROL.search(block)
        if type_ is not None and control is not None:
            place = _place(unescape(control.group(1)), at.host, str(at))
            return None if place is None else MappingService(place, type_.group(1))
    return None


def fetch(at: Place) -> bytes:
    """A request for a document."""
    return f"GET {at.path} HTTP/1.0\r\nHost: {at.host}:{at.port}\r\n\r\n".encode("ascii")


def add(service: MappingService, inside: str, port: int, external: int, lifetime: int) -> bytes:
    """A request to lead the router's port `external` to `port` of `inside`, for so many seconds; 0: for good."""
    return _call(
        service,
        "AddPortMapping",
        NewRemoteHost="",
        NewExternalPort=external,
        NewProtocol="UDP",
        NewInternalPort=port,
        NewInternalClient=inside,
        NewEnabled=1,
        NewPortMappingDescription="nat-traversal",
        NewLeaseDuration=lifetime,
    )


def remove(service: MappingService, external: int) -> bytes:
    """A request to end that."""
    what = {"NewRemoteHost": "", "NewExternalPort": external, "NewProtocol": "UDP"}
    return _call(service, "DeletePortMapping", **what)


def body(answer: bytes) -> tuple[int, str]:
    """The status of an answer by HTTP, 0 for what is none, and its text."""
    head, _, rest = answer[:MOST_OCTETS].partition(b"\r\n\r\n")
    status = _STATUS.match(head)
    return (int(status.group(1)) if status else 0), rest.decode("utf-8", "replace")


def error(text: str) -> int:
    """The code in a refusal; 0 where there is none."""
    found = _ERROR.search(text)
    return int(found.group(1)) if found else 0


def _place(url: str, router: str, base: str = "") -> Place | None:
    try:
        parts = urlsplit(urljoin(base, url))
        host, port = parts.hostname, parts.port or 80
    except ValueError:
        return None
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    is_safe = re.fullmatch(r"/[!-~]*", path) is not None
    return (
        Place(router, port, path) if parts.scheme == "http" and host == router and is_safe else None
    )


def _call(service: MappingService, action: str, **arguments: object) -> bytes:
    said = "".join(f"<{name}>{escape(str(value))}</{name}>" for name, value in arguments.items())
    envelope = (
        '<?xml version="1.0"?>'
        '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"'
        ' s:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/"><s:Body>'
        f'<u:{action} xmlns:u="{service.type}">{said}</u:{action}></s:Body></s:Envelope>'
    ).encode()
    place = service.place
    head = (
        f"POST {place.path} HTTP/1.0\r\nHost: {place.host}:{place.port}\r\n"
        f'Content-Type: text/xml; charset="utf-8"\r\nSOAPAction: "{service.type}#{action}"\r\n'
        f"Content-Length: {len(envelope)}\r\n\r\n"
    )
    return head.encode("ascii") + envelope
