"""The published tables are those of what there is."""

from __future__ import annotations

import re

from natlab.behavior import NINE, NUMBERS, TERMS, PortMapping, parse_behavior
from natlab.presets import PRESETS, REAL_WORLD, preset
from natlab.probe.conformance import BY_IPTABLES, EVERY
from tests import ROOT

NOT_ASKED = {PortMapping.ASKED}
"""tests/lab/client has its proof."""


def section(page: str, title: str) -> str:
    text = (ROOT / "docs" / "lab" / page).read_text(encoding="utf-8")
    return text.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def test_the_conformance_table_has_every_nat_and_every_claim_held() -> None:
    rows = [
        line
        for line in section("measurements.md", "Conformance").splitlines()
        if line.startswith("| `")
    ]
    assert [row.split("`")[1] for row in rows] == [*EVERY, *BY_IPTABLES]
    assert not [row for row in rows if "**" in row]


def test_the_table_shows_each_nat_as_its_id_says() -> None:
    rows = [
        line
        for line in section("measurements.md", "Conformance").splitlines()
        if line.startswith("| `")
    ]
    for row in rows:
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        behavior = preset(cells[0].strip("`")).behavior
        assert behavior
        if not behavior.blocks_udp:
            assert cells[1:3] == [behavior.mapping, behavior.filtering]
            assert cells[5:7] == [behavior.unsolicited, behavior.allocation]


def test_every_preset_is_documented_with_its_id() -> None:
    rows = re.findall(
        r"^\| `([a-z-]+)` \| (?:`(.+?)`)? ?\|", section("presets.md", "Presets"), re.MULTILINE
    )
    ids = {name: text for name, text in rows if name in {*PRESETS, *REAL_WORLD}}
    assert list(ids) == [*PRESETS, *REAL_WORLD]
    for name, text in ids.items():
        assert preset(name).behavior == (parse_behavior(text) if text else None)


def test_what_is_asked_covers_every_pair_and_every_flag() -> None:
    asked = [behavior for name in EVERY if (behavior := preset(name).behavior)]
    assert set(NINE) <= set(EVERY)
    for field, terms in TERMS.items():
        assert {getattr(behavior, field) for behavior in asked} >= set(terms) - NOT_ASKED, field
    for name, number in NUMBERS.items():
        assert {number.usual} < {getattr(behavior, name) for behavior in asked}
