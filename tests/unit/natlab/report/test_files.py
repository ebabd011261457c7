"""The report as files: JSON and its schema, JUnit XML, Markdown; several runs as one result."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from jsonschema import Draft202012Validator
from rich.console import Console

from natlab.errors import LabError
from natlab.evidence.category import Category
from natlab.evidence.check import Check
from natlab.evidence.journey import Fate
from natlab.evidence.packet_records import PacketRecord
from natlab.evidence.result import Case, CellResult, Report, RunResult, Timing, conclude, merge
from natlab.oracle.outcome import Outcome
from natlab.report.files import read_report, write_files, write_report
from natlab.report.junit import junit
from natlab.report.markdown import markdown
from natlab.report.table import print_table
from natlab.report.words import ends, faults, spread, summary
from tests import ROOT
from tests.unit.natlab.cells import BROKEN, NASTY, WRONG_CHECK, WRONG_OUTCOME, cell
from tests.unit.natlab.scenes import connected, failed, swapped

SCHEMA: dict[str, Any] = json.loads((ROOT / "docs/report.schema.json").read_text())
FAILED = replace(WRONG_OUTCOME, reason="nat_b dropped it")


def test_report_is_read_as_it_was_written(tmp_path: Path) -> None:
    report = Report({"date": "2026-01-01"}, (cell(), WRONG_OUTCOME, WRONG_CHECK, BROKEN))
    write_report(report, tmp_path / "report.json")
    assert read_report(tmp_path / "report.json") == report
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]


def test_json_has_the_names_that_readers_rely_on(tmp_path: Path) -> None:
    write_report(Report({}, (cell(),)), tmp_path / "report.json")
    (values,) = json.loads((tmp_path / "report.json").read_text())["cells"]
    assert {name: values[name] for name in ("nat_a", "nat_b", "topology")} == {
        "nat_a": "none",
        "nat_b": "none",
        "topology": "two_nats",
    }
    assert (values["predicted"], values["observed"]) == ("connected", "connected")
    assert (values["method"], values["round"]) == ("ordered-hello", 1)
    assert (values["connect_ms"], values["pcap"]) == (12.345, "pcap/none--none.pcapng")
    assert values["rules"] == {"nat_a": "*nat"}
    first, *_ = values["hellos"]
    assert {name: first[name] for name in ("t", "from", "to", "round", "fate", "step")} == {
        "t": 0.0,
        "from": "host_a",
        "to": "host_b",
        "round": 1,
        "fate": "dropped",
        "step": 1,
    }


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"format": 3, "header": {}, "cells": [{"nat_a": "none"}]}']
)
def test_file_that_is_no_report_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "report.json"
    path.write_text(text)
    with pytest.raises(LabError, match="is no report"):
        read_report(path)


def repeated() -> CellResult:
    return merge([cell(connect_ms=3.0), cell(connect_ms=1.0), cell(connect_ms=2.0)])


def every_kind() -> Report:
    """Cells observed from packets, and the kinds that packets do not make."""
    observed = (
        conclude(
            Case.of("port-restricted-cone", "port-restricted-cone", "two_nats"), connected().trace()
        ),
        conclude(
            Case.of("port-restricted-cone", "linux-masquerade", "two_nats"), swapped().trace()
        ),
        conclude(Case.of("symmetric", "symmetric", "two_nats"), failed().trace()),
    )
    twice = replace(repeated(), nat_a="full-cone")
    return Report({"date": "2026-01-01"}, (*observed, cell(), twice, WRONG_CHECK, BROKEN))


def test_every_file_is_written(tmp_path: Path) -> None:
    write_files(every_kind(), tmp_path)
    names = {"report.json", "index.html", "junit.xml", "summary.md"}
    assert {path.name for path in tmp_path.iterdir()} == names
    assert read_report(tmp_path) == every_kind()


def test_report_of_another_format_or_none_is_refused(tmp_path: Path) -> None:
    write_report(every_kind(), tmp_path / "report.json")
    text = (tmp_path / "report.json").read_text()
    (tmp_path / "report.json").write_text(text.replace('"format": 3', '"format": 1'))
    with pytest.raises(LabError, match="has format 1, this lab reads 2 and 3"):
        read_report(tmp_path)
    with pytest.raises(LabError, match=r"cannot read .*; name the directory of a report"):
        read_report(tmp_path / "nothing.json")
    (tmp_path / "notes.txt").write_text("no report")
    with pytest.raises(LabError, match=r"notes.txt is no report of this lab; name the directory"):
        read_report(tmp_path / "notes.txt")


def test_report_that_called_the_round_attempt_and_told_no_cause_is_still_read(
    tmp_path: Path,
) -> None:
    path = tmp_path / "report.json"
    write_report(every_kind(), path)
    content = json.loads(path.read_text())
    content["format"] = 2
    for values in content["cells"]:
        del values["cause"]
        for record in (*values["hellos"], *values["packets"]):
            if "round" in record:
                record["attempt"] = record.pop("round")
    path.write_text(json.dumps(content))
    expected = [replace(cell, cause="") for cell in every_kind().cells]
    assert list(read_report(path).cells) == expected


def test_schema_admits_a_report_of_every_kind_of_cell(tmp_path: Path) -> None:
    Draft202012Validator.check_schema(SCHEMA)
    write_report(every_kind(), tmp_path / "report.json")
    Draft202012Validator(SCHEMA).validate(json.loads((tmp_path / "report.json").read_text()))


def test_schema_refuses_what_no_report_holds(tmp_path: Path) -> None:
    write_report(every_kind(), tmp_path / "report.json")
    content = json.loads((tmp_path / "report.json").read_text())
    validator = Draft202012Validator(SCHEMA)
    for name, value in (("observed", "maybe"), ("category", "fine"), ("news", 1), ("round", 0)):
        wrong = {**content, "cells": [{**content["cells"][0], name: value}]}
        assert not validator.is_valid(wrong), name
    del content["cells"][0]["category"]
    assert not validator.is_valid(content)


@pytest.mark.parametrize(
    ("definition", "class_", "renamed"),
    [
        ("cell", CellResult, {}),
        ("packet", PacketRecord, {"sender": "from", "receiver": "to"}),
        ("run", RunResult, {}),
        ("timing", Timing, {}),
        ("check", Check, {}),
    ],
)
def test_schema_has_every_field(
    definition: str, class_: type[Any], renamed: Mapping[str, str]
) -> None:
    known = {renamed.get(field.name, field.name) for field in fields(class_)}
    computed = {"ok", "timing"} if class_ is CellResult else set()
    assert set(SCHEMA["$defs"][definition]["properties"]) == known | computed


@pytest.mark.parametrize(
    ("definition", "terms"), [("outcome", Outcome), ("category", Category), ("fate", Fate)]
)
def test_schema_has_every_term(definition: str, terms: type[Outcome | Category | Fate]) -> None:
    defs = SCHEMA["$defs"]
    terms_there = {**defs, "fate": defs["packet"]["properties"]["fate"]}[definition]["enum"]
    assert terms_there == list(terms)


def test_runs_of_a_pair_become_one_result_with_their_distribution() -> None:
    result = repeated()
    assert (result.connect_ms, result.ok, result.disagree) == (2.0, True, False)
    assert result.timing == Timing(1.0, 2.0, 3.0, (3.0, 1.0, 2.0))
    assert spread(result.timing) == "1.0 / 2.0 / 3.0 ms"
    assert ends(result) == "connected in round 1 (3 of 3)"
    assert merge([cell()]) == cell()


@pytest.mark.parametrize(
    ("odd", "told"),
    [
        (WRONG_OUTCOME, "connected in round 1 (2 of 3), failed (1 of 3)"),
        (cell(round=2), "connected in round 1 (2 of 3), connected in round 2 (1 of 3)"),
        (BROKEN, "connected in round 1 (2 of 3), broken (1 of 3)"),
    ],
)
def test_runs_that_disagree_are_loud(odd: CellResult, told: str) -> None:
    result = merge([cell(), odd, cell()])
    assert result.disagree
    assert not result.ok
    assert faults(result)[0] == f"its runs disagree: {told}"
    assert "1 WITH RUNS THAT DISAGREE" in summary(Report({}, (result,)))
    assert "its runs disagree" in markdown(Report({}, (result,)))
    problem = ElementTree.fromstring(junit(Report({}, (result,)))).find(".//testcase/*[@message]")
    assert problem is not None


def test_the_run_that_is_not_ok_is_shown() -> None:
    assert merge([cell(), WRONG_CHECK]).checks == WRONG_CHECK.checks
    failed_alike = merge([FAILED, FAILED])
    assert (failed_alike.disagree, failed_alike.timing) == (False, None)


def test_junit_has_a_case_for_each_pair_and_says_what_is_wrong() -> None:
    nasty = cell("none", "symmetric", checks=(Check("c", False, f"\x1b\x00{NASTY}"),))
    root = ElementTree.fromstring(junit(Report({"date": "2026"}, (cell(), nasty, FAILED, BROKEN))))
    (suite,) = root
    assert suite.tag == "testsuite"
    assert [suite.get(name) for name in ("tests", "failures", "errors")] == ["4", "2", "1"]
    cases = suite.findall("testcase")
    assert [case.get("name") for case in cases][:2] == ["none x none", "none x symmetric"]
    assert [
        [child.tag for child in case if child.tag in ("failure", "error")] for case in cases
    ] == [
        [],
        ["failure"],
        ["failure"],
        ["error"],
    ]
    failure, told = cases[1].find("failure"), cases[2].find("failure")
    assert failure is not None
    assert failure.get("message") == f"not so: c (\ufffd\ufffd{NASTY})"
    assert told is not None
    assert told.get("message") == "observed failed, predicted connected"
    assert told.get("type") == "the program could have and did not"


def test_markdown_shows_the_matrix_and_what_is_not_as_it_should_be() -> None:
    text = markdown(Report({}, (cell(), repeated(), FAILED, WRONG_CHECK, BROKEN)))
    assert "| A \\\\ B | none | symmetric | full-cone |" in text
    assert "1.0 / 2.0 / 3.0 ms" in text
    assert "❌ **failed**" in text
    assert "- **none × symmetric**: observed failed, predicted connected" in text
    assert "nat\\_b dropped it" in text


def test_markdown_acts_on_nothing_that_was_measured() -> None:
    text = markdown(Report({}, (WRONG_CHECK, replace(BROKEN, error="a|b\n# c"))))
    assert "<script>" not in text
    assert "a\\|b \\# c" in text


def test_every_form_of_the_report_tells_what_the_links_were(tmp_path: Path) -> None:
    told = "NATs to internet by netem: delay 5 ms (the default)"
    report = Report({"links": told}, (cell(),))
    write_files(report, tmp_path)
    terminal = io.StringIO()
    print_table(report, Console(file=terminal, width=120))
    assert told in terminal.getvalue()
    for name in ("index.html", "report.json", "junit.xml", "summary.md"):
        assert told in (tmp_path / name).read_text().replace("\\", ""), name


def test_a_report_from_before_the_words_about_guessing_is_read(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    write_report(Report({}, (replace(FAILED, category=Category.FORBIDDEN),)), path)
    path.write_text(path.read_text().replace(" without guessing ports", ""))
    assert read_report(path).cells[0].category is Category.FORBIDDEN
