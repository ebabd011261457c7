"""The page of a report, read as a browser reads it."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

from natlab.evidence.result import CellResult, Report
from natlab.report.html import write_html
from tests.unit.natlab.cells import NASTY


class Page(HTMLParser):
    """Collects what the tests ask for."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.tags: list[str] = []
        self.loads: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.tags.append(tag)
        self.ids.update({values["id"]} if "id" in values else ())
        self.loads += [values[name] for name in ("src", "srcset", "data") if name in values]
        if tag == "a":
            self.links.append(values["href"])
        elif "href" in values:
            self.loads.append(values["href"])


def page(tmp_path: Path, *cells: CellResult) -> tuple[Page, str]:
    path = tmp_path / "index.html"
    write_html(Report({"machine": NASTY}, cells), path)
    text = path.read_text()
    return Page(text), text
