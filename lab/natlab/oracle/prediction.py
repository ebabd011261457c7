"""The model's expectation of a pair of NATs, and where its hosts are. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from nat_traversal.wire.endpoint import Endpoint
from natlab.oracle.model import Admission
from natlab.oracle.outcome import Outcome

SERVER = Endpoint("192.0.2.2", 6545)
NAT_ADDRESS = {"host_a": "203.0.113.2", "host_b": "198.51.100.2"}


@dataclass(frozen=True, slots=True)
class Step:
    """One predicted packet between the peers."""

    round: int
    name: str
    """Such as ``HELLO 1`` or ``CONFIRM``."""
    sender: str
    source: Endpoint
    """As the sender's NAT shows it."""
    destination: Endpoint
    admission: Admission
    """At the receiver's NAT."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """`round` is the one that connects, None when all fail. `steps` are all packets, in order."""

    method: str
    """Its name, as in `natlab.oracle.predict.METHODS`."""
    outcome: Outcome
    round: int | None
    steps: tuple[Step, ...]
    share: float = 1.0
    """Of the runs that end so; chance lets the others fail."""

    @property
    def outcomes(self) -> frozenset[Outcome]:
        """All that may be."""
        return frozenset({self.outcome, Outcome.FAILED} if self.share < 1 else {self.outcome})
