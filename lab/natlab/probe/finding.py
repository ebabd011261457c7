"""One claim about a NAT, and what was seen of it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """`holds` says whether what was seen is as claimed."""

    claim: str
    wanted: str
    seen: str

    @property
    def holds(self) -> bool:
        return self.wanted == self.seen
