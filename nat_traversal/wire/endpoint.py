"""A transport address (RFC 8489 section 4: IP address and port) and the forms users write it in."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from functools import lru_cache

from nat_traversal.errors import UsageError
from nat_traversal.wire import addresses

MAX_PORT = 65535
_LABEL = r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)"
_HOST_NAME = rf"(?=.{{1,253}}\.?\Z){_LABEL}(?:\.{_LABEL})*\.?\Z"
"""RFC 1123 section 2.1, and underscores, which some networks have; a trailing dot is the DNS root's."""


@lru_cache(addresses.REMEMBERED)
def _canonical(address: str) -> str:
    """Few addresses come again and again, one with each datagram."""
    return str(ipaddress.ip_address(address))


@dataclass(frozen=True, slots=True, order=True)
class Endpoint:
    """An IP address in its canonical text form, and a UDP or TCP port (0 to 65535).

    Raises `UsageError` when `address` is not an IP address or `port` is out of range.
    """

    address: str
    port: int

    def __post_init__(self) -> None:
        try:
            canonical = _canonical(self.address)
        except ValueError:
            raise UsageError(
                f"{self.address!r} is not an IP address (such as 192.0.2.1 or 2001:db8::1)"
            ) from None
        if not 0 <= self.port <= MAX_PORT:
            raise UsageError(f"port {self.port} is out of range: 0 to {MAX_PORT}")
        object.__setattr__(self, "address", canonical)

    @property
    def family(self) -> int:
        """4 or 6."""
        return 6 if ":" in self.address else 4

    @property
    def is_loopback(self) -> bool:
        """Whether only programs on the same host can use it."""
        return addresses.is_loopback(self.address)

    @property
    def sockaddr(self) -> tuple[str, int]:
        """The form that Python's socket calls take."""
        return (self.address, self.port)

    def __str__(self) -> str:
        return (
            f"[{self.address}]:{self.port}" if self.family == 6 else f"{self.address}:{self.port}"
        )


@dataclass(frozen=True, slots=True)
class HostPort:
    """A user's input: a host name or an IP address, not yet resolved, and a port (1 to 65535)."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_host_port(
    text: str, *, default_host: str | None = None, default_port: int | None = None
) -> HostPort:
    """Parse ``host:port``, ``[v6]:port``, and, where a default is given, ``host`` or ``port`` alone.

    With `default_host` a lone number is a port; with `default_port` a lone word is a host.
    Raises `UsageError` that quotes `text` and shows the accepted forms.
    """
    forms = ["HOST:PORT"]
    if default_host is not None:
        forms.append("PORT")
    if default_port is not None:
        forms.append("HOST")
    wanted = " or ".join(forms)

    host: str | None
    port_text: str | None
    bracketed = re.fullmatch(r"\[([^\]]*)\](?::(.*))?", text)
    if bracketed:
        host, port_text = bracketed.group(1), bracketed.group(2)
    elif text.count(":") > 1:  # a bare IPv6 address
        host, port_text = text, None
    elif ":" in text:
        host, port_text = text.split(":")
    elif default_host is not None and text.isdecimal():
        host, port_text = None, text
    else:
        host, port_text = text, None

    if port_text is None:
        if default_port is None:
            raise UsageError(f"{text!r} has no port: write {wanted}")
        port = default_port
    else:
        port = _parse_port(port_text, text, wanted)
    if host is None:
        host = default_host
    host = _in_ascii(host or "")
    if not _is_host(host):
        if re.fullmatch(r"[\w.-]*[^\W\d][\w.-]*", host):
            rule = "labels of 1 to 63 letters, digits and hyphens, 253 octets in all"
            raise UsageError(f"{text!r}: {host!r} is no name, which has {rule}")
        raise UsageError(f"{text!r} has no usable host: write {wanted}")
    problem = useless(host)
    if problem:
        raise UsageError(f"{text!r}: {host} is {problem}")
    return HostPort(host, port)


def _in_ascii(host: str) -> str:
    """A name in another script as DNS has it (RFC 3490); what has no such form stays, and is no host."""
    if host.isascii():
        return host
    try:
        return host.encode("idna").decode("ascii")
    except UnicodeError:
        return host


def useless(host: str) -> str:
    """Why no program can be at an IP address; empty if it can, or `host` is a name."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return ""
    if address.is_multicast:
        return "a multicast address, but one host is meant"
    if address == ipaddress.IPv4Address("255.255.255.255"):
        return "the broadcast address, but one host is meant"
    if isinstance(address, ipaddress.IPv6Address):
        if address.is_link_local and address.scope_id is None:
            return f"link-local: name its interface, as in [{host}%eth0]"
        if address.scope_id is not None and not address.is_link_local:
            return "not link-local, so it has no interface: leave out the % and what follows"
    return ""


def _parse_port(port_text: str, whole: str, wanted: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", port_text) or not 1 <= int(port_text) <= MAX_PORT:
        raise UsageError(
            f"{whole!r}: the port must be a number from 1 to {MAX_PORT}: write {wanted}"
        )
    return int(port_text)


def _is_host(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        # A name of digits and dots only is a mistyped IPv4 address, never a DNS name.
        return bool(re.match(_HOST_NAME, host)) and not re.fullmatch(r"[\d.]+", host)
    return True
