"""Links by what they are: named conditions, each value with its source. Pure.

Delays are one way and belong to one link, between a NAT and what is outside it. Sources that publish
round trips have half of them here. Rates are those of a subscriber: the first is what the NAT sends.
"""

from __future__ import annotations

from dataclasses import dataclass

from nat_traversal.arguments.near import near
from nat_traversal.errors import UsageError

_WPT = "WebPageTest, www/settings/connectivity.ini.sample"


@dataclass(frozen=True, slots=True)
class Profile:
    """Texts by the names of `natlab.links.conditions.PARSERS`, and where they come from."""

    conditions: dict[str, str]
    source: str


PROFILES = {
    "fibre": Profile({"delay": "2ms", "rate": "5mbit/20mbit"}, f"{_WPT}: FIOS, 4 ms RTT"),
    "cable": Profile({"delay": "14ms", "rate": "1mbit/5mbit"}, f"{_WPT}: Cable, 28 ms RTT"),
    "dsl": Profile({"delay": "25ms", "rate": "384kbit/1.5mbit"}, f"{_WPT}: DSL, 50 ms RTT"),
    "dsl-bufferbloat": Profile(
        {"delay": "25ms", "rate": "384kbit/1.5mbit", "queue": "32/128"},
        f"{_WPT}: DSL, 50 ms RTT; as many whole frames as take 1 s to send, a delay that Gettys"
        " and Nichols (Bufferbloat, CACM 55(1), 2012) saw on such links",
    ),
    "3g": Profile({"delay": "150ms", "rate": "768kbit/1.6mbit"}, f"{_WPT}: 3G, 300 ms RTT"),
    "edge": Profile({"delay": "420ms", "rate": "200kbit/240kbit"}, f"{_WPT}: Edge, 840 ms RTT"),
    "satellite": Profile(
        {"delay": "259.5ms"},
        "RFC 2488 section 2: 239.6 to 279.0 ms by a geostationary satellite; the middle, no rate",
    ),
}


def profile(name: str) -> Profile:
    """The profile called `name`. Raises `UsageError` that lists those there are."""
    if name not in PROFILES:
        raise UsageError(f"profile: unknown link {name!r}: {near(name, PROFILES)}")
    return PROFILES[name]
