"""A server, two clients and an attacker, and a network that does what a walk tells it to, one thing at a time.

After each step `check` looks for what must never be; `heal` shows that the pair finds its way back.
"""

from __future__ import annotations

import random
from collections import deque

from nat_traversal.errors import WireError
from nat_traversal.machine import events as e
from nat_traversal.wire import control
from nat_traversal.wire.endpoint import Endpoint
from tests.exploration.values import WrongError
from tests.exploration.walks.processes import HOME, SERVER, ClientProcess, ServerProcess
from tests.exploration.walks.wire import Flight, Link, Mark, WalkClock

KEPT = 200
"""Datagrams and lines that an attacker remembers."""
LONGEST_PAUSE = 3700.0
"""Seconds: no timer is set for later."""
BACK_WITHIN = 700.0
"""Seconds until the pair is connected once nothing fails any more: two of the longest pauses between attempts, and
the discovery of a silent connection."""
MOST_STEPS = 20_000


class Walk:
    """The world of one walk. Everything in it follows from `seed` and the steps."""

    def __init__(self, seed: int, *, filtered: bool) -> None:
        self._rng = random.Random(seed)
        self._filtered = filtered
        self.clock = WalkClock()
        self.flights: list[Flight] = []
        self.links: dict[int, Link] = {}
        self.sockets: dict[Endpoint, tuple[ClientProcess, int]] = {}
        self._opened: set[tuple[Endpoint, Endpoint]] = set()
        """From which socket something has been sent where: a filter lets answers in."""
        self.makers: dict[bytes, ClientProcess] = {}
        """Who made which octets first."""
        self.heard: set[tuple[ClientProcess, bytes]] = set()
        """Which process has had the peer's own words of which round."""
        self.programs: dict[bytes, tuple[str, bytes]] = {}
        """Programs' datagrams that have not come: their sender, and the path's binding."""
        self.relayed_by_attacker: set[str] = set()
        """Addresses from which the attacker has spoken the hosts' words: a path may lead there."""
        self.seen: deque[Flight] = deque(maxlen=KEPT)
        self.lines: deque[bytes] = deque(maxlen=KEPT)
        self._last_link = 0
        self._last_port = 40_000
        self.server = ServerProcess(self, self._derived())
        self.clients = {name: self._started(name) for name in ("host_a", "host_b")}

    # The network

    def connect(self, source: Endpoint, client: ClientProcess | None) -> Link:
        """A new control connection; each end learns it in its own time."""
        self._last_link += 1
        up: deque[bytes | Mark] = deque([Mark.OPENED])
        down: deque[bytes | Mark] = deque([Mark.OPENED])
        link = self.links[self._last_link] = Link(self._last_link, source, client, up, down)
        return link

    def open(self, client: ClientProcess, generation: int) -> Endpoint:
        """A fresh socket."""
        self._last_port += 1
        socket = Endpoint(HOME[client.name], self._last_port)
        self.sockets[socket] = client, generation
        return socket

    def send(self, flight: Flight) -> None:
        """A datagram leaves."""
        self.flights.append(flight)
        self.seen.append(flight)
        self._opened.add((flight.source, flight.destination))

    def record_line(self, line: bytes) -> None:
        """The attacker sees what is sent to the server."""
        self.lines.append(line)

    def arrive(self, flight: Flight) -> None:
        """A datagram is where it was sent to."""
        if flight.destination == SERVER:
            self.server.arrived(flight)
        elif flight.destination in self.sockets:
            if self._filtered and (flight.destination, flight.source) not in self._opened:
                return
            client, generation = self.sockets[flight.destination]
            client.arrived(flight, generation)

    def up(self, link: Link) -> None:
        """The server gets what comes next on a connection."""
        assert link.up
        item, before = link.up.popleft(), self.server.holders()
        if item is Mark.OPENED:
            self.server.opened(link)
        elif isinstance(item, Mark):
            link.up = None
            self.server.feed(e.ControlBroken(item.name, link.number))
        else:
            try:
                message = control.decode(item.removesuffix(b"\n"))
            except WireError as error:
                self.server.feed(e.ControlGarbled(str(error), link.number))
            else:
                self.server.feed(e.ControlReceived(message, link.number))
        if link.client is None:
            self._check_taken(before)

    def down(self, link: Link) -> None:
        """The client, or the attacker, gets what comes next on a connection."""
        assert link.down
        item = link.down.popleft()
        if link.client is not None:
            link.client.heard_line(item, link)
        elif item in (Mark.CLOSED, Mark.RESET):
            link.down = None

    def waiting(self) -> list[tuple[Link, bool]]:
        """The connections on which something is on its way, and whether it is to the server."""
        found = []
        for link in self.links.values():
            found += [(link, True)] if link.up else []
            found += [(link, False)] if link.down else []
        return found

    def in_order(self) -> bool:
        """Let the next thing come that is on its way; False if there is none."""
        if self.flights:
            self.arrive(self.flights.pop(0))
            return True
        for link, is_up in self.waiting():
            (self.up if is_up else self.down)(link)
            return True
        return False

    def go_on(self) -> None:
        """What comes next, or is due next."""
        if not self.in_order():
            self.clock.advance()
        self.check()

    def happen(self, fate: int) -> None:
        """One thing, by an octet: half of them let the next thing come, in the order of all ways together."""
        which, index = fate & 7, fate >> 3
        waiting = self.waiting()
        if which == 0 and waiting:
            link, is_up = waiting[index % len(waiting)]
            (self.up if is_up else self.down)(link)
        elif which == 1 and self.flights:
            self.flights.pop(index % len(self.flights))
        elif which == 2 and self.flights:
            self.arrive(self.flights[index % len(self.flights)])
        elif which == 3 and self.flights:
            self.arrive(self.flights.pop(index % len(self.flights)))
        elif which == 4 and index < 8:
            self.clock.advance()
        else:
            if which == 5:
                self.clients["host_a" if index & 1 else "host_b"].send()
            self.go_on()
        self.check()

    # The faults

    def break_link(self, link: Link) -> None:
        """A connection breaks, and both ends are told."""
        link.reset_up()
        link.reset_down()

    def cut(self, link: Link) -> None:
        """Nothing arrives any more on a connection, and nobody is told."""
        for queue in (link.up, link.down):
            if queue is not None:
                queue.clear()
        link.is_cut = True

    def restart(self, name: str, *, told: bool) -> None:
        """The client's process ends without a word, and another one begins."""
        if not self.clients[name].is_dead:
            self.clients[name].end(told=told)
        self.clients[name] = self._started(name)

    def leave(self, name: str) -> None:
        """The user ends the client."""
        client = self.clients[name]
        client.feed(e.StopRequested())
        if not client.is_dead:
            client.end(told=True)

    def restart_server(self, *, told: bool) -> None:
        """The server's process ends, and another one begins that knows nothing."""
        self.server.end()
        for link in self.links.values():
            if told:
                link.reset_down()
            link.up = None
        self.server = ServerProcess(self, self._derived())

    # What must never be

    def check(self) -> None:
        """Raises `WrongError`. The processes and the server look for more while they act."""
        holders = self.server.holders()
        for link in [link for link in self.links.values() if link.is_over()]:
            if link.number not in holders.values():
                del self.links[link.number]
        for name in self.server.displaced:
            if name in holders and self.links[holders[name]].client is None:
                raise WrongError(f"the attacker has taken the place of {name}")
        self.server.displaced.clear()
        due = self.clock.next()
        if due is not None and due > self.clock.now + LONGEST_PAUSE:
            raise WrongError(f"the next timer is due in {due - self.clock.now:g} s")
        for client in self.clients.values():
            is_waiting = client.link is not None and client.link.down
            if not client.is_dead and client.agent.deadline() is None and not is_waiting:
                raise WrongError(f"nothing leads on for {client.name}")
        one, two = self.clients.values()
        if one.is_connected and two.is_connected and one.binding == two.binding:
            tags = [{tag for each, tag in self.heard if each is client} for client in (one, two)]
            if not tags[0] & tags[1]:
                raise WrongError("both are connected, and have not heard each other")

    def _check_taken(self, before: dict[str, int]) -> None:
        """After the attacker's word nobody holds an id that a client has held."""
        after = self.server.holders()
        for name, number in before.items():
            link = self.links.get(number)
            if link is not None and link.client is not None and after.get(name) != number:
                raise WrongError(f"the attacker's word has cost {name} its id")

    def heal(self) -> None:
        """Without further faults the pair comes together. Raises `WrongError` if it does not."""
        for link in self.links.values():
            if link.client is None:
                link.up = deque([Mark.RESET]) if link.up is not None else None
                link.down = None
        for name, client in self.clients.items():
            if client.is_dead:
                self.restart(name, told=True)
        until = self.clock.now + BACK_WITHIN
        for _ in range(MOST_STEPS):
            one, two = self.clients.values()
            if one.is_connected and two.is_connected and one.binding == two.binding:
                return
            if not self.in_order():
                if self.clock.now > until or self.clock.next() is None:
                    break
                self.clock.advance()
            self.check()
        raise WrongError(f"the pair is apart at {self.clock.now:g} s: {self.stories()}")

    def stories(self) -> dict[str, list[str]]:
        """What each client told last."""
        return {name: [str(each) for each in c.notices[-6:]] for name, c in self.clients.items()}

    def _started(self, name: str) -> ClientProcess:
        client = ClientProcess(self, name, self._derived())
        client.start()
        return client

    def _derived(self) -> random.Random:
        return random.Random(self._rng.getrandbits(64))
