"""How long a NAT remembers a TCP connection without packets (RFC 5382 REQ-5), asked in real time.

Of one that is established, the remote sends data; of one that begins, it answers a SYN. The inside host's
own raw socket tells whether that came in. Fresh connections for each age, since a packet makes them young.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from math import inf

from natlab.probe.finding import Finding
from natlab.probe.sockets import Exchange, Outside, endpoint
from natlab.probe.tcp import ACK, RESET, SYN, Tcp, send_segment
from natlab.sandbox.netns import in_namespace

_AGES = (0.85, 0.93, 0.97, 1.0, 1.03, 1.07, 1.12)
"""Of the lifetime, when a connection is asked whether it lives."""
_SEQUENCE = 0x0202_0202
CLAIMS = ("TCP lifetime, established", "TCP lifetime, transitory")


@dataclass(slots=True)
class _Asked:
    """Of one kind, with certainty: the oldest age of one that lived, the youngest of one that did not."""

    alive: float = 0.0
    dead: float = inf

    def note(self, came: bool, youngest: float, oldest: float) -> None:
        if came:
            self.alive = max(self.alive, youngest)
        else:
            self.dead = min(self.dead, oldest)

    def is_as(self, tolerance: float) -> bool:
        return self.alive >= 1 - tolerance and self.dead <= 1 + tolerance

    def in_words(self, tolerance: float) -> str:
        if self.is_as(tolerance):
            return f"within {tolerance:.0%}"
        return f"{self.alive:.2f} to {self.dead:.2f} of what is configured"


@dataclass(slots=True)
class TcpLifetimes:
    """Questions about a NAT whose TCP connections of either kind are to live `lifetime` seconds."""

    tcp: Tcp
    inside: socket.socket
    """A raw socket of the inside host."""
    raw: socket.socket
    """One of the remote's, whose kernel is silent."""
    remote: socket.socket
    lifetime: float
    _found: dict[str, _Asked] = field(default_factory=lambda: {each: _Asked() for each in CLAIMS})

    def agenda(self) -> Iterator[tuple[float, Callable[[], None]]]:
        """Make the connections; yield when each is to be asked, in seconds from now, and how."""
        for age in _AGES:
            for make in (self._established, self._transitory):
                yield age * self.lifetime, make()

    def is_told(self, tolerance: float) -> bool:
        """Whether the answers are enough, right or wrong; a pause may have come between."""
        return all(
            asked.alive > 1 + tolerance or asked.dead < 1 - tolerance or asked.is_as(tolerance)
            for asked in self._found.values()
        )

    def findings(self, tolerance: float) -> Iterator[Finding]:
        for claim, asked in self._found.items():
            yield Finding(claim, f"within {tolerance:.0%}", asked.in_words(tolerance))

    def _established(self) -> Callable[[], None]:
        inside = self.tcp.socket_inside()
        inside.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        listener = self.tcp.remotes[0]
        since = time.monotonic()
        inside.connect(listener.getsockname())
        accepted, _ = listener.accept()
        self.tcp.keep(accepted)
        self.tcp.settle()
        return partial(
            self._ask, CLAIMS[0], inside, partial(accepted.send, b"x"), since, time.monotonic()
        )

    def _transitory(self) -> Callable[[], None]:
        remote = endpoint(self.remote)
        with self.tcp.socket_inside() as inside:
            inside.setblocking(False)
            since = time.monotonic()
            inside.connect_ex(remote.sockaddr)
            own = endpoint(inside)
            # Closed, so that its kernel does not send the SYN again; a busy machine may have been too late.
        (mapped, _, sequence, *_), *_again = self.tcp.heard(self.raw, remote)
        answer = partial(
            send_segment,
            self.raw,
            remote,
            mapped,
            SYN | ACK,
            (_SEQUENCE, (sequence + 1) & 0xFFFF_FFFF),
        )
        return partial(self._ask, CLAIMS[1], own, answer, since, time.monotonic())

    def _ask(
        self,
        claim: str,
        inside: object,
        send: Callable[[], object],
        since: float,
        until: float,
    ) -> None:
        own = endpoint(inside) if isinstance(inside, socket.socket) else inside
        self._arrivals()
        before = time.monotonic()
        send()
        self.tcp.settle()
        after = time.monotonic()
        came = own in self._arrivals()
        self._found[claim].note(
            came, (before - until) / self.lifetime, (after - since) / self.lifetime
        )

    def _arrivals(self) -> set[object]:
        """The inside endpoints to which segments have come by now."""
        return {target for _, target in self.tcp.segments(self.inside)}


@contextmanager
def asking(exchange: Exchange, outside: Outside, lifetime: float) -> Iterator[TcpLifetimes]:
    """Of the NAT of `exchange`, whose fence is open. To be used within `one_cpu`."""
    with ExitStack() as stack:
        tcp = Tcp(exchange.host, outside, stack, exchange.settle)
        with in_namespace(exchange.host.pid):
            inside = stack.enter_context(
                socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP)
            )
        inside.setblocking(False)
        remote = tcp.held()
        raw = stack.enter_context(tcp.by_hand(endpoint(remote)))
        yield TcpLifetimes(tcp, inside, raw, remote, lifetime)
