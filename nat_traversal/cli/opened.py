"""`python -m nat_traversal.cli.opened KEYLOG`: programs' datagrams in frames, opened with a key log.

A frame in hexadecimal a line on stdin. For each a line on stdout: the program's datagram in hexadecimal, or ``-``
for a frame whose key the log lacks, or that holds no whole datagram. The NAT lab asks it, which has no keys itself.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator

from nat_traversal.aio.outbox import FLOW
from nat_traversal.crypto.key_log import KnownKeys
from nat_traversal.wire.datagrams import Kind

NOT_OPENED = "-"


def opened(frames: Iterable[str], log: Iterable[str]) -> Iterator[str]:
    """The answer to each line of `frames`, with the keys in the lines of `log`."""
    known = KnownKeys(log)
    for line in frames:
        frame = bytes.fromhex(line)
        content = known.open(frame) if frame[:1] == bytes([Kind.DATA]) else None
        whole = content is not None and len(content) >= FLOW.size
        yield content[FLOW.size :].hex() if content is not None and whole else NOT_OPENED


def main() -> int:
    """Read stdin to its end, and answer."""
    _, name = sys.argv
    with open(name, encoding="ascii") as log:  # noqa: PTH123
        for line in opened(sys.stdin, log):
            sys.stdout.write(f"{line}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
