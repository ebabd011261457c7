"""Two reports side by side: what counts as a change, and what as worse."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from natlab.cli.main import main
from natlab.cli.status import Exit
from natlab.evidence.category import Category
from natlab.evidence.result import CellResult, Report, merge
from natlab.presets import PRESETS
from natlab.report.compare import Change, compare, print_comparison
from natlab.report.files import write_report
from tests.unit.natlab.cells import BROKEN, WRONG_OUTCOME, cell

FAILED = replace(WRONG_OUTCOME, nat_b="none")


def broken() -> CellResult:
    return replace(BROKEN, nat_a="none")


@pytest.mark.parametrize(
    ("old", "new", "what", "worse"),
    [
        (cell(), cell(connect_ms=14.0), (), False),
        (cell(), cell(connect_ms=40.0), (), False),  # a single run: the scheduler's doing
        (cell(), cell(connect_ms=90.0), (), False),
        (cell(), cell(connect_ms=200.0), ("time",), False),
        (merge([cell(), cell()]), cell(connect_ms=40.0), (), False),
        (merge([cell(), cell()]), merge([cell(connect_ms=40.0)] * 2), ("time",), False),
        (cell(), cell(round=2), ("round",), False),
        (cell(), FAILED, ("outcome", "category"), True),
        (FAILED, cell(), ("outcome", "category"), False),
        (cell(), broken(), ("outcome", "category"), True),
        (FAILED, broken(), ("outcome", "category"), True),
        (FAILED, replace(FAILED, category=Category.FORBIDDEN), ("category",), False),
        (merge([cell(), cell()]), merge([cell(), FAILED]), ("outcome", "category"), True),
        (merge([cell(), FAILED]), cell(), ("outcome", "category"), False),
        (
            merge([cell(connect_ms=10.0), cell(connect_ms=90.0)]),
            merge([cell(connect_ms=80.0), cell(connect_ms=200.0)]),
            (),
            False,
        ),
        (None, cell(), ("new pair",), False),
        (cell(), None, ("not run",), True),
        (FAILED, None, ("not run",), True),
    ],
)
def test_change_is_named_and_judged(
    old: CellResult | None, new: CellResult | None, what: tuple[str, ...], worse: bool
) -> None:
    change = Change(old, new)
    assert (change.what, change.is_worse) == (what, worse)


def test_only_what_changed_is_told() -> None:
    old = Report({}, (cell(), cell("none", "symmetric"), cell("full-cone", "none")))
    new = Report({}, (cell(), WRONG_OUTCOME, cell("symmetric", "none")))
    assert [change.pair for change in compare(old, new)] == [
        ("none", "symmetric"),
        ("symmetric", "none"),
        ("full-cone", "none"),
    ]
    out = io.StringIO()
    print_comparison(old, new, Console(file=out))
    assert "WORSE: outcome" in out.getvalue()
    sums = "3 of 4 pairs changed, 2 for the worse: 1 of them are in the old report only"
    assert sums in out.getvalue()
    assert "median connect time over 1 pairs: 12.3 ms, now 12.3 ms" in out.getvalue()


def test_a_report_of_few_pairs_is_no_success_beside_one_of_many(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    all_pairs = tuple(cell(nat_a, nat_b) for nat_a in PRESETS for nat_b in PRESETS)
    for name, cells in (("all", all_pairs), ("few", all_pairs[:4])):
        (tmp_path / name).mkdir()
        write_report(Report({}, cells), tmp_path / name / "report.json")
    assert main(["compare", str(tmp_path / "all"), str(tmp_path / "few")]) == Exit.WORSE
    assert "32 of 36 pairs changed, 32 for the worse: 32 of" in capsys.readouterr().out
    assert main(["compare", str(tmp_path / "few"), str(tmp_path / "all")]) == Exit.OK
    assert "32 of 36 pairs changed, 0 for the worse" in capsys.readouterr().out


def test_exit_status_says_whether_an_outcome_got_worse(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad = tmp_path / "good", tmp_path / "bad"
    for directory, shown in ((good, cell()), (bad, FAILED)):
        directory.mkdir()
        write_report(Report({}, (shown,)), directory / "report.json")
    assert main(["compare", str(good), str(bad / "report.json")]) == Exit.WORSE
    assert main(["compare", str(bad), str(good)]) == Exit.OK
    assert "0 of 1 pairs changed" not in capsys.readouterr().out
    assert main(["compare", str(good), str(good)]) == Exit.OK
    assert "0 of 1 pairs changed, 0 for the worse" in capsys.readouterr().out
    assert main(["compare", str(good), str(tmp_path / "none")]) == Exit.UNAVAILABLE
    assert "error: cannot read" in capsys.readouterr().err
