"""`python -m nat_traversal.cli.opened KEYLOG`: programs' datagrams in frames, opened with a key log.

A frame in hexadecimal a line on stdin. For each a line on stdout: the datagrams that are whole by then, in hexadecimal with commas between them, or ``-``
for a frame whose key the log lacks, or by which no datagram is whole. The NAT lab asks it, which has no keys itself.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator

from nat_traversal.aio.outbox import FLOW
from nat_traversal.crypto.frames import HEADER_OCTETS
from nat_traversal.crypto.key_log import KnownKeys
from nat_traversal.paths.bundles import Unbundler
from nat_traversal.wire.datagrams import PROGRAMS, Kind

NOT_OPENED = "-"


def opened(frames: Iterable[str], log: Iterable[str]) -> Iterator[str]:
    """The answer to each line of `frames`, with the keys in the lines of `log`."""
    known, unbundler, seen = KnownKeys(log), Unbundler(), set[int]()
    for line in frames:
        frame = bytes.fromhex(line)
        content = known.open(frame) if frame[0] in PROGRAMS else None
        datagrams: list[str] = []
        if content is not None and frame[0] == Kind.BUNDLE:
            number = int.from_bytes(frame[1:HEADER_OCTETS], "big")  # of connection and counter
            if number not in seen:  # captured once more
                seen.add(number)
                found = unbundler.arrived(number, memoryview(content), 0.0)
                datagrams += [payload.hex() for _, _, payload in found]
        elif content is not None and len(content) >= FLOW.size:
            datagrams.append(content[FLOW.size :].hex())
        yield ",".join(datagrams) if datagrams else NOT_OPENED


def main() -> int:
    """Read stdin to its end, and answer."""
    _, name = sys.argv
    with open(name, encoding="ascii") as log:  # noqa: PTH123
        for line in opened(sys.stdin, log):
            sys.stdout.write(f"{line}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
