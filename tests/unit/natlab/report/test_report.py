"""The result in front of people: terminal table, ladder diagram, HTML."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from rich.console import Console

from nat_traversal.wire.datagrams import Hello, encode
from nat_traversal.wire.endpoint import Endpoint
from natlab.capture.packet import Packet, Protocol
from natlab.evidence.category import Category
from natlab.evidence.journey import HOMES, Fate
from natlab.evidence.result import Case, CellResult, Report, conclude, merge
from natlab.evidence.trace import reconstruct
from natlab.oracle.outcome import Outcome
from natlab.presets import PRESETS
from natlab.report.html import write_html
from natlab.report.markdown import markdown
from natlab.report.svg_ladder import ladder, rows_of
from natlab.report.table import print_table
from natlab.report.words import by_cause, faults, summary
from tests.unit.natlab.cells import BROKEN, FORBIDDEN, WRONG_CHECK, WRONG_OUTCOME, cell, hello
from tests.unit.natlab.report.pages import page
from tests.unit.natlab.scenes import swapped


def test_cell_is_ok_only_if_all_of_it_is() -> None:
    assert cell().ok
    assert not WRONG_OUTCOME.ok
    assert not WRONG_CHECK.ok
    assert not BROKEN.ok
    assert Report({}, (cell(),)).ok
    assert not Report({}, (cell(), BROKEN)).ok
    assert not Report({}, ()).ok


def test_cell_is_observed_from_its_packets() -> None:
    payload = encode(Hello(b"t" * 8, 1, 1, False))
    source, target = Endpoint("10.0.1.2", 1), Endpoint("198.51.100.2", 2)
    sent = Packet(5.0, HOMES[0].host_link, True, Protocol.UDP, source, target, payload)
    result = conclude(Case.of("symmetric", "symmetric", "two_nats"), reconstruct([sent]))
    assert (result.predicted, result.observed) == (Outcome.FAILED, Outcome.FAILED)
    (record,) = result.hellos
    assert (record.t, record.fate, record.step, record.round) == (0.0, Fate.BLOCKED, 1, 1)
    assert "host_a's HELLO 1 never left nat_a at 0.000 s" in result.explanation
    assert not result.ok


def test_record_shows_what_the_ladder_needs_and_data_only_once_each_way() -> None:
    scene = swapped()
    scene.data("host_a", 2)
    scene.data("host_b", 2)
    result = conclude(
        Case.of("port-restricted-cone", "linux-masquerade", "two_nats"), scene.trace()
    )
    assert result.ok
    assert (result.round, result.bound_ms) == (2, None)
    assert [(hello.round, hello.step, hello.sender[-1]) for hello in result.hellos] == [
        *[(1, 1, "a"), (1, 2, "b"), (1, 3, "a")],
        *[(2, 1, "b"), (2, 2, "a"), (2, 3, "b")],
    ]
    assert [hello.heard for hello in result.hellos] == [False, False, True] * 2
    assert [(other.kind, other.round) for other in result.packets] == [
        *[("ANNOUNCE", None)] * 4,
        *[("CONFIRM", 2), ("DATA", 2), ("DATA", 2)],
    ]
    assert result.hellos[1].translated == "198.51.100.2:2527"


def test_ladder_names_each_round_and_its_roles() -> None:
    result = conclude(
        Case.of("port-restricted-cone", "linux-masquerade", "two_nats"), swapped().trace()
    )
    assert [text.text for text in elements(result, "band-text")] == [
        "Round 1: A = host_a, B = host_b",
        "Round 2: A = host_b, B = host_a",
    ]


def printed(report: Report) -> str:
    out = io.StringIO()
    print_table(report, Console(file=out))
    return out.getvalue()


def test_table_shows_outcome_round_and_time() -> None:
    text = printed(Report({}, (cell(),)))
    for word in ("connected", "round 1", "12.3 ms", "1 of 1 cells as predicted"):
        assert word in text


def test_table_is_loud_about_what_is_not_as_predicted() -> None:
    text = printed(Report({}, (cell(), WRONG_OUTCOME, WRONG_CHECK, BROKEN)))
    for words in ("NOT connected", "CHECK FAILED", "BROKEN", "1 of 4 cells as predicted"):
        assert words in text
    assert "symmetric × none: nat_a is not symmetric" in text
    assert "not so: tokens differ" in text


def test_all_presets_fit_a_hundred_and_twenty_columns() -> None:
    cells = tuple(cell(nat_a, nat_b) for nat_a in PRESETS for nat_b in PRESETS)
    lines = printed(Report({}, cells)).splitlines()
    assert max(map(len, lines)) <= 120
    assert sum(line.count("connected") for line in lines[:-1]) == 36


def test_summary_counts_each_kind() -> None:
    cells = (cell(), cell(round=2), WRONG_OUTCOME, BROKEN)
    assert summary(Report({}, cells)) == (
        "2 of 4 cells as predicted: 2 connected (1 in round 2), 1 failed"
        " (1 though the program could have connected), 1 broken"
    )
    assert faults(cell()) == []


def test_no_form_of_the_report_says_as_predicted_of_two_numbers(tmp_path: Path) -> None:
    report = Report({}, (cell(), FORBIDDEN))
    told = "2 of 2 cells as predicted: 1 connected, 1 failed (1 because the NATs forbid it without guessing ports)"
    assert summary(report) == told
    _, html = page(tmp_path, *report.cells)
    head = html.partition("<body>")[2].partition("<form")[0]
    for text in (printed(report), markdown(report), head):
        assert told in " ".join(text.split())
        assert text.count("as predicted:") == 1


def _swapped(cause: str, nat_b: str) -> str:
    """Seen from the other side, for half of them."""
    if nat_b < "n":
        return cause
    return cause.replace("nat_a", "nat_?").replace("nat_b", "nat_a").replace("nat_?", "nat_b")


def test_cells_that_failed_for_one_cause_are_told_together(tmp_path: Path) -> None:
    causes = ("nat_a gave a new port, which nat_b does not admit.", "nat_a lets no UDP out.")
    cells = [
        replace(FORBIDDEN, nat_a=nat_a, nat_b=nat_b, cause=_swapped(causes[nat_a == "none"], nat_b))
        for nat_a in PRESETS
        for nat_b in PRESETS
    ]
    report = Report({}, tuple(cells))
    told = (
        "One NAT gave a new port, which the other does not admit.",
        "One NAT lets no UDP out.",
    )
    assert list(by_cause(report)) == [(Category.FORBIDDEN, cause) for cause in told]
    shown = printed(report)
    assert [shown.count(cause) for cause in told] == [1, 1]
    assert f"30 failed, the NATs forbid it without guessing ports. {told[0]}" in shown
    groups = markdown(report).partition("### Why")[2].partition("<details>")[0]
    assert len([line for line in groups.splitlines() if line.startswith("- ")]) == 2
    _, html = page(tmp_path, replace(FORBIDDEN, cause=causes[0]))
    evidence = html.partition('<section class="cell"')[2]
    assert evidence.index(causes[0]) < evidence.index("What the packets did")


@pytest.mark.parametrize(
    "links",
    ["virtual Ethernet without added delay or loss", "delay 5 ms (the default)", "delay 20 ms"],
)
@pytest.mark.parametrize("runs", [1, 3])
def test_times_are_colours_only_with_delays_and_several_runs(
    links: str, runs: int, tmp_path: Path
) -> None:
    cells = (
        merge([cell(connect_ms=40.0)] * runs),
        merge([cell("none", "symmetric", connect_ms=640.0)] * runs),
    )
    write_html(Report({"links": links}, cells), tmp_path / "index.html")
    body = (tmp_path / "index.html").read_text(encoding="utf-8").partition("<body>")[2]
    if "20" in links and runs == 3:
        assert 'class="cell round-1 shade-0' in body
        assert 'class="cell round-1 shade-3' in body
        for low, high in ((40, 80), (80, 160), (160, 320), (320, 640)):
            assert f"connected in round 1, median {low} to {high} ms" in body
    else:
        assert "shade-" not in body
        assert body.count('class="cell round-1 is-') == 2
        assert "</i>connected in round 1</li>" in body


def elements(shown: CellResult, class_: str) -> list[ElementTree.Element]:
    # No namespace is declared: HTML gives an inline svg element its own.
    root = ElementTree.fromstring(ladder(shown))
    return [element for element in root.iter() if element.get("class") == class_]


def test_ladder_has_an_arrow_for_each_packet_and_a_cross_where_one_ended() -> None:
    assert [text.text for text in elements(cell(), "name")] == [
        "ANNOUNCE",
        "HELLO 1",
        "HELLO 2",
        "HELLO 3 · heard",
    ]
    assert len(elements(cell(), "tip")) == 3
    assert len(elements(cell(), "cross")) == 1
    assert [text.text for text in elements(cell(), "fate")] == ["dropped"]
    assert "as 203.0.113.2:61234" in [text.text for text in elements(cell(), "from")]


@pytest.mark.parametrize(
    ("fate", "column"),
    [
        (Fate.DELIVERED, "host_b"),
        (Fate.PORT_CLOSED, "host_b"),
        (Fate.DROPPED, "nat_b's WAN"),
        (Fate.TAKEN_BY_ROUTER, "nat_b's WAN"),
        (Fate.EXPIRED, "internet"),
        (Fate.LOST, "internet"),
        (Fate.BLOCKED, "nat_a's LAN"),
    ],
)
def test_arrow_ends_where_the_packet_did(fate: Fate, column: str) -> None:
    shown = cell(hellos=(hello(1, fate),), packets=())
    (path,) = elements(shown, "path")
    at = {text.text: text.get("x") for text in elements(shown, "node")}
    lan_a, wan_a, wan_b, lan_b = [
        text.get("x") for text in elements(shown, "preset") if text.text in ("LAN", "WAN")
    ]
    assert [text.text for text in elements(shown, "preset") if text.text in ("LAN", "WAN")] == [
        *("LAN", "WAN"),
        *("WAN", "LAN"),
    ]
    at |= {"nat_a's LAN": lan_a, "nat_b's WAN": wan_b}
    assert (path.get("x1"), path.get("x2")) == (at["host_a"], at[column])
    assert None not in (wan_a, lan_b)


def test_repetitions_of_one_fate_share_a_row() -> None:
    copies = [hello(1, Fate.DROPPED, copy=copy, t=copy * 0.3) for copy in range(5)]
    other = hello(1, Fate.DELIVERED, copy=5, t=1.5)
    rows = rows_of(cell(hellos=(*copies, other), packets=()))
    assert [(row.times, row.until) for row in rows] == [(1, 0.0), (4, 1.2), (1, 1.5)]


def test_ladder_has_a_break_where_seconds_pass_and_only_there(tmp_path: Path) -> None:
    late = hello(1, Fate.DROPPED, t=3.4)
    assert elements(cell(packets=()), "pause") == []
    shown = cell(hellos=(hello(1, Fate.DROPPED), late), packets=())
    (pause,) = elements(shown, "pause")
    assert [each.text for each in pause.iter("text")] == ["3.4 s pass"]
    _, text = page(tmp_path, shown)
    legend = text.partition('<ul class="kinds"')[2].partition("</ul>")[0]
    for kind in ("announce", "HELLO", "data", "dropped", "lost", "repeated"):
        assert kind in legend


def test_ladder_shows_when_a_packet_passed_each_side_of_each_nat() -> None:
    seen = {"host_a-eth0": 0.0, "nat_a-lan": 0.0001, "nat_a-wan": 0.0002, "nat_b-wan": 0.0004}
    shown = cell(hellos=(replace(hello(1, Fate.DROPPED), seen=seen),), packets=())
    assert [text.text for text in elements(shown, "after")] == ["+0.10", "+0.20", "+0.40"]
    drawn = [dot.get("cx") for dot in elements(shown, "hop")]
    sides = [text for text in elements(shown, "preset") if text.text in ("LAN", "WAN")]
    assert drawn == [side.get("x") for side in sides[:3]]


def test_table_names_each_program_that_ended_badly_once_with_its_output() -> None:
    def ended(nat: str, status: object) -> CellResult:
        told = {"host_a": f"dig a.example\nexit status: {status}\nexit status: 7"}
        return cell(nat, program="dig", path="direct", programs=told)

    text = printed(Report({}, (ended("none", 3), ended("full-cone", 3), ended("symmetric", -11))))
    assert (
        "none × none and 1 more: host_a ended with exit status 3; its output: none--none/host_a.std*"
        in text
    )
    assert "symmetric × none: host_a ended by signal 11;" in text
    assert text.count("its output") == 2
    silent = (ended("none", 0), ended("full-cone", None), replace(ended("none", 3), program=None))
    assert "its output" not in printed(Report({}, silent))
