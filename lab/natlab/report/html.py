"""The report as one HTML file that needs no network.

A script in it keeps the filters in the address and lets "next" follow them; all else works without.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from natlab.evidence.category import Category
from natlab.evidence.journey import HOMES, SERVER_LINK
from natlab.evidence.result import CellResult, Report
from natlab.evidence.way import Kind
from natlab.oracle.methods.simultaneous import counted
from natlab.oracle.outcome import Outcome
from natlab.report.heat import Heat
from natlab.report.legend import nats_of
from natlab.report.replay import replay_of
from natlab.report.strip import Scale, strip
from natlab.report.svg_ladder import ladder, rows_of
from natlab.report.words import (
    by_cause,
    categories,
    costs,
    ends,
    faults,
    short_end,
    spread,
    summary,
)

if TYPE_CHECKING:
    from jinja2 import Template

_NO_BREAK = "\N{NO-BREAK SPACE}"
_A, _B = HOMES
_POINTS = (_A.host_link, _A.lan, _A.wan, SERVER_LINK, _B.wan, _B.lan, _B.host_link)
_OUTCOMES = {
    "round-1": "round 1",
    "round-2": "round 2",
    "round-3": "a later rung",
    "relayed": "relayed",
    "failed": "no path",
    "wrong": "not as it should be",
}
_PATHS = {
    "direct": "direct",
    "relayed": "relayed",
    "failed": "none",
    "wrong": "not as it should be",
}
_SHORT = {
    Category.AS_PREDICTED: "",
    Category.FORBIDDEN: "NATs forbid it",
    Category.MISSED: "could have",
    Category.GUESSED: "guessed a port",
    Category.LAB_WRONG: "lab is wrong",
}


@dataclass(frozen=True, slots=True)
class _View:
    """The template's view of one cell, beyond the cell itself."""

    anchor: str
    css: str
    """Its colour."""
    kinds: str
    """Class names that the filters look for."""
    words: tuple[str, ...]
    pcap_href: str | None
    previous: str
    next: str


@dataclass(frozen=True, slots=True)
class _Filter:
    """A choice of which cells to show: `kinds` maps class names to what a reader sees."""

    name: str
    legend: str
    kinds: dict[str, str]


@cache
def page() -> Template:
    """The page, to be filled. To read it takes longer than to fill it with a few cells."""
    # A command that writes no report needs no templates.
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # noqa: PLC0415

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("index.html.j2")


def write_html(report: Report, path: Path) -> None:
    """Write `report` to `path`, one self-contained file. Links to pcaps are relative to it."""
    cells = {(cell.nat_a, cell.nat_b): cell for cell in report.cells}
    timed = [cell for cell in report.cells if cell.timing is not None]
    text = page().render(
        report=report,
        summary=summary(report),
        heat=Heat.of(report),
        rows=list(dict.fromkeys(cell.nat_a for cell in report.cells)),
        columns=list(dict.fromkeys(cell.nat_b for cell in report.cells)),
        cells=cells,
        views=dict(zip(cells, _views(report), strict=True)),
        filters=list(_filters(report)),
        timed=timed,
        scale=Scale.of(cell.timing for cell in timed if cell.timing is not None),
        strip=strip,
        spread=spread,
        ends=ends,
        ladder=ladder,
        rows_of=rows_of,
        points=_POINTS,
        nats=nats_of(report),
        faults=faults,
        foreign=any(cell.program is not None for cell in report.cells),
        costs=costs,
        replays={
            pair: replay_of(cell, f"{cell.nat_a}--{cell.nat_b}") for pair, cell in cells.items()
        },
        whys=list(_whys(report)),
    )
    path.write_text(text, encoding="utf-8")


@dataclass(frozen=True, slots=True)
class _Why:
    """A line of the first screen: how many cells are not what a reader hopes for, why, and the first of them."""

    count: str
    text: str
    anchor: str


_MOST_WHYS = 3


