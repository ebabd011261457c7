"""The counters of datagrams of programs: what crossed a path, and what did not."""

from __future__ import annotations

import errno

from nat_traversal.aio.soft_errors import Lost
from nat_traversal.machine.actions import Fault
from nat_traversal.machine.counters import Counters


class Traffic:
    """The counters of what crossed a path, and what did not. All count datagrams."""

    def __init__(self, counters: Counters) -> None:
        counter = counters.counter
        self.sent = counter("sent", "sent to the other side")
        self.received = counter("received", "came from the other side")
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
