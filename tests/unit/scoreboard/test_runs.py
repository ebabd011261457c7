"""Many runs of each pair: what is missing is run, in turn, and the tables say what was measured."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from natlab.errors import LabError
from natlab.evidence.category import Category
from natlab.evidence.result import CellResult
from natlab.matrix.matrix import Plan
from scoreboard import runs
from scoreboard.results import Row
from scoreboard.runs_page import AIOICE, NINE_PAIRS, OURS, Place, Trial, markdown

PAIR = ("EIM+APDF", "APDM+APDF")
PLACE = Place(NINE_PAIRS, "the nine behaviours", [PAIR], "5ms", "R = 50 ms", "regions")
SAID = ("not JSON", '{"event": "path-established", "method": "relay"}')
MOVED = '{"event": "path-moved", "method": "prediction"}'


def trial(program: str, number: int, path: str, final: float, **more: Any) -> Trial:
    row = Row(NINE_PAIRS, *PAIR, path, first_ms=100.0 * number, ended="2026-11-29T18:00", load=3.0)
    return Trial(
        program, number, replace(row, **more), final, "relay" if path == "relayed" else None
    )


def cell(pair: tuple[str, str], *said: str) -> CellResult:
    return CellResult(
        *pair, "regions", None, None, path="direct", final_path_ms=7.0, programs={"a": "\n".join(said)},
        category=Category.AS_PREDICTED,
    )  # fmt: skip


def test_the_rung_is_that_of_the_path_which_the_packets_show() -> None:
    assert runs.rung_of(cell(PAIR, *SAID, MOVED)) == "prediction"
    assert runs.rung_of(cell(PAIR, MOVED, *SAID)) == "prediction", "a relayed path stands by"
    assert runs.rung_of(replace(cell(PAIR, *SAID, MOVED), path="relayed")) == "relay"
    assert runs.rung_of(cell(PAIR, "connected")) is None


def test_the_tables_have_median_and_worst_of_both_programs_and_count_rungs_that_differ() -> None:
    own = [trial(OURS, number, "relayed", 1000.0 * number) for number in (1, 2, 3)]
    own.append(replace(trial(OURS, 4, "direct", 9000.0), rung="low-ttl"))
    broken = replace(trial(OURS, 5, "", 0.0, error="no\nroom"), rung=None)
    other = [trial(AIOICE, 1, "direct", 50.0)]
    text = markdown([PLACE], [*own, broken, *other], {OURS: "1.0", AIOICE: "2.0"})
    assert "nat_traversal 1.0, aioice 2.0. 6 trials" in text
    assert "- nat_traversal, EIM+APDF × APDM+APDF: no room" in text
    times = "250 ms | 400 ms | 2.5 s | 9.0 s"
    aioice = "100 ms | 100 ms | 50 ms | 50 ms"
    assert f"| `relay` | 1 | 4 | {times} | 1, 0, 0 | {aioice} |" in text
    row = f"| 4 | relay 3, low-ttl 1 | {times} | 1 | direct | {aioice} |"
    assert f"| `{PAIR[0]}` | `{PAIR[1]}` {row}" in text


@pytest.fixture
def ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Sequence[object]]]:
    """The program and the pairs of each run of the matrix."""
    found: list[tuple[str, Sequence[object]]] = []

    def run_matrix(plan: Plan, done: Callable[[CellResult], None]) -> None:
        assert plan.program is not None
        found.append((plan.program.name, plan.pairs))
        for pair in plan.pairs:
            done(cell(pair, *SAID, MOVED))

    monkeypatch.setattr(runs, "KEPT", tmp_path / "runs.jsonl")
    monkeypatch.setattr(runs, "run_matrix", run_matrix)
    return found


def test_programs_take_turns_and_a_run_that_was_ended_goes_on(
    ran: list[tuple[str, Sequence[object]]],
) -> None:
    runs.run_all([PLACE], 2, 1, 3, late=False)
    runs.run_all([PLACE], 2, 1, None, late=False)
    assert [name for name, _ in ran] == [OURS, AIOICE, OURS, AIOICE]
    kept = list(runs.read_trials())
    assert [(each.program, each.number, each.rung) for each in kept] == [
        (program, number, "prediction") for number in (1, 2) for program in (OURS, AIOICE)
    ]
    assert kept[0].row.load is not None


def test_a_result_of_another_program_does_not_count(
    ran: list[tuple[str, Sequence[object]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    runs.run_all([PLACE], 1, 1, 1, late=False)
    lines = [json.loads(line) for line in runs.KEPT.read_text(encoding="utf-8").splitlines()]
    assert len(lines) == len(ran) == 1
    runs.KEPT.write_text(json.dumps({**lines[0], "digest": "another"}) + "\n", encoding="utf-8")
    assert list(runs.read_trials()) == []
    runs.KEPT.write_text("[]\n", encoding="utf-8")
    with pytest.raises(LabError, match="remove it"):
        list(runs.read_trials())


@pytest.mark.parametrize("place", runs.ALL, ids=lambda place: place.name)
def test_both_programs_fit_every_place_and_have_the_same_time(place: Place) -> None:
    files = [runs.program_at(rival, place) for rival in runs.PROGRAMS.values()]
    assert len({(file.within, file.settle, file.topology, file.between) for file in files}) == 1
    assert [peer for peer in files[0].peers if "--json" not in peer.command] == []
