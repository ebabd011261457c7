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


def claim(called: str, wanted: object, seen: object) -> Finding:
    """One whose values are said in words."""
    words = {True: "yes", False: "no", None: "nothing that has a name"}

    def say(value: object) -> str:
        return words[value] if isinstance(value, bool) or value is None else str(value)

    return Finding(called, say(wanted), say(seen))
