"""One check of a cell: a claim, whether it holds, and what was seen. Pure."""

from __future__ import annotations

from dataclasses import dataclass

MODELLED = "every packet fared as in the model"
"""The name of the check that says whether kernel and model agree."""
REGIONS_KEPT = "no datagram was faster than the regions' links"
"""The same for links between regions, by the packets."""
LINKS_KEPT = "the links kept their conditions"
"""The name of the check that says whether the links were what was asked for."""


@dataclass(frozen=True, slots=True)
class Check:
    """`name` is the claim, `why` what the packets showed."""

    name: str
    ok: bool
    why: str
