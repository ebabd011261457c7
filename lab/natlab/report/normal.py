"""A report without times, ports and chance: two runs with the same seed have the same. Pure.

Times, ports and counts of repetitions are the machine's. So is the order of packets that do not wait for each
other.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from natlab.evidence.packet_records import PacketRecord
from natlab.evidence.result import CellResult, Report

_MASKS = (
    (re.compile(r"\b\d+(?:\.\d+)? (?:ms|s)\b"), "TIME"),
    (re.compile(r"(\d+\.\d+\.\d+\.\d+):\d+"), r"\1:PORT"),
    (re.compile(r"port \d+ of (\w+), not \d+"), r"port PORT of \1, not PORT"),
)
Normal = Mapping[str, object]


def normal_form(report: Report) -> Mapping[tuple[str, str], Normal]:
    """All that the seed and the NATs decide, by pair."""
    return {(cell.nat_a, cell.nat_b): _cell(cell) for cell in report.cells}


def _cell(cell: CellResult) -> Normal:
    return {
        "predicted": (cell.predicted, cell.predicted_round),
        "observed": (cell.observed, cell.round, cell.method, cell.path, cell.through),
        "category": cell.category,
        "broken": cell.error is not None,
        "why": [masked(text) for text in (cell.cause, cell.reason, cell.explanation)],
        "checks": [(check.name, check.ok) for check in cell.checks],
        "rules": dict(cell.rules or {}),
        "probes": {nat: masked(text) for nat, text in (cell.probes or {}).items()},
        "first HELLOs": _fates(each for each in cell.hellos if not each.copy),
        "other packets": _fates(cell.packets),
    }


def masked(text: str) -> str:
    """`text` without the times and ports in it."""
    for pattern, words in _MASKS:
        text = pattern.sub(words, text)
    return text


def _fates(records: Iterable[PacketRecord]) -> list[tuple[str, ...]]:
    """The fates of each kind of packet, without order and number."""
    found = {(each.kind, each.sender, f"{each.round}.{each.step}", each.fate) for each in records}
    return sorted(found)
