"""Give links of a standing network delay, jitter, loss, reordering, duplication, rate and MTU.

The kernel's netem does it where there is one and it has all that is asked for; if chance is involved,
it must also take a seed. Else the lab's own delay line does it, a process between the two ends.
"""

from __future__ import annotations

import json
import select
import signal
import subprocess
import sys
import threading
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Self

from nat_traversal.errors import UsageError
from natlab.errors import NetworkError
from natlab.links.conditions import LinkConditions, Way
from natlab.links.netem import TC, can, netem, redirect, try_out
from natlab.links.splice import End, Splice, mtu_of, set_mtu, splice
from natlab.sandbox.netns import Command, run_together
from natlab.sandbox.zygote import Prepared

if TYPE_CHECKING:
    from natlab.network.network import Network

Link = tuple[str, str]
"""Two neighbouring nodes. `LinkConditions.out` is what the first sends."""
_ANSWER_WITHIN = 20.0


class Means(StrEnum):
    """The mechanism that makes the conditions."""

    PLAIN = "plain veth"
    NETEM = "netem"
    DELAY_LINE = "delay line"


@dataclass(frozen=True, slots=True)
class Carried:
    """The delay line's work in one direction, in frames, and how late it was."""

    link: Link
    """From the first to the second."""
    received: int
    lost: int
    too_large: int
    overflowed: int
    reordered: int
    duplicated: int
    released: int
    refused: int
    """The kernel would not send them: the interface was going down, or its MTU had been lowered."""
    missed: int
    """Dropped by the kernel, because this machine did not run the delay line in time."""
    late_median_us: int
    """How long after their time frames were sent, by steps of 10 µs."""
    late_worst_us: int


@dataclass(frozen=True, slots=True)
class Conditioned:
    """The links of one `conditioned` block."""

    conditions: Mapping[Link, LinkConditions]
    means: Means
    relay: _Relay | None = None

    def __str__(self) -> str:
        links = (f"{a}-{b}: {each}" for (a, b), each in self.conditions.items())
        return f"{self.means}: {'; '.join(links)}"

    def carried(self) -> list[Carried]:
        """The delay line's work so far, one value for each direction; empty without a delay line.

        Raises `NetworkError` if it broke.
        """
        return self.relay.carried() if self.relay else []

    def untruths(self) -> list[str]:
        """Where the delay line was not what was asked for, in words. Raises `NetworkError`.

        It must not miss a frame, and at the median be late by less than 1 ms, or 2 % of the delay;
        a delay that nobody asked for may be longer.
        """
        found = []
        for each in self.carried():
            forth = self.conditions.get(each.link)
            asked = forth or self.conditions[each.link[::-1]]
            way = asked.out if forth else asked.back
            name = "-".join(each.link)
            if each.missed:
                found.append(f"{name}: {each.missed} frames came faster than this machine can")
            if not asked.is_default and each.late_median_us > max(1000, 20_000 * way.delay):
                late = each.late_median_us / 1000
                found.append(f"{name}: frames were {late:g} ms late at the median")
        return found


@contextmanager
def conditioned(
    network: Network,
    conditions: Mapping[Link, LinkConditions],
    *,
    means: Means | None = None,
    restore: bool = True,
) -> Iterator[Conditioned]:
    """Put `conditions` on links of `network` for the block, and make them what they were after it.

    To be entered after the probes, which need plain links, and before captures: the interface of one
    end is made anew, with its name, index, addresses and routes. Each end knows the other's hardware
    address, so that no ARP is delayed. Taking an end down stops the link; the other end does not lose
    its carrier.

    `method` is chosen by what the machine has. Without `restore` the links end with the network, as
    they are. Raises `UsageError` if there is no such link and
    `NetworkError` if the kernel refuses, or the delay line broke.
    """
    ends = {link: _ends(network, link) for link in conditions}
    chosen = means or means_for(list(conditions.values()))
    with ExitStack() as stack:
        if chosen is Means.PLAIN:
            for link, pair in ends.items():
                _set_mtu(pair, conditions[link].mtu, stack)
            yield Conditioned(conditions, chosen)
            return
        # It takes a while to start; meanwhile the links are opened.
        relay = stack.enter_context(_Relay()) if chosen is Means.DELAY_LINE else None
        directions = []
        for link, pair in ends.items():
            opened, ways = _opened(network, link, pair, conditions[link])
            directions += ways
            if restore:
                stack.callback(opened.close)
        if relay is None:
            lines = (
                redirect(each.source, each.target)
                + netem(each.target, each.way, zlib.crc32(each.seed.encode()))
                for each in directions
            )
            run_together([Command(TC, "".join(lines))])
            yield Conditioned(conditions, chosen)
            return
        relay.begin(directions)
        yield Conditioned(conditions, chosen, relay)
        relay.finish()


@dataclass(frozen=True, slots=True)
class _Direction:
    """One direction of an open link, by its inner interfaces."""

    link: Link
    source: str
    target: str
    way: Way
    seed: str


