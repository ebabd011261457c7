"""The history of benchmarks grows by rows, and its page says what the rows say."""

from __future__ import annotations

import dataclasses
from dataclasses import replace
from pathlib import Path

import pytest

from natlab.bench.rows import Measured, Medians
from natlab.cli import bench_history
from natlab.cli.bench_history import Row
from natlab.cli.bench_lab import PAIRS
from natlab.errors import LabError
from tests import ROOT

OLD = Row(
    "2026-01-31",
    "abc1234",
    "a processor, 2 processors",
    "6.1",
    "3.11.2",
    2.0,
    {"none, none": 1.25},
    None,
)
NEW = Row("2026-02-01", "?", "another", "6.12", "3.13.1", 1.5, {"none, symmetric": 0.5}, 1.2)


def test_rows_are_appended_and_the_page_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "history.json"
    for row in (OLD, NEW):
        bench_history.append(path, row)
    assert bench_history.read(path) == [OLD, NEW]
    table = [
        line.strip("| ").split(" | ")
        for line in (tmp_path / "history.md").read_text().splitlines()
        if line.startswith("|")
    ]
    assert table[0][2:5] == ["network none, none", "network none, symmetric", "forwarding"]
    assert table[2] == ["2026-02-01", "?", "", "0.50", "1.20", "1.5", "another", "6.12", "3.13.1"]
    assert table[3][:5] == ["2026-01-31", "abc1234", "1.25", "", ""]
    assert len(table) == 4


@pytest.mark.parametrize("text", ["{", "[1]", '[{"date": "2026-01-31"}]'])
def test_a_file_that_holds_something_else_is_left_alone(text: str, tmp_path: Path) -> None:
    path = tmp_path / "history.json"
    path.write_text(text)
    with pytest.raises(LabError, match=r"history\.json holds no history of benchmarks"):
        bench_history.append(path, OLD)
    assert path.read_text() == text


def test_a_row_says_what_was_measured_where() -> None:
    row = bench_history.row_now({"none, none": 1.23456}, None)
    assert (row.network, row.forwarding) == ({"none, none": 1.23}, None)
    assert all(dataclasses.astuple(row)[:5])


def test_the_page_of_this_checkout_is_made_from_its_history() -> None:
    path = ROOT / "docs" / "benchmarks.json"
    rows = bench_history.read(path)
    assert rows
    assert path.with_suffix(".md").read_text("utf-8") == bench_history.page(rows, path.name)
    assert rows == sorted(rows, key=lambda row: row.date)
    assert set(rows[-1].network) <= {", ".join(pair) for pair in PAIRS}


MEDIANS = Medians(1000.4, 0.0, 12.3456, 20.0, 1.0, 2.5, 1.0)
MANY = replace(MEDIANS, flows=200, slowest=1.25)


def test_shares_of_one_run_meet_in_one_row_and_are_shown_in_full(tmp_path: Path) -> None:
    path = tmp_path / "history.json"
    first = bench_history.row_now(
        {"none, none": 1.0}, 2.5, [Measured("a", "Row A", {"sealed": MEDIANS})]
    )
    second = bench_history.row_now(
        {}, None, [Measured("b", "Row B", {"socat": MANY})], {4000: 2**20}
    )
    for row in (OLD, first, second):
        bench_history.append(path, row)
    _, both = bench_history.read(path)
    assert (both.network, both.forwarding) == ({"none, none": 1.0}, 2.5)
    assert list(both.rows) == ["Row A", "Row B"]
    page = path.with_suffix(".md").read_text()
    assert "| Row A | sealed | 1,000 | 2.50 | 0.00% | 12 | 20 | 1.0 |  |" in page
    assert "| Row B | socat | 1,000 | 2.50 | 0.00% | 12 | 20 | 1.0 | 1.25 x |" in page
    assert "1.0 MiB with 4,000 flows" in page
