"""A legitimate pair behind links with a delay: two clients of this package in one process, timed again and again.

Run by `scripts.attack`. Each line on stdin asks for so many pairs. Each answer is a JSON list of seconds, from
the start of both clients until both have their path; null where that took longer than `DEADLINE`.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from nat_traversal.aio.client import Client
from nat_traversal.aio.client_config import ClientConfig
from nat_traversal.aio.control_connection import ConnectionSettings, ControlProtocol
from nat_traversal.aio.datapath import DataPath
from nat_traversal.aio.inbox import Delivery
from nat_traversal.aio.open_socket import OpenSocket
from nat_traversal.aio.tls import TlsStream
from nat_traversal.aio.trunk import Alone, Control, Feed
from nat_traversal.machine import actions as do
from nat_traversal.machine import events as e
from nat_traversal.machine import notices as note
from nat_traversal.tls import ClientTlsSettings
from nat_traversal.wire.endpoint import Endpoint, HostPort

R, P = 0.050, 0.040
"""Round trips in seconds: to the server, between the hosts."""
DEADLINE = 20.0
Told = Callable[[note.Notice], None]
QUIET = 2 * R + P + R
"""Seconds that a cold start takes: the connection's round trip, then the cost of the contract."""


class Idle:
    """A forwarder without programs."""

    def path_up(self, path: DataPath) -> None: ...

    def path_down(self) -> None: ...

    def match(self, numbers: Mapping[int, int], certificate: bytes) -> None: ...

    def deliver(self, batch: Sequence[Delivery]) -> None: ...

    def not_sent(self, reason: str) -> None: ...


class Delays:
    """Calls that come later, until it is over."""

    def __init__(self) -> None:
        self.is_over = False

    def later(self, delay: float, call: Callable[..., None], *values: Any) -> None:
        if not self.is_over:
            loop = asyncio.get_running_loop()
            loop.call_later(delay, self._unless_over, call, *values)

    def _unless_over(self, call: Callable[..., None], *values: Any) -> None:
        if not self.is_over:
            call(*values)


class FarConnection(Alone):
    """A control connection from the address `source`, of which everything is heard half of R later."""

    def __init__(self, delays: Delays, source: str) -> None:
        self._delays, self._source = delays, source

    async def join(
        self,
        addresses: list[Endpoint],
        host: str,
        feed: Feed,
        made: Callable[[Control], None],
        *,
        settings: ConnectionSettings,
        tls: TlsStream | None,
    ) -> None:

        def late(event: e.Event) -> None:
            self._delays.later(R / 2, feed, event)

        await super().join(addresses, host, late, made, settings=settings, tls=tls)

    async def _dial(self, addresses: list[Endpoint], new: Callable[[], ControlProtocol]) -> None:
        loop, sock = asyncio.get_running_loop(), socket.socket()
        sock.setblocking(False)
        try:
            sock.bind((self._source, 0))
            await loop.sock_connect(sock, addresses[0].sockaddr)
            await loop.create_connection(new, sock=sock)
        except OSError:
            sock.close()
            raise


class FarClient(Client):
    """A client whose every octet takes half of R to or from the server, and half of P to the other host."""

    def __init__(self, config: ClientConfig, told: Told, source: str) -> None:
        self.delays = Delays()
        super().__init__(config, Idle(), told, trunk=FarConnection(self.delays, source))

    def _carry_out(self, action: do.Action) -> None:
        match action:
            case do.OpenControl() | do.SendMessage():
                self.delays.later(R / 2, super()._carry_out, action)
            case do.SendDatagram(_, destination):
                is_far = destination in (None, self._server.udp)
                self.delays.later(R / 2 if is_far else P / 2, self._send_late, action)
            case _:
                super()._carry_out(action)

    def _send_late(self, action: do.SendDatagram) -> None:
        if action.generation in self.sockets:
            super()._carry_out(action)

    def _arrived(self, opened: OpenSocket, data: bytes, source: Endpoint) -> None:
        if source == self._server.udp:
            self.delays.later(R / 2, super()._arrived, opened, data, source)
        else:
            super()._arrived(opened, data, source)


class Pairs:
    """Makes pairs at one server, each with ids of its own."""

    def __init__(self, server: Endpoint, fingerprint: str = "") -> None:
        """`fingerprint`: of the server's certificate, if it has one."""
        self._server = HostPort(server.address, server.port)
        self._tls = ClientTlsSettings(fingerprint=fingerprint) if fingerprint else None
        self._numbers = itertools.count()
        self._sources = itertools.count()

    def _source(self) -> str:
        """An address that no pair had before, as a host has one."""
        number = next(self._sources)
        return f"127.99.{number // 250 % 250}.{1 + number % 250}"

    async def seconds(self) -> float | None:
        """How long one pair takes."""
        name = f"pair-{os.getpid()}-{next(self._numbers)}"
        ids = (f"{name}-a", f"{name}-b")
        loop = asyncio.get_running_loop()
        up: list[asyncio.Future[None]] = [loop.create_future() for _ in ids]
        clients = []
        for number, local in enumerate(ids):
            ready = up[number]

            def told(notice: note.Notice, ready: asyncio.Future[None] = ready) -> None:
                if isinstance(notice, note.PathEstablished) and not ready.done():
                    ready.set_result(None)

            config = ClientConfig(self._server, local, ids[1 - number], tls=self._tls)
            clients.append(FarClient(config, told, self._source()))
        began = loop.time()
        for client in clients:
            client.start()
        try:
            async with asyncio.timeout(DEADLINE):
                await asyncio.gather(*up)
            return loop.time() - began
        except TimeoutError:
            return None
        finally:
            for client in clients:
                client.delays.is_over = True
                control = client.control
                await client.close()
                if control is not None:
                    control.abort()


async def main(server: Endpoint, fingerprint: str) -> None:
    """Answer each line on stdin."""
    loop = asyncio.get_running_loop()
    pairs = Pairs(server, fingerprint)
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        times = []
        for _ in range(int(line)):
            times.append(await pairs.seconds())
            await asyncio.sleep(0.05)
        print(json.dumps(times), flush=True)


if __name__ == "__main__":
    asyncio.run(main(Endpoint(sys.argv[1], int(sys.argv[2])), sys.argv[3]))
