"""The values of a NAT's flags about TCP (RFC 5382). Pure; `natlab.behavior` puts them together."""

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
