"""Datagrams that lead to nothing: while more come than the server can read, it sheds their sources' first. Pure."""

from __future__ import annotations

from nat_traversal.machine.counters import Counters

SPARED = 32
"""Datagrams of one address in a second that may lead to nothing before it is shed: hosts that register make a few."""
MOST_ADDRESSES = 65_536
COUNTED = (
    *("datagrams-dropped", "datagrams-ignored", "announces-unknown", "announces-forged"),
    *("binds-forged", "relay-stray", "stun-shed", "stun-malformed"),
)
"""The counters that say so."""


class UselessDatagrams:
    """Counts them by address, a second at a time.

    Nothing is shed while the server keeps up: somebody who forges an address could silence it otherwise.
    """

    def __init__(self, counters: Counters) -> None:
        """`counters`: those that the server's other parts count in."""
        self._counted = [each for each in counters if each.name in COUNTED]
        self._useless: dict[str, int] = {}
        self._until = 0.0
        self.is_behind = False
        """Whether the last reading left datagrams in the kernel."""
        self._shed = counters.counter(
            "datagrams-shed", "a datagram not read: too many came, and its source's lead to nothing"
        )

    def begin(self, now: float) -> None:
        """A reading begins."""
        if now >= self._until:
            self._useless.clear()
            self._until = now + 1.0

    def sheds(self, address: str) -> bool:
        """Whether a datagram from `address` is dropped unread."""
        if not self.is_behind or self._useless.get(address, 0) < SPARED:
            return False
        self._shed.value += 1
        return True

    def read(self) -> int:
        """The number of datagrams so far that were read and led to nothing."""
        return sum([each.value for each in self._counted])

    def led_to_nothing(self, address: str) -> None:
        """A datagram from `address` was read, and led to nothing."""
        known = self._useless.get(address, 0)
        if known or len(self._useless) < MOST_ADDRESSES:
            self._useless[address] = known + 1
