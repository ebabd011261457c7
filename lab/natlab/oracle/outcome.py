"""The two ends that a traversal can have."""

from enum import StrEnum


class Outcome(StrEnum):
    """As predicted by the model, and as observed in the captures."""

    CONNECTED = "connected"
    FAILED = "failed"
