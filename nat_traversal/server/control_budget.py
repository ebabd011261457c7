"""How much the hosts of one source may say before others come first."""

from __future__ import annotations

from nat_traversal.server.buckets import Bucket, Buckets
from nat_traversal.settings import ServerSettings
from nat_traversal.wire import messages as m

WEIGHTS: dict[type[object], float] = {
    m.Register: 5.0,
    m.Retry: 3.0,
    m.Proof: 3.0,
    m.HeartbeatAnswer: 0.5,
}
"""Units of a message; 1 of any other."""
GARBLED = 10.0
"""Units of a line that is no message: it costs its sender a connection, and the server one too."""
HANDSHAKE = 20.0
"""Units of a TLS handshake: a signature and a key agreement take as long as so many messages."""


def weight(message: m.Message | m.UnknownMessage) -> float:
    """Units of a message."""
    if isinstance(message, m.ForPair):
        message = message.message
    return WEIGHTS.get(type(message), 1.0)


class ControlBudget:
    """The sources that have said little lately, and the others."""

    def __init__(self, settings: ServerSettings) -> None:
        self.reconfigure(settings)

    def reconfigure(self, settings: ServerSettings) -> None:
        """Other budgets, and all of them full."""
        self._sources: Buckets[str] = Buckets(
            settings.control_burst, settings.control_per_source, settings.sources
        )

    def of(self, source: str, now: float) -> Bucket:
        """The units that `source` has left. Its next message comes before those of sources that say more if there is one;
        what it said is charged."""
        return self._sources.of(source, now)
