"""The values of a NAT's flags about TCP (RFC 5382), ICMP errors and quirks. Pure; `natlab.behavior` puts them together."""

from __future__ import annotations

from enum import StrEnum


class TcpMapping(StrEnum):
    """The external port of a TCP connection (RFC 5382 section 4.1)."""

    ENDPOINT_INDEPENDENT = "tcp-eim"
    """The internal port, for every destination (REQ-1)."""
    FRESH = "tcp-apdm"
    """A random one for each connection."""


class TcpFiltering(StrEnum):
    """Whose connections reach an internal endpoint that has a mapping (RFC 5382 section 4.3)."""

    ENDPOINT_INDEPENDENT = "tcp-eif"
    """Everybody's (REQ-3, where transparency matters most)."""
    ADDRESS_DEPENDENT = "tcp-adf"
    """Those of every address that it has connected to."""
    ADDRESS_AND_PORT_DEPENDENT = "tcp-apdf"
    """Nobody's but that of the endpoint to which its own SYN is under way."""


class CrossingSyn(StrEnum):
    """The fate of a SYN from the endpoint to which an inside host's own SYN is under way."""

    LET_IN = "crossing-syn"
    """Simultaneous open (RFC 9293 section 3.5) passes, as RFC 5382 REQ-2 asks."""
    DROPPED = "no-crossing-syn"
    """Only SYN with ACK comes in: a state machine that knows the three-way handshake alone."""


class Syn(StrEnum):
    """The answer to a SYN that is not let in (RFC 5382 section 4.3, REQ-4)."""

    AS_REST = "syn-as-rest"
    """Silence where the NAT drops what it does not let in, else a reset."""
    DROP = "syn-drop"
    RESET = "syn-reset"
    UNREACHABLE = "syn-icmp"
    """ICMP port unreachable."""
    HELD = "syn-hold"
    """That as well, `HELD_FOR` seconds later, unless the inside host connects there meanwhile (REQ-4)."""


HELD_FOR = 6
"""Seconds for which RFC 5382 REQ-4 forbids an answer to a SYN that is not let in."""


class IcmpErrors(StrEnum):
    """The fate of ICMP errors from outside about an inside host's own packets (RFC 5508 REQ-3 to 6)."""

    TRANSLATED = "icmp-errors"
    DROPPED = "no-icmp-errors"
    """No path MTU discovery, and no word of what is unreachable."""


class AfterError(StrEnum):
    """The filter after an ICMP error about a datagram (RFC 4787 REQ-12)."""

    NOTHING = "icmp-keeps"
    CLOSES = "icmp-closes"
    """It is closed to whom that datagram went, until the host sends there again. RFC 4787 forbids it."""


class Fragments(StrEnum):
    """The fate of IP fragments (RFC 4787 REQ-14)."""

    PASSED = "fragments"
    DROPPED = "no-fragments"


class Parity(StrEnum):
    """Whether an external port is even where the internal one is (RFC 4787 section 4.2.2, REQ-4)."""

    ANY = "any-parity"
    KEPT = "port-parity"


class Payload(StrEnum):
    """Whether the NAT looks for addresses in what datagrams carry (RFC 4787 REQ-10, RFC 5389 section 15.2)."""

    LEFT = "no-alg"
    REWRITTEN = "alg"
    """Four octets that are the internal address become the external one on the way out, and back on the way in."""


class Ipv6(StrEnum):
    """The translation of IPv6, where the router has that."""

    FIREWALL = "ipv6-firewall"
    """None (RFC 6092)."""
    NAT66 = "nat66"
    """All hosts have the router's address; ports are kept while they are free, as in stock Linux."""
    NAT66_FRESH = "nat66-apdm"
    """The same, with a random port for each flow."""
    NPTV6 = "nptv6"
    """Each host has its own address in the outer prefix, and its ports; checksums stay (RFC 6296)."""
    NAT64 = "nat64"
    """Hosts have IPv6 alone, and reach IPv4 by a translator in front of the NAT (RFC 6146): `natlab.topologies.nat64`."""


class Ipv6Filtering(StrEnum):
    """Whose UDP is let in, once the host has sent (RFC 4787 section 5, RFC 6092 section 3.2.2)."""

    ADDRESS_AND_PORT_DEPENDENT = "ipv6-apdf"
    ADDRESS_DEPENDENT = "ipv6-adf"
    ENDPOINT_INDEPENDENT = "ipv6-eif"
