"""Several servers in the world, and a model of the store that they share."""

from __future__ import annotations

import random

from nat_traversal.crypto.dh import KeyPair
from nat_traversal.machine import actions as do
from nat_traversal.machine import events as e
from nat_traversal.server.cluster import words as w
from nat_traversal.server.cluster.clustered import ClusteredServer
from nat_traversal.server.cluster.form import decode_card, decode_signal, encode_card, encode_signal
from nat_traversal.server.possession import Possession
from nat_traversal.server.standalone import StandaloneServer
from nat_traversal.settings import ServerSettings
from nat_traversal.wire.endpoint import Endpoint
from nat_traversal.wire.messages import Relaying, TurnPart
from tests.sim.client import Client
from tests.sim.clock import Clock
from tests.sim.server import Server
from tests.sim.world import World

LEASE, RENEWED_EVERY = ServerSettings().store_lease, ServerSettings().store_renew
NOTICED = 0.25
"""Seconds until a server notices that the store answers again."""


class Store:
    """What Redis does for the servers, `x` seconds away from each and back. Rows go with it when it is killed."""

    def __init__(self, clock: Clock, x: float) -> None:
        self._clock = clock
        self._way = x / 2
        self.servers: dict[str, MemberServer] = {}
        self.leases: dict[str, float] = {}
        self.rows: dict[str, tuple[str, int, str]] = {}
        self._up_since: float | None = 0.0
        self.cut: set[str] = set()
        """Servers whose way to the store is cut."""

    def is_reached_by(self, server: MemberServer) -> bool:
        here = self._up_since is not None and server.is_up and server.name not in self.cut
        return here and self.servers.get(server.name) is server

    def kill(self) -> None:
        """As kill -9: everything in it is lost."""
        self._up_since = None
        self.rows.clear()
        self.leases.clear()
        for server in self.servers.values():
            server.store_lost()

    def start(self) -> None:
        self._up_since = self._clock.now
        for server in self.servers.values():
            self.reach(server)

    def cut_off(self, server: MemberServer) -> None:
        self.cut.add(server.name)
        server.store_lost()

    def mend(self, server: MemberServer) -> None:
        self.cut.discard(server.name)
        self.reach(server)

    def reach(self, server: MemberServer) -> None:
        """A server tries to reach it, and to keep its lease from then on."""
        self.servers[server.name] = server

        def reached() -> None:
            if not self.is_reached_by(server):
                return
            assert self._up_since is not None
            self.leases[server.name] = self._clock.now + LEASE
            admit_in = max(0.0, self._up_since + LEASE - self._clock.now)
            server.answer(w.StoreReached(admit_in), self._way)
            self._clock.at(self._clock.now + RENEWED_EVERY, renew)

        def renew() -> None:
            if self.is_reached_by(server):
                self.leases[server.name] = self._clock.now + LEASE
                self._clock.at(self._clock.now + RENEWED_EVERY, renew)

        self._clock.at(self._clock.now + self._way, reached)

    def request(self, server: MemberServer, request: w.StoreRequest) -> None:
        self._clock.at(self._clock.now + self._way, lambda: self._carry_out(server, request))

    def _carry_out(self, server: MemberServer, request: w.StoreRequest) -> None:
        if not self.is_reached_by(server):
            return
        match request:
            case w.ClaimId(connection, card):
                self._claim(server, connection, card)
            case w.ReleaseId(id_):
                if self.rows.get(id_, ("",))[0] == server.name:
                    del self.rows[id_]
            case w.Send(name, signal):
                self._tell(name, w.Heard(server.name, decode_signal(encode_signal(signal))))

    def _claim(self, server: MemberServer, connection: int, card: w.Card) -> None:
        id_, peer = card.register.id, card.register.peer
        present = self._row(id_)
        if present is not None and present[0] != server.name:
            server.answer(w.HeldElsewhere(connection, present[0]), self._way)
            return
        row = (server.name, connection, encode_card(card))
        is_news = present != row
        self.rows[id_] = row
        found = self._row(peer)
        if found is not None and is_news and found[0] != server.name:
            self._tell(found[0], w.Heard(server.name, w.Arrived(connection, card)))
        granted = w.Granted(
            connection, id_, found and w.Found(found[0], found[1], decode_card(found[2]))
        )
        server.answer(granted, self._way)

    def _row(self, id_: str) -> tuple[str, int, str] | None:
        row = self.rows.get(id_)
        return row if row is not None and self.leases.get(row[0], 0.0) > self._clock.now else None

    def _tell(self, name: str, heard: w.Heard) -> None:
        server = self.servers.get(name)
        if server is not None and self.is_reached_by(server):
            server.answer(heard, self._way)


