"""The scoreboard's table says what its trials measured, and a run that was ended goes on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from natlab.errors import LabError
from natlab.evidence.category import Category
from natlab.evidence.check import LINKS_KEPT, Check
from natlab.evidence.result import CellResult
from natlab.matrix.matrix import Plan
from natlab.testbed.program_file import ByExchange, read_program_file
from scoreboard import collect as collecting
from scoreboard.collect import Which
from scoreboard.pages import as_json, markdown, page
from scoreboard.results import Kept, Row, read_kept, row_of, write_kept
from scoreboard.rivals import RIVALS, Rival
from scoreboard.table import AFTER_FAULT, Entry, line_of
from scoreboard.trials import GROUPS, PRESET_PAIRS, placed

PRESETS = next(group for group in GROUPS if group.name == PRESET_PAIRS)


def row(nat_b: str, path: str | None, first: float | None = None, **more: object) -> Row:
    return replace(Row("presets", "none", nat_b, path, first_ms=first, packets=4), **more)  # type: ignore[arg-type]


def entry(*rows: Row) -> Entry:
    return Entry("other", "1.2", "PyPI", "nothing", "run it", rows, {})


def test_a_line_counts_paths_and_takes_times_of_pairs_of_presets_alone() -> None:
    line = line_of(
        entry(
            row("none", "direct", 100.0, packets=2),
            row("full-cone", "direct", 300.0, packets=6),
            row("symmetric", "relayed", 900.0, packets=10),
            row("restricted-cone", "none", packets=500),
            row("cgnat", "direct", 7000.0, group="carrier"),
        )
    )
    assert (line.paths, line.of) == ({"direct": 2, "relayed": 1, "none": 1}, 4)
    assert (line.first_median, line.first_worst, line.packets) == (300.0, 900.0, 6)


def test_a_broken_trial_counts_for_nothing_and_is_told() -> None:
    line = line_of(entry(row("none", "direct", 100.0), row("full-cone", None, error="no room")))
    assert (line.of, line.paths["none"], line.broken) == (1, 0, 1)


def test_a_trial_without_a_path_after_the_fault_is_not_left_out() -> None:
    rebooted = next(group for group in GROUPS if group.name == "nat-reboot")
    handed_over = next(group for group in GROUPS if group.name == "hand-over")
    told = (
        {"path": "direct", "recovery_ms": 12.0},
        {"path": "none", "reason": f"Nothing for 9 s {AFTER_FAULT}."},
        {"path": "none", "reason": "It did not come within 9 s."},
    )
    rows = [
        replace(Row("nat-reboot", *pair, None), **words)  # type: ignore[arg-type]
        for pair, words in zip(rebooted.pairs, told, strict=True)
    ]
    rows.append(Row("hand-over", *handed_over.pairs[1], None, error="no room\nfor it"))
    page_text = markdown([entry(*rows)])
    assert "| other | 12 ms, not, no path | –, broken, – |" in page_text
    assert "| other | hand-over: full-cone × symmetric | no room for it |" in page_text


def test_the_load_and_the_time_of_all_trials_are_told() -> None:
    rows = [
        row("none", "direct", ended="2026-11-29T18:40+00:00", load=9.0, jobs=2),
        row("symmetric", "direct", ended="2026-11-29T18:05+00:00", load=2.0, jobs=4),
    ]
    machine = {"kernel": "6.18", "processors": "2"}
    assert (
        "2026-11-29T18:05+00:00 to 2026-11-29T18:40+00:00, Linux 6.18, 2 processors, load 2 to 9, median 5.5,"
        " at most 4 trials at a time" in markdown([replace(entry(*rows), header=machine)])
    )


def test_a_rival_that_cannot_run_is_told_with_its_reason() -> None:
    absent = Entry("absent", None, "npm", "nothing", "run it", None, {}, "npm has none <here>")
    told = [absent, entry(row("none", "direct", 1.0))]
    assert "| absent | npm has none <here> |" in markdown(told)
    assert "npm has none &lt;here&gt;" in page(told)
    assert '"reason": "npm has none <here>"' in as_json(told)


def cell(pair: tuple[str, str], *checks: Check) -> CellResult:
    return CellResult(
        *pair, "two_nats", None, None, path="direct", checks=checks, entries={"nat_a": 2, "nat_b": 3},
        category=Category.AS_PREDICTED,
    )  # fmt: skip


def test_late_links_are_told_and_any_other_failed_check_breaks_the_trial() -> None:
    late = row_of("presets", cell(("none", "none"), Check(LINKS_KEPT, False, "1 ms late")))
    assert (late.path, late.late, late.error, late.entries) == ("direct", True, None, 5)
    untrue = row_of("presets", cell(("none", "none"), Check("the packets", False, "show nothing")))
    assert (untrue.path, untrue.error) == (None, "the packets: show nothing")


@pytest.mark.parametrize("rival", RIVALS, ids=lambda rival: rival.name)
def test_every_rival_has_a_program_file_that_fits_every_place(rival: Rival) -> None:
    file = read_program_file(rival.file)
    assert isinstance(file.success, ByExchange)
    assert rival.digest
    for group in GROUPS:
        found = placed(file, group)
        assert len(found.faults) == len(group.faults)
    assert (file.within, file.settle) == (90, 20), "all have the same time"
    same = placed(file, next(group for group in GROUPS if group.nodes))
    assert [peer.node for peer in same.peers] == ["host_a1", "host_a2"]
    assert same.between == ("host_a1", "host_a2")


@pytest.fixture
def ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Sequence[tuple[str, str]]]:
    """The pairs of each run of the matrix, which is ended after its second trial."""
    runs: list[Sequence[tuple[str, str]]] = []

    def run_matrix(plan: Plan, done: Callable[[CellResult], None]) -> None:
        runs.append(plan.pairs)
        for pair in plan.pairs[:2]:
            done(cell(pair))
        raise KeyboardInterrupt

    monkeypatch.setattr(collecting, "HOME", tmp_path)
    monkeypatch.setattr(collecting, "run_matrix", run_matrix)
    return runs


def collect(version: str = "1", **how: Any) -> None:
    with pytest.raises(KeyboardInterrupt):
        collecting.collect(RIVALS[0], version, PRESETS, 1, lambda _: None, **how)


def test_a_run_that_was_ended_goes_on_with_what_is_missing(
    ran: list[Sequence[tuple[str, str]]],
) -> None:
    collect()
    collect()
    collect(version="2")
    collect(version="2", which=Which.ALL)
    collect(version="2", most=3)
    assert [len(pairs) for pairs in ran] == [36, 34, 36, 36, 3]
    kept = read_kept(collecting.results_file(RIVALS[0]))
    assert kept is not None
    assert (kept.version, [each.key[1:] for each in kept.rows]) == ("2", list(PRESETS.pairs[:4]))
    assert [
        each for each in kept.rows if not (each.ended and each.load is not None and each.jobs == 1)
    ] == []


def test_what_ran_with_late_links_is_run_anew_if_one_wants(
    ran: list[Sequence[tuple[str, str]]],
) -> None:
    collect()
    path = collecting.results_file(RIVALS[0])
    kept = read_kept(path)
    assert kept is not None
    write_kept(replace(kept, rows=(kept.rows[0], replace(kept.rows[1], late=True))), path)
    collect()
    collect(which=Which.LATE)
    assert [pairs[0] == PRESETS.pairs[1] for pairs in ran] == [False, False, True]


def test_a_file_that_holds_no_results_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "results" / "x.json"
    write_kept(Kept("x", "1", "d", {}, (row("none", "direct", 1.0),)), path)
    assert read_kept(path) is not None
    path.write_text("[]", encoding="utf-8")
    with pytest.raises(LabError, match="remove it"):
        read_kept(path)
