"""A cap on a NAT's sessions, as nftables rules. Pure, as `natlab.nat.nftables`, of which it is a part.

The table has as many places as there may be sessions, and hands them out round and round. Each session
has a number that no other had; what it is modulo the size of the table is its place. A session whose
place has been given away is no longer in `live`, so its number tells nothing any more.
"""

from __future__ import annotations

from collections.abc import Iterator

from natlab.behavior import NatBehavior, Overflow

_OUT = "ip saddr . udp sport . ip daddr . udp dport"
_IN = "ip daddr . udp dport . ip saddr . udp sport"
_FIRST = 1 << 30
"""The first number: 0 stands for none. The next 2^30 are tried before it comes again."""
PLACES = ("live", "taken", "number_at")
"""Sets whose keys are numbers and places, and neither addresses nor ports."""


def memory() -> Iterator[tuple[str, str, str]]:
    """Kind, name and types of each set and map."""
    yield "map", "session", f"{_OUT} : meta mark"
    yield "set", "live", "meta mark"
    yield "set", "taken", "meta mark"
    yield "map", "number_at", "meta mark : meta mark"


def chains(behavior: NatBehavior, verb: str, refused: str) -> Iterator[tuple[str, list[str]]]:
    """`session` is for what goes out, and drops what has none; `still_open` for what comes in.

    `verb` is what an outbound packet does to an element, `refused` the fate of an inbound packet
    whose session has ended. Each chain comes after those that it jumps to.
    """
    place = f"meta mark & {behavior.sessions - 1}"

    def refresh(by: str, key: str) -> list[str]:
        if by == "add":
            return []  # an element that exists keeps its time
        return [
            # Elements that exist keep their values.
            f"update @session {{ {key} : 0 }}",
            "update @live { meta mark }",
            f"update @taken {{ {place} }}",
            f"update @number_at {{ {place} : 0 }}",
        ]

    known = "meta mark set {} map @session meta mark @live goto {}"
    yield "keep_session", [*refresh(verb, _OUT), "meta mark set 0"]
    yield "next_number", [f"meta mark set numgen inc mod {_FIRST} offset {_FIRST}"]
    yield "look_for_place", ["jump next_number", f"{place} @taken meta mark set 0"]
    yield from _repeated("any_place", "meta mark 0 jump look_for_place", behavior.sessions)
    full = "jump next_number" if behavior.overflow is Overflow.EVICT else "drop"
    yield (
        "session",
        [
            known.format(_OUT, "keep_session"),
            "meta mark set 0",
            "jump any_place",
            f"meta mark 0 {full}",
            f"delete @session {{ {_OUT} : meta mark }}",
            f"add @session {{ {_OUT} : meta mark }}",
            # The one mark holds first the number that had the place, then the new one again.
            f"meta mark set {place} map @number_at",
            "delete @live { meta mark }",
            f"meta mark set {_OUT} map @session",
            f"delete @number_at {{ {place} : meta mark }}",
            f"add @number_at {{ {place} : meta mark }}",
            "add @live { meta mark }",
            f"delete @taken {{ {place} }}",
            f"add @taken {{ {place} }}",
            "meta mark set 0",
        ],
    )
    if behavior.overflow is Overflow.EVICT:
        kept = [*refresh("update" if inbound_refreshes(behavior) else "add", _IN)]
        yield "keep_open", [*kept, "meta mark set 0"]
        yield "still_open", [known.format(_IN, "keep_open"), refused]


def inbound_refreshes(behavior: NatBehavior) -> bool:
    """Whether packets from outside make a session live on."""
    return str(behavior.refresh) == "inbound-refresh"


def _repeated(name: str, rule: str, times: int) -> Iterator[tuple[str, list[str]]]:
    """Chains of which `name` has the effect of `rule` so many times, a power of two."""
    fan = min(times, 16)
    below, level = rule, 0
    while times > fan:
        level += 1
        yield f"{name}_{level}", [below] * fan
        below = f"meta mark 0 jump {name}_{level}"
        times //= fan
        fan = min(times, 16)
    yield name, [below] * times
