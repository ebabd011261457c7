"""Several peers' clients in one event loop: opened all or none, and each goes on whatever the others do."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from nat_traversal.aio.trunk import Trunk
from nat_traversal.cli.console import Console
from nat_traversal.cli.exit import Exit
from nat_traversal.cli.peers.difference import Difference, difference, new_ports
from nat_traversal.cli.peers.peer_client import PeerClient
from nat_traversal.cli.peers.peer_console import PeerConsole
from nat_traversal.cli.peers.plan import PeerPlan
from nat_traversal.cli.peers.programs import check_free
from nat_traversal.client.path_status import PathKind, PathStatus
from nat_traversal.errors import UsageError
from nat_traversal.tls import ClientTlsSettings
from nat_traversal.wire.endpoint import HostPort


class Supervisor:
    """`open`, `start`, `close`, in this order. `ended` gets an exit status once every client has ended by itself.

    `stop` ends the wait for an address that this host lacks.
    """

    def __init__(self, console: Console, stop: asyncio.Future[Exit]) -> None:
        self._console = console
        self._stop = stop
        self.ended: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()
        self.peers: dict[str, PeerClient] = {}
        """Those that run, by the other host's id."""
        self._trunks: dict[tuple[HostPort, ClientTlsSettings | None], Trunk] = {}

    async def open(self, plans: Iterable[PeerPlan]) -> Exit | None:
        """Bind every socket towards programs, or none. The status to end with if that cannot be. Raises `UsageError`."""
        made = [self._made(each) for each in plans]
        for number, peer in enumerate(made):
            try:
                lacking = await peer.open()
            except BaseException:
                await _close(made[:number])
                raise
            if lacking is not None:
                await _close(made[:number])
                return lacking
        self.peers = {each.plan.peer: each for each in made}
        return None

    def start(self) -> None:
        """Begin with all."""
        for peer in self.peers.values():
            self._begin(peer)

    async def change(self, plans: Iterable[PeerPlan]) -> Difference:
        """Have the peers of `plans`. All that has not changed goes on without a lost datagram.

        Raises `UsageError` for a port that cannot be had: then nothing has changed.
        """
        old = {name: peer.plan for name, peer in self.peers.items()}
        new = {plan.peer: plan for plan in plans}
        for name, plan in new.items():
            if plan != old.get(name):
                plan.config()
        for kind, at in new_ports(old.values(), new.values()):
            check_free(kind, at)
        told = difference(old, new)
        leaving = [self.peers.pop(name) for name in (*told.ends, *told.anew)]
        await _close(leaving)
        for name in told.services:  # all give their ports up before any takes one
            self.peers[name].end_services(new[name])
        for name in told.services:
            with self._telling(name):
                await self.peers[name].change_services(new[name])
        for name in (*told.begins, *told.anew):
            with self._telling(name):
                await self._add(new[name])
        return told

    def _made(self, plan: PeerPlan) -> PeerClient:
        """Peers at one server share its control connection."""
        trunk = self._trunks.setdefault((plan.options.server, plan.options.tls), Trunk())
        return PeerClient(plan, PeerConsole(self._console, plan.peer), self._stop, trunk)

    async def _add(self, plan: PeerPlan) -> None:
        peer = self._made(plan)
        if await peer.open() is None:
            self._begin(peer)

    @contextmanager
    def _telling(self, name: str) -> Iterator[None]:
        """Say what fails though its ports were free just before: another program was faster."""
        try:
            yield
        except UsageError as error:
            PeerConsole(self._console, name).fail(f"{error}; reload once it is free")

    def _begin(self, peer: PeerClient) -> None:
        """Begin with one whose sockets are open."""
        self.peers[peer.plan.peer] = peer
        peer.ended.add_done_callback(lambda ended: self._gave_up(peer, ended))
        peer.start()

    def statuses(self) -> list[PathStatus]:
        """The path to each peer."""
        return [each.status() for each in self.peers.values()]

    def tell_status(self) -> None:
        """Say which path there is to each."""
        for peer in self.peers.values():
            peer.tell_status()

    def summary(self) -> str:
        """All of them in a few words, for a service manager."""
        kinds = [each.path for each in self.statuses()]
        direct, relayed = kinds.count(PathKind.DIRECT), kinds.count(PathKind.RELAYED)
        waiting = len(kinds) - direct - relayed
        return f"{len(kinds)} peers: {direct} direct, {relayed} relayed, {waiting} without a path"

    async def close(self) -> None:
        """Say goodbye to all, at the same time."""
        await _close(self.peers.values())
        self.peers = {}

    def _gave_up(self, peer: PeerClient, ended: asyncio.Future[Exit]) -> None:
        """Only what no time mends ends a client; the others go on."""
        if ended.cancelled():
            return
        if self.peers.get(peer.plan.peer) is not peer:
            return  # a reload has ended it
        if all(each.ended.done() for each in self.peers.values()) and not self.ended.done():
            self.ended.set_result(ended.result())
        else:
            PeerConsole(self._console, peer.plan.peer).fail("given up; the other peers go on")


async def _close(peers: Iterable[PeerClient]) -> None:
    await asyncio.gather(*(each.close() for each in peers))
