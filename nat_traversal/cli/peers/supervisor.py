"""Several peers' clients in one event loop: opened all or none, and each goes on whatever the others do."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from nat_traversal.cli.console import Console
from nat_traversal.cli.exit import Exit
from nat_traversal.cli.peers.peer_client import PeerClient
from nat_traversal.cli.peers.peer_console import PeerConsole
from nat_traversal.cli.peers.plan import PeerPlan
from nat_traversal.client.path_status import PathKind, PathStatus


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

    async def open(self, plans: Iterable[PeerPlan]) -> Exit | None:
        """Bind every socket towards programs, or none. The status to end with if that cannot be. Raises `UsageError`."""
        made = [
            PeerClient(each, PeerConsole(self._console, each.peer), self._stop) for each in plans
        ]
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
            self.begin(peer)

    def begin(self, peer: PeerClient) -> None:
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
        if all(each.ended.done() for each in self.peers.values()) and not self.ended.done():
            self.ended.set_result(ended.result())
        else:
            PeerConsole(self._console, peer.plan.peer).fail("given up; the other peers go on")


async def _close(peers: Iterable[PeerClient]) -> None:
    await asyncio.gather(*(each.close() for each in peers))
