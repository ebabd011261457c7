"""The sockets towards the programs of one peer: bound before its client begins, changed while it runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from nat_traversal.aio.connector import Connector
from nat_traversal.aio.datapath import Problem
from nat_traversal.aio.forwarder import Listener, ProgramForwarder, ServiceEnd
from nat_traversal.aio.packet_io import open_udp
from nat_traversal.aio.ports import bind_tcp
from nat_traversal.aio.service import NamedService, Service, service_at
from nat_traversal.cli.console import Console
from nat_traversal.cli.exit import Exit
from nat_traversal.cli.options import ClientOptions
from nat_traversal.cli.services import NamedEnd, offer_of
from nat_traversal.cli.waiting import acquired
from nat_traversal.errors import NameUnresolvedError
from nat_traversal.machine.counters import Counters
from nat_traversal.wire.endpoint import Endpoint, HostPort
from nat_traversal.wire.services import MOST_SERVICES, UNNAMED, ServiceKind, ServiceOffer, Side

if TYPE_CHECKING:
    from nat_traversal.aio.tcp_programs import TcpPrograms

T = TypeVar("T")


class Changed(Protocol):
    """Hears whether the service with that number answers."""

    def __call__(self, up: bool, number: int) -> None: ...


@dataclass(frozen=True, slots=True)
class Opened:
    """A named service whose sockets are there."""

    named: NamedEnd
    number: int
    side: ServiceEnd


class Programs:
    """Opens what `options` name, and has the `forwarder` between that and the path.

    `end` ends the wait for what this host lacks.
    """

    def __init__(
        self,
        options: ClientOptions,
        end: asyncio.Future[Exit],
        console: Console,
        counters: Counters,
        *,
        problem: Problem,
        changed: Changed,
    ) -> None:
        self._options = options
        self._end = end
        self._console = console
        self._counters = counters
        self._problem = problem
        self._changed = changed
        self._numbers: dict[NamedEnd, int] = {}
        """Of the named services that there are."""
        self._last_number = 0
        self.forwarder: ProgramForwarder | None = None
        self._tcp: TcpPrograms | None = None

    @property
    def certificate(self) -> bytes:
        """This process's towards the other side, if there are TCP services."""
        return b"" if self._tcp is None else self._tcp.identity.octets

    @property
    def named(self) -> tuple[NamedEnd, ...]:
        """The named services that there are."""
        return tuple(self._numbers)

    @property
    def offers(self) -> tuple[ServiceOffer, ...]:
        """The named services as the other side is told of them."""
        return tuple(offer_of(number, end) for end, number in self._numbers.items())

    def at(self, number: int) -> HostPort | None:
        """The address of the service with that number."""
        known = {each: end.at for end, each in self._numbers.items()}
        return known.get(number, self._options.connect)

    def report(self, state: Callable[[int, str], dict[str, Any]]) -> list[dict[str, Any]]:
        """Each service as plain values; `state` gives those of the service with that number and address."""
        options, forwarder = self._options, self.forwarder
        unnamed = ((Side.LISTEN, options.listen), (Side.CONNECT, options.connect))
        ends = [("", side, "udp", at, UNNAMED) for side, at in unnamed if at is not None]
        ends += [
            (end.name, end.side, str(end.kind), end.at, number)
            for end, number in self._numbers.items()
        ]
        return [
            {
                "name": name or None,
                "side": str(side),
                "kind": kind,
                "at": str(at),
                "flows": 0 if forwarder is None else forwarder.flows_of(number),
                **state(number, str(at)),
            }
            for name, side, kind, at, number in ends
        ]

    async def open(self) -> Exit | None:
        """Open all of them. The status to end with if this host lacks what they need. Raises `UsageError`.

        Nothing stays open where it is not all.
        """
        options, unnamed = self._options, (self._problem, UNNAMED)
        connector = listener = None
        try:
            if options.connect is not None:
                connector = await self._connector(options.connect, *unnamed)
            if options.listen is not None and not isinstance(connector, Exit):
                listener = await self._listener(options.listen, self._problem)
            ended = next((each for each in (connector, listener) if isinstance(each, Exit)), None)
        except BaseException:
            _close(connector)
            raise
        if ended is not None:
            _close(connector)
            return ended
        assert not isinstance(connector, Exit)
        assert not isinstance(listener, Exit)
        self.forwarder = ProgramForwarder(
            self._counters, listener, connector, self._problem, options.settings
        )
        try:
            for named in options.services:
                opened = await self.open_named(named)
                if isinstance(opened, Exit):
                    self.close()
                    return opened
                self._add(opened)
        except BaseException:
            self.close()
            raise
        return None

    async def open_named(self, named: NamedEnd) -> Opened | Exit:
        """The sockets of one named service, or the status to end with. Raises `UsageError`."""
        number = self._next_number()

        def problem(text: str) -> None:
            self._problem(f"service {named.name}: {text}")

        if named.kind is ServiceKind.TCP:
            side: ServiceEnd | Exit = await self._tcp_side(named, problem, number)
        elif named.side is Side.LISTEN:
            side = await self._listener(named.at, problem)
        else:
            side = await self._connector(named.at, problem, number)
        return side if isinstance(side, Exit) else Opened(named, number, side)

    def remove(self, unwanted: Iterable[NamedEnd]) -> None:
        """These named services end."""
        assert self.forwarder is not None
        for named in unwanted:
            self.forwarder.remove(self._numbers.pop(named))

    async def open_further(self, named: NamedEnd) -> None:
        """One more named service, while the client runs. It waits for no address. Raises `UsageError`."""
        if named.side is Side.LISTEN:
            check_free(named.kind, named.at)
        opened = await self.open_named(named)
        if not isinstance(opened, Exit):
            self._add(opened)

    def leave(self) -> None:
        """Say goodbye while a path stands: nothing crosses after it."""
        if self.forwarder is not None:
            self.forwarder.leave()

    def close(self) -> None:
        """Free everything."""
        if self.forwarder is not None:
            self.forwarder.close()
            self.forwarder = None

    def _add(self, opened: Opened) -> None:
        assert self.forwarder is not None
        self._numbers[opened.named] = opened.number
        listens = opened.named.side is Side.LISTEN
        self.forwarder.add(opened.number, opened.side, listens=listens)

    def _next_number(self) -> int:
        """One that no service has or had lately: frames of one that has ended may still come."""
        taken = self._numbers.values()
        while True:
            self._last_number = self._last_number % MOST_SERVICES + 1
            if self._last_number not in taken:
                return self._last_number

    async def _listener(self, at: HostPort, problem: Problem) -> Listener | Exit:
        settings = self._options.settings

        return await self._bound(lambda: Listener(at, self._counters, problem, settings))

    async def _connector(self, at: HostPort, problem: Problem, number: int) -> Connector | Exit:
        service = await self._service(at, problem)
        if isinstance(service, Exit):
            return service
        changed = partial(self._changed, number=number)
        return Connector(service, self._counters, problem, self._options.settings, changed)

    async def _tcp_side(self, named: NamedEnd, problem: Problem, number: int) -> ServiceEnd | Exit:
        if self._tcp is None:
            from nat_traversal.aio.tcp_programs import TcpPrograms  # noqa: PLC0415 - few need QUIC

            self._tcp = TcpPrograms(self._options.settings, self._certificate)
        tcp = self._tcp
        if named.side is Side.LISTEN:
            return await self._bound(lambda: tcp.listener(named.at, problem))
        service = await self._service(named.at, problem)
        if isinstance(service, Exit):
            return service
        return tcp.connector(service, problem, partial(self._changed, number=number))

    def _certificate(self) -> bytes:
        """The one that the other side has told."""
        return b"" if self.forwarder is None else self.forwarder.certificate

    async def _bound(self, make: Callable[[], T]) -> T | Exit:
        """The result of `make`, which binds a socket."""

        async def bind() -> T:
            return make()

        options = self._options
        return await acquired(bind, self._end, self._console, options.settings, once=options.once)

    async def _service(self, at: HostPort, problem: Problem) -> Service | Exit:
        """The service that the other side's programs want."""
        service = service_at(at, self._options.settings, problem)
        if isinstance(service, NamedService):
            ended = await self._look_up(service, at)
            if ended is not None:
                return ended
        return service

    async def _look_up(self, service: NamedService, at: HostPort) -> Exit | None:
        """Begin to look the service's name up. With ``--once`` wait for the answer: the status if there is none."""
        if not self._options.once:
            service.ask(lambda: None)  # so that trouble is told before the first datagram comes
            return None
        asking = asyncio.ensure_future(service.first())
        await asyncio.wait((asking, self._end), return_when=asyncio.FIRST_COMPLETED)
        if self._end.done():
            asking.cancel()
            return self._end.result()
        try:
            await asking
        except NameUnresolvedError as error:
            self._console.fail(f"--connect {at}: {error}")
            return Exit.NOT_YET
        return None


def check_free(kind: ServiceKind, at: HostPort) -> None:
    """See whether a socket can be bound there now. Raises `LocalAddressError`."""
    is_tcp = kind is ServiceKind.TCP
    sock = bind_tcp(at.host, at.port) if is_tcp else open_udp(Endpoint(at.host, at.port))
    sock.close()


def _close(side: ServiceEnd | Exit | None) -> None:
    if side is not None and not isinstance(side, Exit):
        side.close()
