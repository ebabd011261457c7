"""The results that are kept of each trial, in one JSON file a rival, so that a run which was ended goes on."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from natlab.errors import LabError
from natlab.evidence.check import LINKS_KEPT
from natlab.evidence.result import CellResult

Key = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Row:
    """One trial. Times in milliseconds; the names mean what they mean in `CellResult`."""

    group: str
    nat_a: str
    nat_b: str
    path: str | None
    through: str | None = None
    first_ms: float | None = None
    packets: int | None = None
    octets: int | None = None
    entries: int | None = None
    """Of all NATs."""
    recovery_ms: float | None = None
    idle_per_minute: float | None = None
    reason: str = ""
    late: bool = False
    """The machine was too busy for the links to keep their delay."""
    error: str | None = None
    """The trial broke: it counts for nothing."""
    ended: str = ""
    """When: date and time, to the minute."""
    load: float | None = None
    """The machine's, over the minute before the end: how many processes wanted a processor."""
    jobs: int | None = None
    """How many trials of this rival ran at a time."""

    @property
    def key(self) -> Key:
        return self.group, self.nat_a, self.nat_b


@dataclass(frozen=True, slots=True)
class Kept:
    """All of one rival."""

    rival: str
    version: str
    digest: str
    header: dict[str, str]
    """The machine of the run that last added to it."""
    rows: tuple[Row, ...]


def row_of(group: str, cell: CellResult) -> Row:
    """The result that is kept of a cell of the lab."""
    wrong = [check for check in cell.checks if not check.ok]
    untrue = [f"{check.name}: {check.why}" for check in wrong if check.name != LINKS_KEPT]
    broken = cell.error or "; ".join(untrue) or None
    return Row(
        group,
        cell.nat_a,
        cell.nat_b,
        cell.path if broken is None else None,
        cell.through,
        cell.first_datagram_ms,
        cell.sent_packets,
        cell.sent_octets,
        None if cell.entries is None else sum(cell.entries.values()),
        cell.recovery_ms,
        cell.idle_packets,
        cell.reason,
        len(untrue) < len(wrong),
        broken,
    )


def write_kept(kept: Kept, path: Path) -> None:
    """Replaces the file only when the new one is complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".json.part")
    unfinished.write_text(json.dumps(asdict(kept), indent=1) + "\n", encoding="utf-8")
    unfinished.replace(path)


def read_kept(path: Path) -> Kept | None:
    """None if there is none yet. Raises `LabError` if it is something else."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        known = {field.name for field in fields(Row)}
        rows = tuple(
            Row(**{name: value for name, value in row.items() if name in known})
            for row in values.pop("rows")
        )
        return Kept(**values, rows=rows)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise LabError(f"{path} holds no results: {error!r}; remove it") from None