def _whys(report: Report) -> Iterator[_Why]:
    wrong = [cell for cell in report.cells if not cell.ok]
    groups = [(f"not as it should be: {faults(cell)[0]}", [cell]) for cell in wrong]
    groups += [
        (
            f"{'without a path' if cells[0].program else 'without a direct path'}, {category}: {cause}",
            cells,
        )
        # First those that somebody can mend.
        for (category, cause), cells in sorted(
            by_cause(report).items(), key=lambda group: group[0][0] is Category.FORBIDDEN
        )
    ]
    if len(groups) > _MOST_WHYS:
        others = [cell for _, cells in groups[_MOST_WHYS - 1 :] for cell in cells]
        groups[_MOST_WHYS - 1 :] = [("for further reasons, each said with its cell", others)]
    for text, cells in groups[:_MOST_WHYS]:
        pairs = "1 pair" if len(cells) == 1 else f"{len(cells)} pairs"
        yield _Why(pairs, text, f"{cells[0].nat_a}--{cells[0].nat_b}")


def _filters(report: Report) -> Iterator[_Filter]:
    kinds = _kinds_of_nats(report)
    programs = any(cell.program is not None for cell in report.cells)
    yield _Filter("outcome", "Outcome", _PATHS if programs else _OUTCOMES)
    there = {_kind(category): str(category) for category, n in categories(report).items() if n}
    yield _Filter("category", "Whose doing", there)
    yield _Filter("nat", "NAT on either side", {kind: name for name, kind in kinds.items()})


def _kinds_of_nats(report: Report) -> dict[str, str]:
    names = dict.fromkeys(name for cell in report.cells for name in (cell.nat_a, cell.nat_b))
    return {name: f"nat-{number}" for number, name in enumerate(names)}


def _kind(category: Category) -> str:
    return f"category-{list(Category).index(category)}"


def _views(report: Report) -> Iterator[_View]:
    heat, nats = Heat.of(report), _kinds_of_nats(report)
    anchors = [f"{cell.nat_a}--{cell.nat_b}" for cell in report.cells]
    for index, cell in enumerate(report.cells):
        css = _css(cell, heat)
        kinds = [_kind(cell.category), nats[cell.nat_a], nats[cell.nat_b]]
        kinds += [] if cell.ok else ["wrong"]
        kinds += [f"round-{counted(cell.round)}"] if cell.round else []
        kinds += [cell.path] if cell.path else []
        nothing = cell.observed is Outcome.FAILED and cell.path != Kind.RELAYED
        kinds += ["failed"] if nothing else []
        yield _View(
            anchor=anchors[index],
            css=css,
            kinds=" ".join(f"is-{kind}" for kind in dict.fromkeys(kinds)),
            words=tuple(_words(cell)),
            pcap_href=quote(cell.pcap) if cell.pcap else None,
            previous=anchors[index - 1],
            next=anchors[(index + 1) % len(anchors)],
        )


def _words(cell: CellResult) -> Iterator[str]:
    """The lines in the matrix."""
    yield "broken" if cell.error is not None else short_end(cell)
    if cell.disagree:
        yield "RUNS DISAGREE"
    parts = [f"round{_NO_BREAK}{cell.round}"] if cell.round is not None else []
    parts += [f"{cell.timing.median:.1f}{_NO_BREAK}ms"] if cell.timing is not None else []
    if cell.program is None and cell.round is None and cell.path == Kind.DIRECT and cell.method:
        parts.append(cell.method)
    if parts:
        yield " · ".join(parts)
    if cell.observed is Outcome.FAILED or cell.category in {Category.MISSED, Category.GUESSED}:
        yield _SHORT[cell.category]
    if not cell.ok and cell.error is None and not cell.disagree:
        yield "check failed" if cell.is_as_predicted else f"not {cell.predicted}"


def _css(cell: CellResult, heat: Heat | None) -> str:
    if not cell.ok:
        return "wrong"
    if cell.observed is Outcome.FAILED and cell.category is not Category.FORBIDDEN:
        return "missed"
    if cell.path == Kind.RELAYED:
        return "relayed"
    if cell.observed is Outcome.FAILED:
        return "failed"
    if cell.round is None:  # of a program of which the lab knows no rounds
        return "round-1"
    if heat is not None and cell.timing is not None and cell.round == 1:
        return f"round-1 shade-{heat.shade(cell.timing.median)}"
    return f"round-{counted(cell.round)}"