class MemberServer(Server):
    """One of the servers. A restart is another process, with another name."""

    def __init__(
        self,
        world: ClusterWorld,
        settings: ServerSettings | None,
        rng: random.Random,
        number: int,
    ) -> None:
        self._store = world.store
        self._number, self._starts = number, 0
        super().__init__(world, settings, rng, (Endpoint(f"192.0.2.{10 + number}", 6545),))
        self._store.reach(self)

    def _made(self, world: World) -> StandaloneServer:
        self._starts += 1
        self.name = f"server-{self._number}-{self._starts}"
        possession = Possession(KeyPair.generate, self._rng, b"")
        return ClusteredServer(
            name=self.name,
            rng=self._rng,
            settings=self._settings,
            possession=None if world.bare else possession,
        )

    @property
    def machine(self) -> ClusteredServer:
        assert isinstance(self.rendezvous, ClusteredServer)
        return self.rendezvous

    def restart(self) -> None:
        super().restart()
        self._store.reach(self)

    def store_lost(self) -> None:
        if self.is_up:
            self.feed(e.StoreAnswered(w.StoreLost("connection reset")))

    def answer(self, answer: w.StoreAnswer, way: float) -> None:
        """The store says something, so long before it arrives."""
        name, clock = self.name, self.world.clock

        def arrives() -> None:
            if self.is_up and self.name == name and self._store.is_reached_by(self):
                self.feed(e.StoreAnswered(answer))

        clock.at(clock.now + way, arrives)

    def _carry_out(self, action: do.Action) -> None:
        if isinstance(action, do.AskStore):
            request = action.request
            assert isinstance(request, w.StoreRequest)
            self._store.request(self, request)
        else:
            super()._carry_out(action)


class ClusterWorld(World):
    """A world with `count` servers at one name. `x`: from a server to the store and back, in seconds.

    A client begins with the server that `at` says, and takes the next one whenever it connects again, as one
    does whose server's address has failed.
    """

    def __init__(
        self,
        count: int = 3,
        *,
        x: float = 1 / 128,
        seed: int = 0,
        r: float = 1 / 16,
        p: float = 1 / 32,
        nat: str = "none",
        nat_b: str | None = None,
        settings: ServerSettings | None = None,
        relaying: Relaying = Relaying.NEVER,
        methods: tuple[str, ...] = (),
        bare: bool = False,
    ) -> None:
        super().__init__(
            seed=seed,
            r=r,
            p=p,
            nat_a=nat,
            nat_b=nat_b or nat,
            relaying=relaying,
            methods=methods,
            bare=bare,
        )
        self.server.stop()
        self.store = Store(self.clock, x)
        self.servers = [
            MemberServer(self, settings, self._derived(), number) for number in range(count)
        ]
        self._at: dict[str, int] = {}
        self.run(1.0)
        assert all(server.machine.is_well for server in self.servers)
        self.run(LEASE)

    def at(
        self,
        host_id: str,
        peer_id: str,
        server: int,
        token: bytes | None = None,
        turn: TurnPart = TurnPart.NEVER,
    ) -> Client:
        """A new process that begins at that server."""
        client = self.client(host_id, peer_id, token=token, turn=turn)
        self._at[host_id] = server - 1
        return client.start()

    def server_of(self, client: Client) -> Server:
        for _ in self.servers:
            self._at[client.host.name] = (self._at[client.host.name] + 1) % len(self.servers)
            if self.servers[self._at[client.host.name]].is_up:
                break
        return self.serving(client)

    def serving(self, client: Client) -> MemberServer:
        """The server that a client has connected to last."""
        return self.servers[self._at[client.host.name]]

    def server_at(self, address: Endpoint) -> Server | None:
        found = (each for each in self.servers if address in each.addresses)
        return next(found, None)

    def address_for(self, client: Client) -> Endpoint:
        return self.serving(client).addresses[0]
