"""The findings of the conformance probes: for a terminal, for a document, for a program."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from rich.markup import escape
from rich.table import Table

from natlab.nat.rules import rules_for
from natlab.network.addressing import side
from natlab.presets import preset
from natlab.probe.conformance import Conformance
from natlab.probe.lifetimes import LIFETIME


def _columns(found: Sequence[Conformance]) -> list[str]:
    return list(dict.fromkeys(each.claim for one in found for each in one.findings))


def _cells(one: Conformance, columns: Sequence[str]) -> Iterator[tuple[str, bool]]:
    by_claim = {finding.claim: finding for finding in one.findings}
    for claim in columns:
        finding = by_claim.get(claim)
        if finding is None:
            yield "", True
        elif not finding.holds:
            yield f"{finding.seen}, not {finding.wanted}", False
        else:
            yield finding.seen, True


def table(found: Sequence[Conformance]) -> Table:
    """A row for each claim of each NAT that does not hold, or one that says that all do."""
    drawn = Table()
    for heading in ("NAT", "behaviour", "claims", "lifetime", "claims that do not hold"):
        drawn.add_column(heading, overflow="fold")
    for one in found:
        wrong = [f"{f.claim}: {f.seen}, not {f.wanted}" for f in one.findings if not f.holds]
        wrong += [one.error] if one.error else []
        held = sum(finding.holds for finding in one.findings)
        drawn.add_row(
            escape(one.name),
            escape(one.behavior),
            f"{held} of {len(one.findings)}",
            f"{one.lived:.0%}" if one.lived is not None else "",
            escape("\n".join(wrong)),
            style="" if one.ok else "bold red",
        )
    return drawn


def markdown(found: Sequence[Conformance]) -> str:
    """Every claim of every NAT as it was seen; bold where it does not hold."""
    columns = _columns(found)
    lines = ["| NAT | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for one in found:
        cells = [text if holds else f"**{text}**" for text, holds in _cells(one, columns)]
        name = f"`{one.name}`" + (f" **{one.error}**" if one.error else "")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def as_json(found: Sequence[Conformance]) -> str:
    """The findings with the rules that were asked, as one JSON document."""
    return json.dumps(
        {
            "ok": all(one.ok for one in found),
            "lifetime_s": LIFETIME,
            "nats": [
                {
                    "name": one.name,
                    "behavior": one.behavior,
                    "ok": one.ok,
                    "error": one.error,
                    "lived": one.lived,
                    "findings": [
                        {"claim": f.claim, "wanted": f.wanted, "seen": f.seen, "holds": f.holds}
                        for f in one.findings
                    ],
                    "rules": str(rules_for(preset(one.name), side("a", preset(one.name)).ports)),
                }
                for one in found
            ],
        },
        indent=1,
    )
