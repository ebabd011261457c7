"""The threat table of `docs/security.md`: each line names tests, and they exist."""

from __future__ import annotations

import re

import pytest

from tests import ROOT

DOCUMENT = (ROOT / "docs/security.md").read_text(encoding="utf-8")
TABLE = re.search(r"<!-- table: threats -->\n(.*?)<!-- end -->", DOCUMENT, re.DOTALL)
assert TABLE is not None
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in TABLE.group(1).strip().splitlines()[2:]
]
DEFINED = {
    name
    for path in (ROOT / "tests").rglob("test_*.py")
    for name in re.findall(r"def (test_\w+)\(", path.read_text(encoding="utf-8"))
}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_each_attacker_has_a_word_for_each_degree_of_trust_and_tests_that_exist(
    row: list[str],
) -> None:
    attacker, *degrees, tests = row
    assert attacker
    assert len(degrees) == 3
    assert all(degrees)
    named = re.findall(r"`(\w+)`", tests)
    assert named
    assert not set(named) - DEFINED


def test_every_kind_of_attacker_is_there() -> None:
    attackers = " ".join(row[0] for row in ROWS)
    for kind in ("reads between", "on the way", "no TLS", ", TLS", "server lies", "peer lies"):
        assert kind in attackers
