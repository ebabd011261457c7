"""How much each process holds over time, and whether it grows."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

SETTLED = 600.0
"""Seconds of a process's life after which nothing may grow."""
WINDOW = 300.0
"""Seconds whose median is taken, after `SETTLED` and before the end."""
MOST_MEMORY = 1.05
MORE_MEMORY_KIB = 1024
"""Growth that is none, as a factor, or in KiB: the allocator's own."""
MORE = 3
"""Of anything else: what a moment can make the difference of."""


@dataclass(slots=True)
class Life:
    """The samples of one process, by its age in seconds."""

    name: str
    began: float
    samples: list[tuple[float, dict[str, int]]] = field(default_factory=list)

    def sample(self, pid: int, now: float) -> None:
        """Look at the process, if it still lives."""
        try:
            status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
            descriptors = len(list(Path(f"/proc/{pid}/fd").iterdir()))
        except OSError:
            return
        fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
        if "VmRSS" not in fields:
            return
        memory = int(fields["VmRSS"].split()[0])
        found = {"memory": memory, "descriptors": descriptors, "threads": int(fields["Threads"])}
        self.samples.append((now - self.began, found))

    def add_holdings(self, file: Path) -> None:
        """What the process has said itself. It names only what there is: of all else there is none."""
        if not file.exists():
            return
        rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
        nothing = dict.fromkeys({name for row in rows for name in row}, 0)
        for row in rows:
            found = nothing | row
            self.samples.append((found.pop("at") - self.began, found))

    @property
    def age(self) -> float:
        return max((at for at, _ in self.samples), default=0.0)

    def compared(self) -> dict[str, tuple[float, float]]:
        """For each thing that is counted its median in the first window after `SETTLED`, and in the last."""
        if self.age < SETTLED + 2 * WINDOW:
            return {}
        early = self._medians(SETTLED, SETTLED + WINDOW)
        late = self._medians(self.age - WINDOW, self.age)
        return {name: (early.get(name, 0.0), late[name]) for name in sorted(late)}

    def growth(self) -> list[str]:
        """What has grown, in words."""
        return [
            f"{self.name}: {name} grew from {early:g} to {late:g}"
            for name, (early, late) in self.compared().items()
            if late > _most(name, early)
        ]

    def _medians(self, since: float, until: float) -> dict[str, float]:
        inside = [found for at, found in self.samples if since <= at <= until]
        names = {name for found in inside for name in found}
        return {
            name: statistics.median([found[name] for found in inside if name in found])
            for name in names
        }


def _most(name: str, early: float) -> float:
    if name == "memory":
        return max(early * MOST_MEMORY, early + MORE_MEMORY_KIB)
    return early * 1.1 + MORE


def table(lives: Sequence[Life]) -> str:
    """The counts that matter, a line each."""
    lines = []
    for life in lives:
        compared = life.compared()
        for name in ("memory", "descriptors", "threads", "asyncio.Task"):
            if name in compared:
                early, late = compared[name]
                lines.append(f"{life.name:24} {life.age:7.0f} s  {name:13} {early:10g} {late:10g}")
        rows = {k: v for k, v in compared.items() if k not in _NOT_ROWS}
        if rows:
            early, late = (sum(pair[at] for pair in rows.values()) for at in (0, 1))
            lines.append(f"{life.name:24} {life.age:7.0f} s  {'rows':13} {early:10g} {late:10g}")
    return "\n".join(lines)


_NOT_ROWS = {"memory", "descriptors", "threads", "asyncio.Task"}
