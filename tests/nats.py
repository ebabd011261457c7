"""NATs as a host inside can know them: for tests of what is found out from there."""

from __future__ import annotations

from dataclasses import replace

from nat_traversal.wire.behavior import Hairpin
from natlab.behavior import NatBehavior, Unsolicited
from natlab.presets import preset


def seen_from_inside(nat: str) -> str | None:
    """The id of all that shows there; None where there is no NAT, or no UDP.

    Refusals are seen outside alone, and a lifetime takes its time. Linux drops packets that seem to
    come from itself, so hairpinning from the internal source looks like none.
    """
    behavior = preset(nat).behavior
    if behavior is None or behavior.blocks_udp:
        return None
    seen = NatBehavior(behavior.mapping, behavior.filtering, allocation=behavior.allocation)
    if behavior.hairpin is Hairpin.EXTERNAL_SOURCE:
        seen = replace(seen, hairpin=behavior.hairpin)
    if behavior.unsolicited is Unsolicited.ORDER_SENSITIVE:
        seen = replace(seen, unsolicited=behavior.unsolicited)
    return str(seen)
