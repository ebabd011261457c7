"""The report as JUnit XML: a test case for each pair of NATs. Pure."""

from __future__ import annotations

import re
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from natlab.evidence.result import CellResult, Report
from natlab.report.words import ends, faults

_NOT_IN_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(report: Report) -> str:
    """One suite. A broken cell is an error, one that is not as it should be a failure."""
    broken = sum(cell.error is not None for cell in report.cells)
    suite = Element(
        "testsuite",
        name="nat-lab",
        tests=str(len(report.cells)),
        errors=str(broken),
        failures=str(sum(not cell.ok for cell in report.cells) - broken),
        skipped="0",
        time=f"{sum(map(_seconds, report.cells)):.3f}",
    )
    _properties(suite, {name: value for name, value in report.header.items() if name != "date"})
    if "date" in report.header:
        suite.set("timestamp", report.header["date"])
    for cell in report.cells:
        _case(suite, cell)
    root = Element("testsuites")
    root.append(suite)
    indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + tostring(root, encoding="unicode") + "\n"


def _case(suite: Element, cell: CellResult) -> None:
    name = f"{cell.nat_a} x {cell.nat_b}"
    case = SubElement(
        suite, "testcase", classname=f"lab.{cell.topology}", name=name, time=f"{_seconds(cell):.3f}"
    )
    told: dict[str, str] = {"end": ends(cell), "category": cell.category}
    if cell.predicted is not None:
        told["predicted" if cell.program is None else "possible"] = cell.predicted
    if cell.timing is not None:
        told["connect_ms"] = f"{cell.timing.median:.3f}"
    _properties(case, told)
    if not cell.ok:
        lines = faults(cell)
        kind = "failure" if cell.error is None else "error"
        problem = SubElement(case, kind, message=_clean(lines[0]), type=cell.category)
        problem.text = _clean("\n".join(lines))
    if cell.explanation:
        SubElement(case, "system-out").text = _clean(cell.explanation)


def _properties(parent: Element, values: dict[str, str]) -> None:
    properties = SubElement(parent, "properties")
    for name, value in values.items():
        SubElement(properties, "property", name=name, value=_clean(value))


def _seconds(cell: CellResult) -> float:
    return sum(run.seconds or 0.0 for run in cell.every_run)


def _clean(text: str) -> str:
    return _NOT_IN_XML.sub("\N{REPLACEMENT CHARACTER}", text)