def means_for(conditions: Sequence[LinkConditions]) -> Means:
    """The mechanism that this machine has for these conditions. Call it inside `natlab.sandbox.sandbox.call`."""
    ways = [way for each in conditions for way in (each.out, each.back)]
    if all(way.is_plain for way in ways):
        return Means.PLAIN
    if not all(map(can, ways)):
        return Means.DELAY_LINE
    try:
        try_out(random=any(way.is_random for way in ways))
    except NetworkError:
        return Means.DELAY_LINE
    return Means.NETEM


def _ends(network: Network, link: Link) -> tuple[End, End]:
    first, second = map(network.node, link)
    found = network.mininet.linksBetween(first, second)
    if len(found) != 1:
        many = "no link" if not found else f"{len(found)} links"
        raise UsageError(f"{many} between {link[0]} and {link[1]}: name two neighbours")
    interfaces = {each.node: each.name for each in (found[0].intf1, found[0].intf2)}
    return End(first.pid, interfaces[first]), End(second.pid, interfaces[second])


def _opened(
    network: Network,
    link: Link,
    ends: tuple[End, End],
    conditions: LinkConditions,
) -> tuple[Splice, list[_Direction]]:
    """Open a link, and say what has to cross it in each direction."""
    first, second = ends
    # A NAT's interface stays: connection tracking knows it.
    rules = network.rules.get(link[1])
    if rules is not None and rules.iptables:
        opened = splice(second, first)
        at_first, at_second = opened.at_renewed, opened.at_kept
    else:
        opened = splice(first, second)
        at_first, at_second = opened.at_kept, opened.at_renewed
    if conditions.mtu is not None:
        opened.set_mtu(conditions.mtu)
    return opened, [
        _Direction(way_link, source, target, way, f"{conditions.seed}/{'>'.join(way_link)}")
        for way_link, source, target, way in (
            (link, at_first, at_second, conditions.out),
            (link[::-1], at_second, at_first, conditions.back),
        )
    ]


def _set_mtu(ends: Sequence[End], mtu: int | None, stack: ExitStack) -> None:
    if mtu is None:
        return
    for end in ends:
        stack.callback(set_mtu, end, mtu_of(end))
        set_mtu(end, mtu)


class _Relay:
    """The process that holds the frames of all delay lines of one `conditioned` block."""

    def __init__(self) -> None:
        self._directions: Sequence[_Direction] = ()
        self._process: Prepared | subprocess.Popen[bytes]
        argv = [sys.executable, "-m", "natlab.links.relay"]
        if threading.active_count() == 1:  # a fork has read the modules, and starts at once
            self._process = Prepared().become(argv, None, {}, interactive=True)
        else:
            self._process = subprocess.Popen(
                argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
        self._status: int | None = None

    def __enter__(self) -> Self:
        return self

    @property
    def pid(self) -> int:
        """Of its process."""
        return self._process.pid

    def begin(self, directions: Sequence[_Direction]) -> None:
        """Returns when frames cross. Raises `NetworkError` if it broke."""
        self._directions = directions
        work = [
            {
                "source": each.source,
                "target": each.target,
                "way": asdict(each.way),
                "seed": each.seed,
            }
            for each in directions
        ]
        self._tell(json.dumps(work))
        self._answer()

    def __exit__(self, *_exc: object) -> None:
        self._end_stdin()
        if self._status is None:
            self._process.send_signal(signal.SIGKILL)
            self._wait()
        for pipe in (self._process.stdout, self._process.stderr):
            assert pipe is not None
            pipe.close()

    def carried(self) -> list[Carried]:
        """Its work so far. Raises `NetworkError` if it broke."""
        self._tell("")
        return [
            Carried(direction.link, **summary)
            for direction, summary in zip(self._directions, json.loads(self._answer()), strict=True)
        ]

    def finish(self) -> None:
        """Stop it. Raises `NetworkError` if it broke."""
        self._end_stdin()
        if self._line() or self._wait() != 0:
            raise self._error()

    def _tell(self, text: str) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # then it has ended, and there will be no answer
            self._process.stdin.write(f"{text}\n".encode())
            self._process.stdin.flush()

    def _answer(self) -> str:
        answer = self._line()
        if not answer:
            raise self._error()
        return answer

    def _wait(self) -> int:
        if self._status is None:
            self._status = self._process.wait()
        return self._status

    def _end_stdin(self) -> None:
        """Its sign to stop."""
        if self._process.stdin is not None:
            with suppress(BrokenPipeError):
                self._process.stdin.close()
            self._process.stdin = None

    def _line(self) -> str:
        """The next line that it says; empty at its end."""
        assert self._process.stdout is not None
        readable, _, _ = select.select([self._process.stdout], [], [], _ANSWER_WITHIN)
        if not readable:
            raise NetworkError(f"the delay line did not answer within {_ANSWER_WITHIN:g} s")
        return self._process.stdout.readline().decode(errors="replace").strip()

    def _error(self) -> NetworkError:
        self._end_stdin()
        assert self._process.stderr is not None
        words = self._process.stderr.read()
        last = words.decode(errors="replace").strip().rpartition("\n")[2]
        status = self._wait()
        if status < 0:
            return NetworkError(
                f"something killed the delay line, without which the links carry nothing (signal {-status})"
            )
        return NetworkError(f"the delay line ended with exit status {status}: {last}")
