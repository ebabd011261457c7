"""The replay of a cell for the report: its steps as JSON for the script, and as anchors for readers without. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass

from markupsafe import Markup

from natlab.evidence.journey import HOMES
from natlab.evidence.result import CellResult
from natlab.report.steps import Line, Step, steps_of


@dataclass(frozen=True, slots=True)
class Replay:
    """The steps of one cell. `anchor` is the cell's."""

    anchor: str
    steps: tuple[Step, ...]

    def place(self, step: Step) -> str:
        """The anchor of a moment: ``none--symmetric@12.3``, in milliseconds."""
        return f"{self.anchor}@{step.t * 1000:.1f}"

    @property
    def data(self) -> Markup:
        """All of it as JSON that may stand in a page. Tables that several steps share are there once."""
        tables: dict[tuple[Line, ...], int] = {}
        steps = [
            {
                "t": round(step.t * 1000, 1),
                "row": step.row,
                "from": step.start,
                "to": step.end,
                "fate": step.fate,
                "what": step.what,
                "text": step.sentence,
                "tables": [tables.setdefault(step.tables[home.nat], len(tables)) for home in HOMES],
            }
            for step in self.steps
        ]
        found = {
            "steps": steps,
            "tables": [
                [[line.inside, line.outside, line.towards, line.admits] for line in table]
                for table in tables
            ],
        }
        text = json.dumps(found, ensure_ascii=False, separators=(",", ":"))
        # Nothing in it may end the element, or begin a comment (HTML, "restrictions for contents of script").
        for sign in "<>&":
            text = text.replace(sign, f"\\u{ord(sign):04x}")
        return Markup(text)  # noqa: S704 - no sign of HTML is left in it


def replay_of(cell: CellResult, anchor: str) -> Replay | None:
    """None where there is nothing to tell."""
    steps = steps_of(cell)
    return Replay(anchor, steps) if steps else None
