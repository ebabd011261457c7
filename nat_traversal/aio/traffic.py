"""The counters of datagrams of programs: what crossed a path, and what did not."""

from __future__ import annotations

import errno

from nat_traversal.aio.soft_errors import Lost
from nat_traversal.machine.actions import Fault
from nat_traversal.machine.counters import Counter, Counters


class Way:
    """Programs' datagrams that crossed by paths of one kind, and their octets.

    `all_sent` and `all_received` count along, for paths of every kind. Where datagrams come alone, a call for each
    would cost more than the counting: there each number is added to in its place.
    """

    __slots__ = ("all_received", "all_sent", "received", "received_octets", "sent", "sent_octets")

    def __init__(self, all_sent: Counter, all_received: Counter) -> None:
        self.all_sent = all_sent
        self.all_received = all_received
        self.sent = self.received = 0
        self.sent_octets = self.received_octets = 0

    def out(self, datagrams: int, octets: int) -> None:
        """So many have left, `octets` in all."""
        self.all_sent.value += datagrams
        self.sent += datagrams
        self.sent_octets += octets

    def came(self, datagrams: int, octets: int) -> None:
        """So many have come."""
        self.all_received.value += datagrams
        self.received += datagrams
        self.received_octets += octets


class Traffic:
    """The counters of what crossed a path, and what did not. All but the octets of `Way` count datagrams."""

    def __init__(self, counters: Counters) -> None:
        counter = counters.counter
        self.sent = counter("sent", "sent to the other side")
        self.received = counter("received", "came from the other side")
        self.direct = Way(self.sent, self.received)
        self.relayed = Way(self.sent, self.received)
        """Through the server's relay."""
        self.unsendable = counter(
            "unsendable", "refused by this host's network stack: too long, no route, buffer full"
        )
        self.refused = counter("refused", "answered by ICMP port unreachable: nobody listens there")
        self.unreachable = counter(
            "unreachable", "lost on the way, as ICMP tells: no way there, too long, forbidden"
        )
        self.foreign = counter("foreign", "came to a flow from another host than the service's")
        self.unclaimed = counter(
            "unclaimed", "came for a flow or a direction that this side does not serve"
        )
        self.malformed = counter("malformed", "broke the protocol")
        self.stranger = counter("stranger", "bore the number of no path of ours")
        self.replayed = counter("replayed", "came before, or too late")
        self.not_authentic = counter("not-authentic", "the other side has not sealed it")
        self.incomplete = counter("incomplete", "began to come, and the rest did not")
        self.faults = {
            Fault.FORGED: counter(Fault.FORGED, "a HELLO or CONFIRM, not of the other side"),
            Fault.REPLAYED: counter(Fault.REPLAYED, "a HELLO or CONFIRM again, from elsewhere"),
        }

    def lost(self, lost: Lost) -> None:
        """Count a datagram that left this host and met an ICMP error."""
        counter = self.refused if lost.error == errno.ECONNREFUSED else self.unreachable
        counter.value += lost.count
