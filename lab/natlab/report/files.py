"""The report as files: `report.json`, which can be read back, and what people and CI look at.

`docs/report.schema.json` describes `report.json`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from natlab.errors import LabError
from natlab.evidence.category import Category
from natlab.evidence.check import Check
from natlab.evidence.journey import Fate
from natlab.evidence.packet_records import PacketRecord
from natlab.evidence.result import CellResult, Report, RunResult
from natlab.oracle.outcome import Outcome
from natlab.report.html import write_html
from natlab.report.junit import junit
from natlab.report.markdown import markdown

FORMAT = 3
"""Of `report.json`: counts up when a reader of the old form would be misled."""
ROUND_WAS_ATTEMPT = 2
"""The form that called a packet's round ``attempt``, and told no cause at first; it is read too."""
JSON_FILE = "report.json"
HTML_FILE = "index.html"
JUNIT_FILE = "junit.xml"
MARKDOWN_FILE = "summary.md"


def write_files(report: Report, directory: Path) -> None:
    """Write every form of `report` into `directory`. Raises `LabError` if that cannot be."""
    try:
        write_report(report, directory / JSON_FILE)
        write_html(report, directory / HTML_FILE)
        (directory / JUNIT_FILE).write_text(junit(report), encoding="utf-8")
        (directory / MARKDOWN_FILE).write_text(markdown(report), encoding="utf-8")
    except OSError as error:
        raise LabError(f"cannot write the report to {directory}: {error.strerror}") from None


def write_report(report: Report, path: Path) -> None:
    """Write `report.json`. Replaces the file only when the new one is complete."""
    content = {
        "format": FORMAT,
        "header": dict(report.header),
        "ok": report.ok,
        "cells": [_cell_to_json(cell) for cell in report.cells],
    }
    unfinished = path.with_suffix(".json.part")
    unfinished.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    unfinished.replace(path)


_NAME_IT = f"name the directory of a report, or the {JSON_FILE} in it"


def read_report(path: Path) -> Report:
    """Read what `write_report` wrote, from the file or the directory that holds it.

    Raises `LabError` if there is no such report, or one in another format.
    """
    path = path / JSON_FILE if path.is_dir() else path
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] == ROUND_WAS_ATTEMPT:
            _bring_up_to_date(content)
        elif content["format"] != FORMAT:
            known = f"{ROUND_WAS_ATTEMPT} and {FORMAT}"
            raise LabError(f"{path} has format {content['format']}, this lab reads {known}")
        return Report(content["header"], tuple(map(_cell_from_json, content["cells"])))
    except OSError as error:
        raise LabError(f"cannot read {path}: {error.strerror}; {_NAME_IT}") from error
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise LabError(f"{path} is no report of this lab; {_NAME_IT}") from error


_JSON_NAMES = {"sender": "from", "receiver": "to"}


def _bring_up_to_date(content: Mapping[str, Any]) -> None:
    for cell in content["cells"]:
        cell.setdefault("cause", "")
        for record in (*cell["hellos"], *cell["packets"]):
            if "attempt" in record:
                record["round"] = record.pop("attempt")


def _record_to_json(record: Mapping[str, Any]) -> dict[str, Any]:
    values = {_JSON_NAMES.get(name, name): value for name, value in record.items()}
    return {name: value for name, value in values.items() if value is not None}


def _record_from_json(values: Mapping[str, Any]) -> PacketRecord:
    known: dict[str, Any] = {
        name: values.get(_JSON_NAMES.get(name, name)) for name in _names(PacketRecord)
    }
    return PacketRecord(**{**known, "fate": Fate(values["fate"])})


def _cell_to_json(cell: CellResult) -> dict[str, Any]:
    values = asdict(cell)
    for records in ("hellos", "packets"):
        values[records] = list(map(_record_to_json, values[records]))
    timing = cell.timing
    return {**values, "timing": timing and asdict(timing), "ok": cell.ok}


def _cell_from_json(values: Mapping[str, Any]) -> CellResult:
    # Fields that reports of this format have only had since, and have a default for.
    known = {name: values[name] for name in _names(CellResult) if name in values}
    return CellResult(
        **{
            **known,
            "predicted": _outcome(values["predicted"]),
            "observed": _outcome(values["observed"]),
            "category": Category(values["category"]),
            "hellos": tuple(map(_record_from_json, values["hellos"])),
            "packets": tuple(map(_record_from_json, values["packets"])),
            "checks": tuple(Check(**check) for check in values["checks"]),
            "endpoints": tuple(values.get("endpoints", ())),
            "runs": tuple(map(_run_from_json, values["runs"])),
        }
    )


def _run_from_json(values: Mapping[str, Any]) -> RunResult:
    known = {name: values[name] for name in _names(RunResult) if name in values}
    observed, category = _outcome(values["observed"]), Category(values["category"])
    return RunResult(**{**known, "observed": observed, "category": category})


def _outcome(value: str | None) -> Outcome | None:
    return None if value is None else Outcome(value)


def _names(class_: type[PacketRecord | CellResult | RunResult]) -> list[str]:
    return [field.name for field in fields(class_)]
