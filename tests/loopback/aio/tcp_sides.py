"""Two hosts in this process with one TCP service between them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from nat_traversal import Endpoint
from nat_traversal.aio.service import Service
from nat_traversal.machine import notices as note
from nat_traversal.settings import ClientSettings
from tests.loopback.aio.tcp_programs import Conversation, a_tcp_service, echo
from tests.loopback.hosts import Host, a_server


@asynccontextmanager
async def two_sides(
    service: Endpoint | Service, settings: ClientSettings | None = None
) -> AsyncIterator[tuple[Host, Host]]:
    """host_a listens for programs, host_b connects to `service`."""
    async with a_server() as (server, _):
        a = Host(*(server.endpoint, "host_a", "host_b"), tcp={"web": None}, settings=settings)
        b = Host(*(server.endpoint, "host_b", "host_a"), tcp={"web": service}, settings=settings)
        async with a, b:
            await a.notices.wait(note.ServicesReady)
            await b.notices.wait(note.ServicesReady)
            yield a, b


@asynccontextmanager
async def through(conversation: Conversation = echo) -> AsyncIterator[tuple[Host, Host]]:
    """The same with a service that has that conversation."""
    async with a_tcp_service(conversation) as service, two_sides(service) as (a, b):
        yield a, b
