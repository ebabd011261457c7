"""Many runs of each pair as tables: rung, first datagram, final path, beside aioice with coturn. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from scoreboard.results import Row
from scoreboard.table import UNKNOWN, milliseconds
from scoreboard.trials import PLACES, Group

OURS, AIOICE = "nat_traversal", "aioice"
NINE_PAIRS = "nine"


@dataclass(frozen=True, slots=True)
class Place:
    """Pairs of NATs in one topology, on links of one delay."""

    name: str
    title: str
    pairs: Sequence[tuple[str, str]]
    delay: str
    """One way, of the link of each NAT to what is outside it."""
    told: str
    """The round trips that come of it: R to the server, P between the hosts."""
    topology: str
    nodes: Mapping[str, str] | None = None

    @property
    def group(self) -> Group:
        """For `scoreboard.trials.placed`."""
        return Group(PLACES, self.name, self.title, self.pairs, self.topology, nodes=self.nodes)


@dataclass(frozen=True, slots=True)
class Trial:
    """One run of one pair."""

    program: str
    number: int
    """From 1: which run it was."""
    row: Row
    final_ms: float | None
    """From the later host's first packet until datagrams went both ways on the path that was used last."""
    rung: str | None
    """As this project's client told it."""

    @property
    def place(self) -> str:
        return self.row.group

    @property
    def pair(self) -> tuple[str, str]:
        return self.row.nat_a, self.row.nat_b

    @classmethod
    def of(cls, values: dict[str, Any]) -> Trial:
        """Of what `asdict` made. Raises `TypeError` and `KeyError`."""
        return cls(**{**values, "row": Row(**values["row"])})


def markdown(places: Sequence[Place], trials: Sequence[Trial], versions: Mapping[str, str]) -> str:
    """All tables, for the page."""
    counted = [trial for trial in trials if trial.row.error is None]
    parts = [_machine(trials, versions), "", *_summary(counted)]
    for place in places:
        here = [trial for trial in counted if trial.place == place.name]
        if here:
            parts += [
                "",
                f"### {place.title[0].upper()}{place.title[1:]}",
                "",
                f"{place.told}.",
                "",
            ]
            parts += _table(place, here)
    return "\n".join(parts) + "\n"


def _machine(trials: Sequence[Trial], versions: Mapping[str, str]) -> str:
    if not trials:
        return "Nothing was run yet."
    ended = sorted(trial.row.ended for trial in trials)
    loads = sorted(trial.row.load for trial in trials if trial.row.load is not None)
    late = sum(trial.row.late for trial in trials)
    broken = [trial for trial in trials if trial.row.error is not None]
    told = ", ".join(f"{name} {version}" for name, version in versions.items())
    text = (
        f"{told}. {len(trials)} trials, {ended[0]} to {ended[-1]}, load {loads[0]:.0f} to {loads[-1]:.0f},"
        f" median {median(loads):.1f}. In {late} of them the links were late; {len(broken)} did not come to their"
        " end and count for nothing."
    )
    reasons = Counter(
        f"{trial.program}, {' × '.join(trial.pair)}: {trial.row.error}" for trial in broken
    )
    return "\n".join([text, *(f"- {' '.join(why.split())}" for why in reasons)])


def _summary(trials: Sequence[Trial]) -> list[str]:
    """Of the nine behaviours: a row a rung, and what aioice did with the same pairs."""
    here = [trial for trial in trials if trial.place == NINE_PAIRS]
    by_pair: dict[tuple[str, str], list[Trial]] = {}
    for trial in here:
        if trial.program == OURS:
            by_pair.setdefault(trial.pair, []).append(trial)
    by_rung: dict[str, set[tuple[str, str]]] = {}
    for pair, found in by_pair.items():
        by_rung.setdefault(_most(trial.rung for trial in found), set()).add(pair)
    head = (
        "rung", "pairs", "runs", "first datagram, median", "worst", "final path, median", "worst",
        "aioice: direct, relayed, none", "first datagram, median", "worst", "final path, median", "worst",
    )  # fmt: skip
    rows = []
    for rung, pairs in sorted(by_rung.items(), key=lambda item: -len(item[1])):
        own = [trial for trial in here if trial.program == OURS and trial.pair in pairs]
        other = [trial for trial in here if trial.program == AIOICE and trial.pair in pairs]
        paths = Counter(trial.row.path for trial in other)
        told = ", ".join(str(paths[path]) for path in ("direct", "relayed", "none"))
        rows.append(
            [f"`{rung}`", str(len(pairs)), str(len(own)), *_times(own), told, *_times(other)]
        )
    return _markdown(head, rows)


def _table(place: Place, trials: Sequence[Trial]) -> list[str]:
    head = (
        "host_a", "host_b", "runs", "rung", "first datagram, median", "worst", "final path, median", "worst",
        "aioice runs", "path", "first datagram, median", "worst", "final path, median", "worst",
    )  # fmt: skip
    rows = []
    for pair in place.pairs:
        own = [trial for trial in trials if trial.pair == pair and trial.program == OURS]
        other = [trial for trial in trials if trial.pair == pair and trial.program == AIOICE]
        if own or other:
            rungs = _counted(trial.rung if trial.row.path != "none" else "none" for trial in own)
            paths = _counted(trial.row.path for trial in other)
            rows.append(
                [
                    *(f"`{nat}`" for nat in pair),
                    str(len(own)), rungs, *_times(own),
                    str(len(other)), paths, *_times(other),
                ]
            )  # fmt: skip
    return _markdown(head, rows)


def _times(trials: Sequence[Trial]) -> list[str]:
    firsts = [trial.row.first_ms for trial in trials if trial.row.first_ms is not None]
    finals = [trial.final_ms for trial in trials if trial.final_ms is not None]
    return [
        milliseconds(value)
        for times in (firsts, finals)
        for value in ((median(times), max(times)) if times else (None, None))
    ]


def _counted(values: Iterable[str | None]) -> str:
    """``relay``; where they differ, ``relay 3, low-ttl 17``."""
    counts = Counter(value or UNKNOWN for value in values)
    if len(counts) <= 1:
        return next(iter(counts), UNKNOWN)
    return ", ".join(f"{value} {count}" for value, count in counts.most_common())


def _most(values: Iterable[str | None]) -> str:
    return Counter(value or UNKNOWN for value in values).most_common(1)[0][0]


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows)]
