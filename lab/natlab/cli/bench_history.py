"""The history of benchmarks: rows in a JSON file, and the page with a table that is made from it."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from natlab.bench.rows import Measured
from natlab.errors import LabError

DEFAULT = Path("docs/benchmarks.json")
"""Where a checkout keeps its history."""

_HEAD = """# Benchmarks

Made from `{source}` by `make bench BENCH_ARGS=--record`; not edited by hand. A ratio compares two things that ran in turn on one
machine.

- **network**: the time to bring a cell's network up and down, over that of a shell script that makes the same; less is better. A column
  for each pair of NATs.
- **forwarding**: datagrams of 1,200 octets a second through two clients, over those through two socats; more is better. Below is
  the newest row in full; [Performance](performance.md) says what its rows are.
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
    rows: Mapping[str, Mapping[str, Mapping[str, float]]] = field(default_factory=dict)
    """All of forwarding: by the row's title and the chain, the values of `natlab.bench.rows.Side`."""
    memory: Mapping[str, int] = field(default_factory=dict)
    """Octets of both clients, by number of flows."""


def row_now(
    network: Mapping[str, float],
    forwarding: float | None,
    measured: Sequence[Measured] = (),
    memory: Mapping[int, int] | None = None,
) -> Row:
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
        rows={
            row.title: {
                chain: {name: _rounded(value) for name, value in asdict(found).items()}
                for chain, found in row.medians.items()
            }
            for row in measured
        },
        memory={str(flows): octets for flows, octets in (memory or {}).items()},
    )


def _rounded(value: float) -> float:
    """To three digits after the point, or none if it is large."""
    return round(value, 3) if value < 1_000 else float(round(value))


def read(path: Path) -> list[Row]:
    """The rows in `path`, oldest first; none if there is no such file. Raises `LabError`."""
    try:
        return [Row(**row) for row in json.loads(path.read_text(encoding="utf-8"))]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError) as error:
        raise LabError(f"{path} holds no history of benchmarks: {error}") from None


def append(path: Path, row: Row) -> None:
    """Add `row` to the file, and make its page anew, beside it with the suffix .md. Raises `LabError`.

    A share of a run, from the same commit and day as the last row, goes into that.
    """
    rows = read(path)
    if rows and (rows[-1].date, rows[-1].commit) == (row.date, row.commit):
        row = _together(rows.pop(), row)
    rows.append(row)
    try:
        path.write_text(json.dumps([asdict(each) for each in rows], indent=2) + "\n", "utf-8")
        path.with_suffix(".md").write_text(page(rows, path.name), "utf-8")
    except OSError as error:
        raise LabError(f"cannot write {error.filename}: {error.strerror}") from None


def _together(old: Row, new: Row) -> Row:
    """Two shares of one run."""
    return replace(
        new,
        network={**old.network, **new.network},
        forwarding=old.forwarding if new.forwarding is None else new.forwarding,
        rows={**old.rows, **new.rows},
        memory={**old.memory, **new.memory},
    )


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
    newest = next((row for row in reversed(rows) if row.rows), None)
    whole = "" if newest is None else _whole(newest)
    return _HEAD.format(source=source) + _drawn(lines) + whole


def _whole(row: Row) -> str:
    """All rows of forwarding of one run."""
    headings = ["row", "chain", "per second", "x socat", "lost", "delay µs", "99 %", "CPU µs"]
    headings += ["smallest flow"]
    lines = [headings, ["---"] * len(headings)]
    for title, medians in row.rows.items():
        for chain, found in medians.items():
            shown = [f"{found['rate']:,.0f}", f"{found['ratio']:.2f}", f"{found['loss']:.2%}"]
            shown += [f"{found[name]:,.0f}" for name in ("delay", "delay_99")]
            slowest = f"{found['slowest']:.2f} x" if found.get("flows", 1) > 1 else ""
            lines.append([title, chain, *shown, f"{found['processor']:.1f}", slowest])
    memory = ", ".join(
        f"{octets / 2**20:.1f} MiB with {int(flows):,} flows"
        for flows, octets in row.memory.items()
    )
    told = f"\nMemory of both clients: {memory}.\n" if memory else ""
    return f"\n## Forwarding, {row.date}, {row.commit}\n\n{_drawn(lines)}{told}"


def _drawn(lines: Sequence[Sequence[str]]) -> str:
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


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
