"""A client's connection to its server: made to one address after another, and heard before the agent hears of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

from nat_traversal.aio.client_config import ClientConfig
from nat_traversal.aio.dial import AddressMemory, failure, unreached
from nat_traversal.aio.nat64 import NO_PREFIX, Nat64Finder
from nat_traversal.aio.packet_io import endpoint_of, room_problem
from nat_traversal.aio.platform import Platform
from nat_traversal.aio.tls import ClientTls, TlsStream
from nat_traversal.aio.trunk import Alone, Control, Trunk
from nat_traversal.errors import NameUnresolvedError, ServerUnreachableError
from nat_traversal.machine import events as e
from nat_traversal.machine.failures import in_words, lacks_room
from nat_traversal.wire.endpoint import Endpoint
from nat_traversal.wire.messages import GoAway, Message, Registered


class ServerLink:
    """One connection at a time, by `trunk`. `feed` hears what happens to it. Raises `UsageError` for TLS files that
    cannot be used."""

    def __init__(
        self,
        config: ClientConfig,
        trunk: Trunk | Alone,
        platform: Platform,
        feed: Callable[[e.Event], None],
    ) -> None:
        self._config, self._trunk, self._platform, self._feed = config, trunk, platform, feed
        self.nat64 = Nat64Finder(platform, config.settings)
        self._tls = None if config.tls is None else ClientTls.of(config.tls, config.server.host)
        self.control: Control | None = None
        """The connection, while one stands or is being made."""
        self.udp: Endpoint | None = None
        """Where the server takes datagrams."""
        self._connecting: asyncio.Task[None] | None = None
        self._memory = AddressMemory()
        self._on_trial: Endpoint | None = None
        """The server's address whose connection stands, until it has answered the registration."""

    def open(self) -> None:
        """Make a connection."""
        self._connecting = asyncio.get_running_loop().create_task(self._connect())

    def send(self, message: Message) -> None:
        """A message without a connection is lost: the machine hears that there is none."""
        if self.control is not None:
            self.control.send(message)

    def close(self) -> None:
        """End the connection, or the making of one."""
        self._trial_failed()
        if self._connecting is not None:
            self._connecting.cancel()
        if self.control is not None:
            self.control.close()
            self.control = None

    async def closed(self) -> None:
        """Nothing goes on in making one."""
        if self._connecting is not None:
            await asyncio.gather(self._connecting, return_exceptions=True)
        await self.nat64.close()

    def new_tls(self) -> TlsStream | None:
        """For a further connection to a server; None: the control connection is not encrypted."""
        return None if self._tls is None else self._tls.stream()

    async def _connect(self) -> None:
        server = self._config.server
        try:
            addresses = await self._platform.resolve(server, families=self._config.families)
            addresses = await self.nat64.connects(addresses)
            await self._trunk.join(
                self._memory.order(addresses),
                *(self._config.local_id, self._happened, self._made),
                settings=self._config.settings,
                tls=self.new_tls(),
            )
        except ServerUnreachableError as error:
            self._feed(e.ControlBroken(str(error)))
        except NameUnresolvedError as error:
            remedy = "see whether it is" if error.is_temporary else "correct --server"
            if (lack := room_problem()) is not None:  # the resolver does not tell that
                self._feed(e.ControlBroken(in_words(lack), lacks_room=True))
            else:
                self._feed(e.ControlBroken(str(error), remedy=remedy))
        except OSError as error:
            text = f"cannot connect to {server}: {failure(error)}"
            remedy = NO_PREFIX if self.nat64.lacks_prefix else unreached(error)
            self._feed(e.ControlBroken(text, lacks_room=lacks_room(error), remedy=remedy))

    def _made(self, control: Control) -> None:
        self.control = control

    def _happened(self, event: e.Event) -> None:
        match event:
            case e.ControlReached() | e.ControlOpened() if self.control is not None:
                # UDP goes to the very address that answered: a name may stand for several servers.
                answered = self.control.transport.get_extra_info("peername")
                if answered is None:  # it is gone already, which is heard next
                    return
                self.udp = endpoint_of(answered)
                self._on_trial = self.udp
                self.nat64.reached(self.udp)
                if isinstance(event, e.ControlOpened):
                    event = replace(event, remote=self.udp)
            case e.ControlReceived(Registered()) if self._on_trial is not None:
                self._memory.worked(self._on_trial)
                self._on_trial = None
            case e.ControlReceived(GoAway()) if self.udp is not None:
                self._memory.failed(self.udp)
            case e.ControlBroken():
                self._trial_failed()
        self._feed(event)

    def _trial_failed(self) -> None:
        """The address took the connection, and did not answer the registration."""
        if self._on_trial is not None:
            self._memory.failed(self._on_trial)
            self._on_trial = None
