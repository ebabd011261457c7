"""The files of a real run: one pair, twice."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import pytest

from natlab.evidence.result import CellResult
from natlab.matrix.matrix import Plan, run_matrix
from natlab.report.files import read_report
from tests import ROOT, schema

SCHEMA = ROOT / "docs/report.schema.json"
PAIR = ("port-restricted-cone", "none")


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("lab") / "report"
    done: list[CellResult] = []
    report = run_matrix(Plan([PAIR], 2, directory, repeat=2), done.append)
    assert len(done) == 2
    assert report.ok, report.cells
    return directory


def test_report_keeps_to_its_published_schema(directory: Path) -> None:
    content = json.loads((directory / "report.json").read_text())
    schema.check(content, json.loads(SCHEMA.read_text()))
    (cell,) = content["cells"]
    assert len(cell["runs"]) == len(cell["timing"]["values"]) == 2
    assert len({run["pcap"] for run in cell["runs"]}) == 2
    assert [run for run in cell["runs"] if not (directory / run["pcap"]).is_file()] == []


def test_every_hello_passed_both_sides_of_each_nat_on_its_way(directory: Path) -> None:
    (cell,) = read_report(directory).cells
    arrived = [hello for hello in cell.hellos if hello.arrived is not None]
    assert arrived
    for hello in arrived:
        points = ["host_a-eth0", "nat_a-lan", "nat_a-wan", "nat_b-wan", "nat_b-lan", "host_b-eth0"]
        assert list(hello.seen) == (points if hello.sender == "host_a" else points[::-1])
        assert list(hello.seen.values()) == sorted(hello.seen.values())


def test_tshark_shows_interface_and_comment_of_every_hello(directory: Path) -> None:
    (cell,) = read_report(directory).cells
    assert cell.pcap is not None
    command = ["tshark", "-r", str(directory / cell.pcap), "-Y", "frame.comment contains HELLO"]
    command += ["-T", "fields", "-e", "frame.interface_name", "-e", "frame.comment"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    expected = Counter(
        f"{point}\tHELLO round={hello.round} step={hello.step} copy={hello.copy} "
        f"{hello.sender} to {hello.receiver}: {hello.fate}"
        for hello in cell.hellos
        for point in hello.seen
        if hello.arrived is not None
    )
    assert expected
    assert Counter(line for line in shown if line.endswith("delivered")) == expected
    assert len(shown) == sum(len(hello.seen) for hello in cell.hellos)


def test_junit_and_markdown_are_there(directory: Path) -> None:
    suite = ElementTree.parse(directory / "junit.xml").getroot().find("testsuite")
    assert suite is not None
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("1", "0", "0")
    assert "1 of 1 cells as predicted" in (directory / "summary.md").read_text()
