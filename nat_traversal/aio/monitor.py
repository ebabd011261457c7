"""A small HTTP server for those who watch a program: a few pages, one request a connection."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from nat_traversal.aio.packet_io import bind_problem, endpoint_of
from nat_traversal.wire.endpoint import Endpoint, HostPort

MOST = 16
"""Requests at a time: a Prometheus or two, and a health check. More are cut."""
LONGEST = 8192
"""Octets in a request."""


@dataclass(frozen=True, slots=True)
class Page:
    """One answer."""

    body: bytes
    content_type: str = "text/plain; charset=utf-8"
    is_well: bool = True
    """Whether the status is 200; else it is 503."""


class Monitor:
    """Answers GET for the paths of `pages`, HTTP/1.1 (RFC 9112) without a word more than that takes.

    `within`: seconds for a request to come, and for its answer to go.
    """

    def __init__(self, pages: Mapping[str, Callable[[], Page]], within: float) -> None:
        self._pages, self._within = pages, within
        self._server: asyncio.Server | None = None
        self._busy: set[asyncio.Task[None]] = set()

    @property
    def busy(self) -> int:
        """Requests that have not been answered yet."""
        return len(self._busy)

    @property
    def endpoint(self) -> Endpoint:
        """Where it listens."""
        assert self._server is not None
        return endpoint_of(self._server.sockets[0].getsockname())

    async def start(self, at: HostPort) -> None:
        """Listen. Raises `UsageError`, its kind `LocalAddressError` where time may cure that."""
        try:
            self._server = await asyncio.start_server(
                self._accepted, at.host, at.port, limit=LONGEST
            )
        except OSError as error:
            raise bind_problem("TCP", at.host, at.port, error) from error

    async def close(self) -> None:
        """Free the port, and cut what is under way."""
        if self._server is not None:
            self._server.close()
        for task in self._busy:
            task.cancel()
        await asyncio.gather(*self._busy, return_exceptions=True)

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        if len(self._busy) >= MOST:
            writer.transport.abort()
            return
        self._busy.add(task)
        try:
            with contextlib.suppress(OSError, EOFError, TimeoutError, asyncio.LimitOverrunError):
                async with asyncio.timeout(self._within):
                    await self._answer(reader, writer)
        finally:
            writer.transport.abort()
            self._busy.discard(task)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        method, _, rest = head.decode("latin-1").split("\r\n")[0].partition(" ")
        path = rest.partition(" ")[0].partition("?")[0]
        make = self._pages.get(path)
        if method not in ("GET", "HEAD"):
            status, page = "405 Method Not Allowed", Page(b"GET only\n")
        elif make is None:
            status, page = "404 Not Found", Page(f"there are {' '.join(self._pages)}\n".encode())
        else:
            page = make()
            status = "200 OK" if page.is_well else "503 Service Unavailable"
        fields = (
            f"HTTP/1.1 {status}\r\nContent-Type: {page.content_type}\r\n"
            f"Content-Length: {len(page.body)}\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n"
        )
        writer.write(fields.encode() + (b"" if method == "HEAD" else page.body))
        await writer.drain()
        writer.close()
        await writer.wait_closed()
