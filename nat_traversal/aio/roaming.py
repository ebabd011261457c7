"""The sockets of a path whose ends may move: a connected one for the stream, an ear beside it for frames from elsewhere."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable

from nat_traversal.aio.datapath import DataPath
from nat_traversal.aio.ears import ear_of
from nat_traversal.aio.packet_io import LONGEST, endpoint_of, wildcard
from nat_traversal.machine import events as e
from nat_traversal.settings import ClientSettings
from nat_traversal.wire.datagrams import FRAMES, Kind
from nat_traversal.wire.endpoint import Endpoint

log = logging.getLogger(__name__)


class Roaming:
    """Reads `sock`, which `path` has connected, and an ear at its port, until `close`. `feed` gets what is the machine's."""

    def __init__(
        self,
        sock: socket.socket,
        path: DataPath,
        settings: ClientSettings,
        feed: Callable[[e.Event], None],
    ) -> None:
        self.sock = sock
        self._path = path
        self._settings = settings
        self._feed = feed
        self._loop = asyncio.get_running_loop()
        family = 6 if sock.family == socket.AF_INET6 else 4
        address, *rest = wildcard(family).sockaddr
        del rest
        self._at = (address, sock.getsockname()[1])
        """Every address of this host, this port."""
        self._ear = ear_of(sock, self._at, settings.socket_buffer)
        self._listen()

    @property
    def sockets(self) -> tuple[socket.socket, ...]:
        """The open ones."""
        return tuple(each for each in (self.sock, self._ear) if each is not None)

    def send(self, kind: Kind, plain: bytes, to: Endpoint) -> None:
        """Send a frame where the peer may be."""
        frame = self._path.order.epochs.sealer.seal(kind, plain)
        try:
            if self._ear is not None:
                self._ear.sendto(frame, self._path.edge.outside(to, self._ear).sockaddr)
        except OSError as error:
            log.debug("not sent to %s: %s", to, error)

    def redirect(self, remote: Endpoint) -> None:
        """The peer is at `remote` now."""
        self._path.remote = remote
        try:
            self.sock.connect(self._path.edge.outside(remote, self.sock).sockaddr)
        except OSError as error:  # nothing can be sent, so that consent will expire
            log.warning("no way to %s: %s", remote, error)

    def rebind(self) -> None:
        """This host's datagrams leave from another address now: go on from there, by the same port. The ear becomes the
        connected socket, since one that is connected keeps its address; the next ear still hears what goes to that."""
        if self._ear is None:
            return
        self._path.readable()
        before, self.sock, self._ear = self.sock, self._ear, None
        for sock in (before, self.sock):
            self._loop.remove_reader(sock)
        before.close()
        self._path.use_socket(self.sock)
        self._ear = ear_of(self.sock, self._at, self._settings.socket_buffer)
        self._listen()

    def overhear(self, ear: socket.socket) -> None:
        """Take what has come from elsewhere, or to an address that this host has left."""
        for _ in range(self._settings.batch):
            try:
                data, source = ear.recvfrom(LONGEST)
            except BlockingIOError:
                return
            except OSError as error:
                log.debug("UDP: %s", error)
                continue
            if data and data[0] in FRAMES:
                self._heard(data, self._path.edge.inside(endpoint_of(source)))
            if ear is not self._ear:
                return

    def close(self) -> None:
        """Close the sockets."""
        for sock in self.sockets:
            self._loop.remove_reader(sock)
            sock.close()
        self._ear = None

    def _listen(self) -> None:
        self._loop.add_reader(self.sock, self._path.readable)
        if self._ear is not None:
            self._loop.add_reader(self._ear, self.overhear, self._ear)

    def _heard(self, frame: bytes, source: Endpoint) -> None:
        path, generation = self._path, self._path.order.generation
        epochs = path.order.epochs
        if not epochs.authenticates(frame[0]):
            epochs.counters.not_authentic += 1
            path.arrived([])  # nothing but that count
            return
        opened: list[tuple[Kind, bytes]] = []
        before = epochs.newest()
        path.overheard(frame, lambda kind, plain: opened.append((kind, plain)))
        # At the address that this host has left nobody answers, so that the peer leaves it as well.
        was_left = source == path.remote
        if epochs.newest() > before and not was_left:
            self._feed(e.PeerElsewhere(source, Kind(frame[0]), generation))
        for kind, plain in opened:
            if not was_left:
                self._feed(e.FrameOpened(kind, plain, generation, source))
            elif kind is not Kind.PING:
                self._feed(e.FrameOpened(kind, plain, generation))
