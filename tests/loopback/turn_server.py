"""A TURN server of a few lines for what coturn cannot be made to say: each error, silence, a loss in the middle."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

from aioice import stun
from aioice.turn import make_integrity_key

from nat_traversal import Endpoint

NAME, PASSWORD, REALM = "lab", "secret", "loopback"
RELAYED = ("192.0.2.50", 50_000)
_KEY = make_integrity_key(NAME, REALM, PASSWORD)
CREATED = (stun.Method.ALLOCATE, stun.Method.REFRESH, stun.Method.CHANNEL_BIND)


class ScriptedTurn(asyncio.DatagramProtocol):
    """Answers as `refusals` say, by method, and grants everything else to whoever has the password."""

    def __init__(self) -> None:
        self.refusals: dict[stun.Method, int] = {}
        self.lifetime: int | None = None
        """Seconds that each answer grants; None: what was asked for."""
        self.relayed = RELAYED
        self.is_mute = False
        self.asked: list[tuple[stun.Method, int | None]] = []
        """Authenticated requests, each with its LIFETIME."""
        self.versions: list[int] = []
        """The address families of its allocations (RFC 8656 section 18.6); 0: none was asked for."""
        self.bound: dict[int, tuple[str, int]] = {}
        """Channels."""
        self.came: list[tuple[int, bytes]] = []
        """Datagrams, by channel."""
        self._transport: asyncio.DatagramTransport | None = None
        self._client: tuple[str, int] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._client = addr
        if data[0] & 0xC0 == 0x40:
            self.came.append((int.from_bytes(data[:2], "big"), data[4:]))
            return
        if self.is_mute:
            return
        request = stun.parse_message(data)
        if "USERNAME" not in request.attributes:
            self._refuse(request, 401)
            return
        method = request.message_method
        self.asked.append((method, request.attributes.get("LIFETIME")))
        if method is stun.Method.ALLOCATE:
            self.versions.append(request.attributes.get("REQUESTED-ADDRESS-FAMILY", 0) >> 24)
        if method in self.refusals:
            self._refuse(request, self.refusals[method])
            return
        if not request.check_message_integrity(_KEY):
            self._refuse(request, 401)
            return
        answer = self._answer(request, stun.Class.RESPONSE)
        asked = request.attributes.get("LIFETIME", 600)
        answer.attributes["LIFETIME"] = asked if self.lifetime is None else self.lifetime
        if method is stun.Method.ALLOCATE:
            answer.attributes["XOR-RELAYED-ADDRESS"] = self.relayed
            answer.attributes["XOR-MAPPED-ADDRESS"] = addr
        if method is stun.Method.CHANNEL_BIND:
            channel = request.attributes["CHANNEL-NUMBER"]
            self.bound[channel] = request.attributes["XOR-PEER-ADDRESS"]
        answer.add_message_integrity(_KEY)
        self.send(bytes(answer))

    def deliver(self, channel: int, payload: bytes) -> None:
        """A datagram of the peer, to the client that spoke last."""
        self.send(channel.to_bytes(2, "big") + len(payload).to_bytes(2, "big") + payload)

    def _refuse(self, request: stun.Message, code: int) -> None:
        answer = self._answer(request, stun.Class.ERROR)
        answer.attributes["ERROR-CODE"] = (code, "no")
        if code in (401, 438):
            answer.attributes["REALM"], answer.attributes["NONCE"] = REALM, b"nonce"
        elif "USERNAME" in request.attributes:
            answer.add_message_integrity(_KEY)
        self.send(bytes(answer))

    @staticmethod
    def _answer(request: stun.Message, class_: stun.Class) -> stun.Message:
        return stun.Message(
            message_method=request.message_method,
            message_class=class_,
            transaction_id=request.transaction_id,
        )

    def send(self, octets: bytes) -> None:
        """To the client that spoke last."""
        assert self._transport is not None
        assert self._client is not None
        self._transport.sendto(octets, self._client)


@asynccontextmanager
async def turn_server(
    address: str = "127.0.0.1",
) -> AsyncIterator[tuple[ScriptedTurn, Endpoint]]:
    """One on this host, and where it is."""
    loop = asyncio.get_running_loop()
    transport, server = await loop.create_datagram_endpoint(ScriptedTurn, local_addr=(address, 0))
    try:
        yield server, Endpoint(*transport.get_extra_info("sockname")[:2])
    finally:
        transport.close()
