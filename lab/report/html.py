"""The report as one HTML file that needs no network and no script."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from lab.outcome import Outcome
from lab.report.ladder import ladder
from lab.report.words import faults, summary
from lab.result import CellResult, Report

_SHADES = 4
"""Steps of the heat map, from fast to slow."""


@dataclass(frozen=True, slots=True)
class _View:
    """What the template shows of one cell beyond the cell itself."""

    anchor: str
    css: str
    words: tuple[str, ...]
    pcap_href: str | None


def write_html(report: Report, path: Path) -> None:
    """Write `report` to `path`, one self-contained file. Links to pcaps are relative to it."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    shade = _shades(report)
    cells = {(cell.nat_a, cell.nat_b): cell for cell in report.cells}
    text = environment.get_template("index.html.j2").render(
        report=report,
        summary=summary(report),
        rows=list(dict.fromkeys(cell.nat_a for cell in report.cells)),
        columns=list(dict.fromkeys(cell.nat_b for cell in report.cells)),
        cells=cells,
        views={pair: _view(cell, shade) for pair, cell in cells.items()},
        ladder=ladder,
        faults=faults,
    )
    path.write_text(text, encoding="utf-8")


def _view(cell: CellResult, shade: dict[float, int]) -> _View:
    words = ["broken" if cell.error is not None else str(cell.observed)]
    if cell.round is not None:
        words.append(f"round {cell.round}")
    if cell.connect_ms is not None:
        words.append(f"{cell.connect_ms:.1f} ms")
    css = f"round-{cell.round}"
    if not cell.ok:
        css = "wrong"
        if cell.error is None:
            same = cell.observed is cell.predicted
            words.append("check failed" if same else f"not {cell.predicted}")
    elif cell.observed is Outcome.FAILED:
        css = "failed"
    elif cell.connect_ms is not None and cell.round == 1:
        css += f" shade-{shade[cell.connect_ms]}"
    return _View(
        anchor=f"{cell.nat_a}--{cell.nat_b}",
        css=css,
        words=tuple(words),
        pcap_href=quote(cell.pcap) if cell.pcap else None,
    )


def _shades(report: Report) -> dict[float, int]:
    """The step in the heat map of each time of round 1: even steps of its logarithm."""
    times = [
        cell.connect_ms for cell in report.cells if cell.connect_ms is not None and cell.round == 1
    ]
    logs = {time: math.log(max(time, 1e-3)) for time in times}
    low, high = min(logs.values(), default=0.0), max(logs.values(), default=0.0)
    width = (high - low) or 1.0
    return {
        time: min(_SHADES - 1, int((log - low) / width * _SHADES)) for time, log in logs.items()
    }
