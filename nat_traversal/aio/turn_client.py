"""The TURN clients of `aioice`, where they take a server at its word, or cost more than they need to."""

from __future__ import annotations

import contextlib
import struct

from aioice import stun
from aioice.stun import Message
from aioice.turn import TurnClientMixin, TurnClientTcpProtocol, TurnClientUdpProtocol

SHORTEST = 60
"""Seconds that a server's answer grants at least: one that says 0 would be asked again without a pause."""
_FAMILY = (0x0017, "REQUESTED-ADDRESS-FAMILY", stun.pack_unsigned, stun.unpack_unsigned)
"""RFC 8656 section 18.6, which the library does not know."""
stun.ATTRIBUTES_BY_TYPE.setdefault(_FAMILY[0], _FAMILY)
stun.ATTRIBUTES_BY_NAME.setdefault(_FAMILY[1], _FAMILY)
IPV6 = 0x0200_0000
"""Its value for an IPv6 address; without it an allocation is of IPv4."""
_HEADER = struct.Struct("!HH")
_STUN_OCTETS = 20
"""Before the attributes of a STUN message (RFC 8489 section 5)."""
_SERVER = ("", 0)
"""The source of what comes by a connection: the library asks for none."""


class _Wary(TurnClientMixin):
    """The library's client, where it takes a server at its word."""

    wants_ipv6 = False
    """The relayed address is to be of IPv6."""

    async def request_with_retry(self, request: Message) -> tuple[Message, tuple[str, int]]:
        """As the library's, with the IP version of what is allocated."""
        if self.wants_ipv6 and request.message_method is stun.Method.ALLOCATE:
            request.attributes[_FAMILY[1]] = IPV6
        answer, source = await super().request_with_retry(request)
        if (seconds := answer.attributes.get("LIFETIME")) is not None:
            answer.attributes["LIFETIME"] = max(seconds, SHORTEST)
        return answer, source

    def datagram_received(self, data: bytes | str, addr: tuple[str, int]) -> None:
        """As the library's, which raises `struct.error` for an attribute of a wrong length, whoever sent it."""
        with contextlib.suppress(struct.error):
            super().datagram_received(data, addr)


class UdpClient(_Wary, TurnClientUdpProtocol):
    """By a connected UDP socket."""


class TcpClient(_Wary, TurnClientTcpProtocol):
    """By TCP or TLS."""

    _begun = b""
    """The octets of a message that has not come to its end."""

    def data_received(self, data: bytes) -> None:
        """As the library's, which copies all that is behind each message: small ones take twice the time."""
        octets = self._begun + data
        at, end = 0, len(octets)
        while end - at >= _HEADER.size:
            kind, length = _HEADER.unpack_from(octets, at)
            before = _HEADER.size if kind >> 14 == 1 else _STUN_OCTETS  # RFC 8656 section 12
            after = at + before + length + -length % 4
            if after > end:
                break
            self.datagram_received(octets[at:after], _SERVER)
            at = after
        self._begun = octets[at:]
