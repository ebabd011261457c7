"""The scoreboard as Markdown, JSON and HTML. Pure."""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from dataclasses import asdict
from statistics import median

from scoreboard.table import (
    PATHS,
    UNKNOWN,
    Entry,
    Line,
    line_of,
    milliseconds,
    number,
    places,
)
from scoreboard.trials import FAULTS, GROUPS

Table = tuple[Sequence[str], Sequence[Sequence[str]]]
"""Head and rows."""
_FAULTS = [group for group in GROUPS if group.suite == FAULTS]


def presets_table(lines: Sequence[Line]) -> Table:
    """The 36 pairs."""
    head = (
        "program", "version", *PATHS, "of", "first payload, median", "worst", "packets", "NAT entries",
        "idle packets a minute",
    )  # fmt: skip
    return head, [
        (
            line.name,
            line.version,
            *(str(line.paths[path]) for path in PATHS),
            str(line.of),
            milliseconds(line.first_median),
            milliseconds(line.first_worst),
            number(line.packets),
            number(line.entries),
            number(line.idle),
        )
        for line in lines
    ]


def places_table(lines: Sequence[Line]) -> Table:
    """Carriers, one NAT, no UDP."""
    head = ("place", *(line.name for line in lines))
    return head, [
        (place, *(line.places[place] for line in lines)) for place, _group, _pair in places()
    ]


def faults_table(lines: Sequence[Line]) -> Table:
    """Recovery, a time for each pair."""
    head = ("program", *(group.title for group in _FAULTS))
    return head, [
        (line.name, *(", ".join(line.recovery[group.name]) for group in _FAULTS)) for line in lines
    ]


def programs_table(entries: Sequence[Entry]) -> Table:
    """Versions, commands, what was chosen, on which machine."""
    head = ("program", "version", "from", "command", "what was chosen", "run")
    return head, [
        (
            entry.name,
            entry.version or UNKNOWN,
            entry.source,
            f"`{entry.command}`",
            entry.chosen,
            _run(entry),
        )
        for entry in entries
    ]


def _run(entry: Entry) -> str:
    if not entry.header:
        return entry.reason or UNKNOWN
    rows, words = entry.rows or (), entry.header
    ended = sorted(row.ended for row in rows)
    loads = sorted(row.load for row in rows if row.load is not None)
    load = f", load {loads[0]:.0f} to {loads[-1]:.0f}, median {median(loads):.1f}" if loads else ""
    return (
        f"{ended[0]} to {ended[-1]}, Linux {words['kernel']}, {words['processors']} processors{load},"
        f" at most {max(row.jobs or 1 for row in rows)} trials at a time"
    )


def broken_table(entries: Sequence[Entry]) -> Table:
    """Every trial that did not come to its end, and why."""
    return ("program", "trial", "why"), [
        (entry.name, f"{row.group}: {row.nat_a} × {row.nat_b}", " ".join(row.error.split()))
        for entry in entries
        for row in entry.rows or ()
        if row.error is not None
    ]


def sections(entries: Sequence[Entry]) -> Sequence[tuple[str, Table]]:
    """Every table under its heading."""
    lines = [line_of(entry) for entry in entries if entry.rows]
    absent = [(entry.name, entry.reason) for entry in entries if not entry.rows]
    late = [(line.name, str(line.late)) for line in lines if line.late]
    found = [
        ("Pairs of presets", presets_table(lines)),
        ("Other places", places_table(lines)),
        ("Recovery", faults_table(lines)),
        ("Programs", programs_table(entries)),
        ("Not run", (("program", "why"), absent)),
        ("Trials that do not count", broken_table(entries)),
        ("Trials whose links were late", (("program", "trials"), late)),
    ]
    return [(title, table) for title, table in found if table[1]]


def markdown(entries: Sequence[Entry]) -> str:
    """For `docs/scoreboard.md`."""
    return "\n".join(f"### {title}\n\n{_markdown(table)}" for title, table in sections(entries))


def _markdown(table: Table) -> str:
    head, rows = table
    lines = [head, ["---"] * len(head), *rows]
    return "".join(
        f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |\n" for cells in lines
    )


def as_json(entries: Sequence[Entry]) -> str:
    """Every line, and every trial."""
    content = [
        {**asdict(entry), "line": asdict(line_of(entry)) if entry.rows else None}
        for entry in entries
    ]
    return json.dumps({"format": 1, "programs": content}, indent=1) + "\n"


_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>NAT traversal scoreboard</title>
<style>
:root {{ color-scheme: light dark }}
body {{ font: 1rem/1.4 system-ui, sans-serif; margin: 2rem auto; max-width: 80rem; padding: 0 1rem }}
div {{ overflow-x: auto }} table {{ border-collapse: collapse }}
th, td {{ border: 1px solid #8886; padding: .3rem .6rem; text-align: left }}
</style>
<h1>NAT traversal scoreboard</h1>
{body}
</html>
"""


def page(entries: Sequence[Entry]) -> str:
    """One file, without scripts."""
    parts = []
    for title, (head, rows) in sections(entries):
        parts.append(f'<h2>{html.escape(title)}</h2>\n<div tabindex="0"><table>')
        parts.append(_row(head, "th"))
        parts += [_row(row, "td") for row in rows]
        parts.append("</table></div>")
    return _PAGE.format(body="\n".join(parts))


def _row(cells: Sequence[str], kind: str) -> str:
    inner = "".join(f"<{kind}>{html.escape(cell.strip('`'))}</{kind}>" for cell in cells)
    return f"<tr>{inner}</tr>"
