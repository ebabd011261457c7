"""The history of benchmarks: rows in a JSON file, and the page with a table that is made from it."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from natlab.errors import LabError

DEFAULT = Path("docs/benchmarks.json")
"""Where a checkout keeps its history."""

_HEAD = """# Benchmarks

Made from `{source}` by `make bench BENCH_ARGS=--record`; not edited by hand. A ratio compares two things that ran in turn on one
machine.

- **network**: the time to bring a cell's network up and down, over that of a shell script that makes the same; less is better. A column
  for each pair of NATs.
- **forwarding**: datagrams of 1,200 octets a second through two clients, over those through two socats; more is better.
- **load**: processes that ran or wanted to in the last minute. Where it is far above the number of processors, other work disturbed both
  sides, and the ratio is rough.

"""


@dataclass(frozen=True, slots=True)
class Row:
    """One run of the benchmarks."""

    date: str
    """UTC, as 2026-01-31."""
    commit: str
    """The checkout's, with a plus sign where files differ from it; "?" outside of one."""
    machine: str
    """Its processor's name and how many there are."""
    kernel: str
    python: str
    load: float
    """Processes that ran or wanted to in the last minute (load average), the benchmark's own among them."""
    network: Mapping[str, float]
    """Ratio by pair of NATs, as "none, none"; empty where it was not measured."""
    forwarding: float | None
    """Ratio; None where it was not measured."""


def row_now(network: Mapping[str, float], forwarding: float | None) -> Row:
    """A row of the numbers measured just now on this machine, with ratios to two digits."""
    return Row(
        date=datetime.now(UTC).date().isoformat(),
        commit=_commit(),
        machine=f"{_processor()}, {os.cpu_count()} processors",
        kernel=platform.release(),
        python=platform.python_version(),
        load=round(os.getloadavg()[0], 1),
        network={pair: round(ratio, 2) for pair, ratio in network.items()},
        forwarding=None if forwarding is None else round(forwarding, 2),
    )


def read(path: Path) -> list[Row]:
    """The rows in `path`, oldest first; none if there is no such file. Raises `LabError`."""
    try:
        return [Row(**row) for row in json.loads(path.read_text(encoding="utf-8"))]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError) as error:
        raise LabError(f"{path} holds no history of benchmarks: {error}") from None


def append(path: Path, row: Row) -> None:
    """Add `row` to the file, and make its page anew, beside it with the suffix .md. Raises `LabError`."""
    rows = [*read(path), row]
    try:
        path.write_text(json.dumps([asdict(each) for each in rows], indent=2) + "\n", "utf-8")
        path.with_suffix(".md").write_text(page(rows, path.name), "utf-8")
    except OSError as error:
        raise LabError(f"cannot write {error.filename}: {error.strerror}") from None


def page(rows: Sequence[Row], source: str) -> str:
    """The page in Markdown, newest row first; `source` is the JSON file's name."""
    pairs = list(dict.fromkeys(pair for row in rows for pair in row.network))
    headings = ["date", "commit", *(f"network {pair}" for pair in pairs), "forwarding"]
    headings += ["load", "machine", "kernel", "Python"]
    lines = [headings, ["---"] * len(headings)]
    for row in reversed(rows):
        ratios = [*(row.network.get(pair) for pair in pairs), row.forwarding]
        shown = ["" if ratio is None else f"{ratio:.2f}" for ratio in ratios]
        where = [f"{row.load:.1f}", row.machine, row.kernel, row.python]
        lines.append([row.date, row.commit, *shown, *where])
    return _HEAD.format(source=source) + "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _commit() -> str:
    def git(*arguments: str) -> str:
        done = subprocess.run(
            ["git", *arguments], capture_output=True, encoding="utf-8", errors="replace", check=True
        )
        return done.stdout.strip()

    try:
        changed = git("status", "--porcelain", "--untracked-files=no")
        return git("rev-parse", "--short", "HEAD") + ("+" if changed else "")
    except (FileNotFoundError, subprocess.CalledProcessError):
        return "?"


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()
