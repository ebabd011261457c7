"""A server and clients in this process, put together as the commands do it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Self

from nat_traversal import Endpoint, Server, ServerSettings, serve
from nat_traversal.aio.client import Client
from nat_traversal.aio.client_config import ClientConfig
from nat_traversal.aio.connector import Connector
from nat_traversal.aio.datapath import DataPath
from nat_traversal.aio.forwarder import Listener, ProgramForwarder
from nat_traversal.aio.open_socket import OpenSocket
from nat_traversal.aio.platform import Platform
from nat_traversal.aio.service import FixedService, Service
from nat_traversal.aio.tcp_programs import TcpPrograms
from nat_traversal.aio.tcp_service import TcpListener
from nat_traversal.aio.tcp_side import TcpSide
from nat_traversal.aio.trunk import Trunk
from nat_traversal.client.security import Security
from nat_traversal.machine import events as e
from nat_traversal.machine import notices as note
from nat_traversal.machine.counters import Counters
from nat_traversal.settings import ClientSettings
from nat_traversal.tls import ClientTlsSettings, ServerTlsSettings
from nat_traversal.wire.endpoint import HostPort
from nat_traversal.wire.messages import Relaying
from nat_traversal.wire.services import ServiceKind, ServiceOffer, Side
from tests.loopback.support import N, eventually


class Notices(list[note.Notice]):
    """What a client or server has told."""

    def of(self, kind: type[N]) -> list[N]:
        return [notice for notice in self if isinstance(notice, kind)]

    async def wait(self, kind: type[N], count: int = 1) -> N:
        """The notice number `count` of its kind."""
        await eventually(lambda: len(self.of(kind)) >= count, f"{kind.__name__} number {count}")
        return self.of(kind)[count - 1]


MakeConnector = Callable[[Counters, Callable[[str], None], ClientSettings], Connector]


class Host:
    """One client in this process, put together as the command line does it."""

    def __init__(
        self,
        server: Endpoint,
        local_id: str,
        remote_id: str,
        *,
        listen: str | None = None,
        connect: Sequence[Endpoint] = (),
        once: bool = False,
        settings: ClientSettings | None = None,
        security: Security | None = None,
        tls: ClientTlsSettings | None = None,
        connector: MakeConnector | None = None,
        relaying: Relaying = Relaying.AUTO,
        platform: Platform | None = None,
        services: Mapping[str, Endpoint | None] | None = None,
        tcp: Mapping[str, Endpoint | Service | None] | None = None,
        trunk: Trunk | None = None,
    ) -> None:
        """`services`: the named ones, each with its service's address; None: this side listens for it. `tcp`: those
        that carry TCP, likewise."""
        self.notices = Notices()
        self.problems: list[str] = []
        self.counters = Counters()
        tell = self.problems.append
        settings = settings or ClientSettings()
        common = (self.counters, tell, settings)
        self.listener = Listener(HostPort(listen, 0), *common) if listen else None
        self.connector = connector(*common) if connector else None
        if connect:
            self.connector = Connector(FixedService(connect), *common)
        self.forwarder = ProgramForwarder(
            self.counters, self.listener, self.connector, tell, settings
        )
        self.listeners: dict[str, Listener] = {}
        offers: list[ServiceOffer] = []
        for number, (name, at) in enumerate((services or {}).items(), 1):
            side: Listener | Connector
            if at is None:
                side = self.listeners[name] = Listener(HostPort("127.0.0.1", 0), *common)
            else:
                side = Connector(FixedService([at]), *common)
            self.forwarder.add(number, side, listens=at is None)
            offers.append(ServiceOffer(number, name, Side.LISTEN if at is None else Side.CONNECT))
        self.tcp: dict[str, TcpSide] = {}
        programs = TcpPrograms(settings, lambda: self.forwarder.certificate) if tcp else None
        for number, (name, end) in enumerate((tcp or {}).items(), len(offers) + 1):
            assert programs is not None
            self.tcp[name] = (
                programs.listener(HostPort("127.0.0.1", 0), tell)
                if end is None
                else programs.connector(
                    FixedService([end]) if isinstance(end, Endpoint) else end,
                    *(tell, partial(self._changed, number)),
                )
            )
            self.forwarder.add(number, self.tcp[name], listens=end is None)
            listens = Side.LISTEN if end is None else Side.CONNECT
            offers.append(ServiceOffer(number, name, listens, ServiceKind.TCP))
        config = ClientConfig(
            HostPort(*server.sockaddr),
            *(local_id, remote_id, once),
            settings=settings,
            security=security,
            tls=tls,
            relaying=relaying,
            services=tuple(offers),
            certificate=b"" if programs is None else programs.identity.octets,
        )
        self._peer = remote_id
        self.client = Client(
            *(config, self.forwarder, self.notices.append),
            counters=self.counters,
            platform=platform,
            trunk=trunk,
        )

    async def __aenter__(self) -> Self:
        self.client.start()
        return self

    def _changed(self, number: int, up: bool) -> None:
        self.client.feed(e.ServiceChanged(up, self._peer, number))

    async def __aexit__(self, *_: object) -> None:
        self.forwarder.leave()
        await self.client.close()
        self.forwarder.close()

    def tcp_port(self, name: str) -> Endpoint:
        """Where local programs connect to."""
        side = self.tcp[name]
        assert isinstance(side, TcpListener)
        return side.endpoint

    @property
    def port(self) -> Endpoint:
        """Where local programs send to."""
        assert self.listener is not None
        return self.listener.endpoint

    @property
    def socket(self) -> OpenSocket:
        """The UDP socket by which it sends, or its only one."""
        sockets, selected = self.client.sockets, self.client.selected
        if selected is not None:
            return sockets[selected.order.generation]
        (opened,) = sockets.values()
        return opened

    @property
    def path(self) -> DataPath:
        assert self.socket.path is not None
        return self.socket.path

    async def connected(self, count: int = 1) -> note.PathEstablished:
        return await self.notices.wait(note.PathEstablished, count)


@asynccontextmanager
async def a_server(
    host: str = "127.0.0.1",
    settings: ServerSettings | None = None,
    tls: ServerTlsSettings | None = None,
) -> AsyncIterator[tuple[Server, Notices]]:
    """A server on any free port, and what it tells."""
    notices = Notices()
    async with await serve(host, 0, settings=settings, tls=tls, on_notice=notices.append) as server:
        yield server, notices


@asynccontextmanager
async def two_hosts(
    *,
    connect: Sequence[Endpoint] = (),
    a_connect: Sequence[Endpoint] = (),
    listen: str = "127.0.0.1",
    b_listen: str | None = None,
    settings: ClientSettings | None = None,
    security: tuple[Security | None, Security | None] = (None, None),
    platform: Platform | None = None,
) -> AsyncIterator[tuple[Host, Host]]:
    """A path between host_a, who listens, and host_b, who connects to a service."""
    async with (
        a_server() as (server, _),
        Host(
            *(server.endpoint, "host_a", "host_b"),
            listen=listen,
            connect=a_connect,
            settings=settings,
            security=security[0],
            platform=platform,
        ) as a,
        Host(
            *(server.endpoint, "host_b", "host_a"),
            listen=b_listen,
            connect=connect,
            settings=settings,
            security=security[1],
            platform=platform,
        ) as b,
    ):
        await a.connected()
        await b.connected()
        yield a, b


async def refused(host: Host, count: int) -> None:
    await eventually(lambda: host.counters["refused"] == count, f"refusal number {count}")
