"""The report's page: each cell's evidence, filters without a script, and nothing from outside."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

from natlab.evidence.category import Category
from natlab.evidence.journey import Fate
from natlab.evidence.result import merge
from natlab.oracle.outcome import Outcome
from natlab.presets import PRESETS
from natlab.report.legend import in_words
from natlab.report.strip import Scale, strip
from tests.unit.natlab.cells import (
    BROKEN,
    FORBIDDEN,
    NASTY,
    WRONG_CHECK,
    WRONG_OUTCOME,
    cell,
    hello,
)
from tests.unit.natlab.report.pages import page


def test_every_cell_links_to_its_own_evidence(tmp_path: Path) -> None:
    cells = [cell(nat_a, nat_b) for nat_a in PRESETS for nat_b in PRESETS]
    shown, text = page(tmp_path, *cells)
    anchors = [link.removeprefix("#") for link in shown.links if link.startswith("#")]
    assert set(anchors) <= shown.ids
    anchors = [anchor for anchor in anchors if "@" not in anchor]  # a moment of a cell
    assert len(set(anchors) - {"matrix", "nat-types"}) == 36
    assert text.count('class="ladder"') == 36
    assert text.count('class="strip"') == 36
    assert "pcap/none--none.pcapng" in shown.links


def test_the_page_says_in_plain_words_what_each_nat_is(tmp_path: Path) -> None:
    _, text = page(tmp_path, cell("symmetric", "EIM+ADF"), cell("none", "cgnat"))
    legend = text.partition('id="nat-types"')[2].partition("</details>")[0]
    for name in ("symmetric", "EIM+ADF", "none", "cgnat"):
        row = legend.partition(f'<th scope="row">{name}</th>')[2].partition("</tr>")[0]
        assert in_words(name).mapping in row
        assert in_words(name).id in row
    evidence = text.partition('id="symmetric--EIM+ADF"')[2]
    assert f"B's NAT, EIM+ADF: {in_words('EIM+ADF')}." in evidence


def test_the_prediction_is_told_as_the_way_of_the_datagrams(tmp_path: Path) -> None:
    none = {"predicted": Outcome.FAILED, "predicted_round": None}
    _, text = page(
        tmp_path,
        cell("none", "none", predicted_method="ordered-hello"),
        cell("symmetric", "symmetric", **none, predicted_method="relay"),
        cell("udp-blocked", "none", **none),
    )
    told = [line.partition(".</li>")[0] for line in text.split("Predicted by the model: ")[1:]]
    assert told == [
        "a direct path in round 1, by ordered-hello",
        "no direct path; relay carries",
        "no direct path",
    ]


def test_the_first_screen_begins_with_what_somebody_can_mend(tmp_path: Path) -> None:
    ended = {"observed": Outcome.FAILED, "predicted": Outcome.FAILED, "round": None}
    closed, missed = (ended | {"category": each} for each in (Category.FORBIDDEN, Category.MISSED))
    names = list(PRESETS)
    cells = [cell(name, name, **closed, cause=f"cause {n}") for n, name in enumerate(names[:4])]
    _, text = page(tmp_path, *cells, cell(names[4], names[4], **missed, cause="it gave up"))
    lines = text.partition('<ul class="whys">')[2].partition("</ul>")[0].split("<li>")[1:]
    assert "could have and did not: It gave up" in lines[0]
    assert "1 pair</a>" in lines[1]
    assert "3 pairs</a> for further reasons" in lines[2]
    assert len(lines) == 3


def test_page_is_one_file_without_outside_reference(tmp_path: Path) -> None:
    shown, text = page(tmp_path, cell())
    assert shown.tags.count("script") == 2  # one is the cell's steps, as data
    assert text.count('<script type="application/json"') == 1
    assert shown.loads == []
    assert "url(" not in text
    assert "@import" not in text


def test_whatever_was_measured_is_text_and_never_markup(tmp_path: Path) -> None:
    nasty = cell(
        explanation=NASTY,
        probes={NASTY: NASTY},
        rules={"nat_a": NASTY},
        programs={"dig": NASTY},
        pcap=f'"{NASTY}',
        method=NASTY,
        hellos=(replace(hello(1, Fate.DROPPED), destination=NASTY, translated=NASTY),),
    )
    shown, text = page(tmp_path, nasty, WRONG_CHECK, BROKEN)
    assert shown.tags.count("script") == 2  # the page's own, and the steps of one cell
    assert NASTY not in text
    assert text.count("&lt;script&gt;") >= 10


def test_page_is_loud_about_what_is_not_as_predicted(tmp_path: Path) -> None:
    _, good = page(tmp_path, cell())
    _, bad = page(tmp_path, cell(), WRONG_OUTCOME, WRONG_CHECK, BROKEN)
    assert '<td class="cell wrong' not in good
    assert bad.count('<td class="cell wrong') == 3
    assert "not connected" in bad
    assert "1 of 4 cells as predicted" in bad


def test_filters_need_no_script_and_every_cell_answers_to_them(tmp_path: Path) -> None:
    shown, text = page(tmp_path, cell("none", "symmetric"), BROKEN, FORBIDDEN)
    for kind in ("round-1", "failed", "wrong", "category-0", "category-1", "nat-0", "nat-1"):
        assert f"only-{kind}" in shown.ids
        assert text.count(f".overview:has(#only-{kind}:checked) td.cell:not(.is-{kind})") == 1
    assert "visibility: hidden" not in text  # what does not match stays readable
    assert text.partition("td.cell { opacity: ")[2].startswith(".")
    assert {"any-outcome", "any-category", "any-nat"} <= shown.ids
    good, forbidden, bad = (
        line.split('"')[1].split()
        for line in text.splitlines()
        if line.startswith('<td class="cell')
    )
    assert {"is-round-1", "is-category-0", "is-nat-0", "is-nat-1"} <= set(good)
    assert {"is-wrong", "is-category-3"} <= set(bad)
    assert {"is-failed", "is-category-1"} <= set(forbidden)
    assert not {"is-wrong", "is-failed"} & set(good)


def test_the_grid_comes_first_then_what_narrows_it_then_the_facts_of_the_run(
    tmp_path: Path,
) -> None:
    _, text = page(tmp_path, cell())
    body = text.partition("<body>")[2]
    places = [
        body.index(word) for word in ('class="matrix"', "<form", '<dl class="head"', "<section")
    ]
    assert places == sorted(places)
    assert "position: sticky; left: 0" in text


def test_the_script_finds_what_the_page_has(tmp_path: Path) -> None:
    """It names filters and cells by what stands in the address: names, not numbers of this report."""
    _, text = page(tmp_path, cell("none", "symmetric"), cell("none", "none"))
    body, _, script = text.partition("<script>")
    for attribute in (
        'data-cell="none--symmetric"',
        'name="nat" id="only-nat-1" value="symmetric"',
    ):
        assert attribute in body
    for query in (".filters input", "td.cell", "section.cell", ".previous", ".next"):
        assert f'"{query}"' in script
    for class_ in ("previous", "next"):
        assert body.count(f'<a class="{class_}"') == 2


def test_cells_are_a_ring_that_one_can_step_through(tmp_path: Path) -> None:
    shown, _ = page(tmp_path, cell("none", "none"), cell("none", "symmetric"), cell("symmetric"))
    evidence = shown.links[shown.links.index("#matrix") - 2 :]
    assert [link for link in evidence if link.startswith("#") and "@" not in link] == [
        *("#symmetric--none", "#none--symmetric", "#matrix"),
        *("#none--none", "#symmetric--none", "#matrix"),
        *("#none--symmetric", "#none--none", "#matrix"),
    ]


def test_runs_of_a_pair_are_shown_as_a_distribution(tmp_path: Path) -> None:
    runs = merge([cell(connect_ms=time) for time in (1.0, 3.0, 100.0)])
    _, text = page(tmp_path, runs)
    assert "3 runs: connected in round 1 (3 of 3), 1.0 / 3.0 / 100.0 ms" in text
    assert runs.timing is not None
    drawn = ElementTree.fromstring(strip(runs.timing, Scale(1.0, 100.0)))
    xs = [float(dot.get("cx", "")) for dot in drawn.iter("circle")]
    assert xs == sorted(xs)
    assert (xs[0], xs[-1]) == (5.0, 155.0)
    assert Scale.of([]) is None
    assert Scale(2.0, 2.0).x(2.0) == 80.0
