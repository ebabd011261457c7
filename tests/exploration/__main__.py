"""``make explore``: a search without gaps through one attempt's worlds, and what it has seen."""

from __future__ import annotations

import argparse
import sys
import time

from tests.exploration.explore import explore
from tests.exploration.values import KINDS, Begin, Rules


def main() -> int:
    parser = argparse.ArgumentParser(prog="make explore EXPLORE_ARGS=", description=__doc__)
    parser.add_argument("--faults", type=int, default=2, help="at most, in one attempt")
    parser.add_argument("--kinds", default=",".join(sorted(KINDS)), help="of faults")
    parser.add_argument("--begin", choices=[each.name.lower() for each in Begin], default="round")
    parser.add_argument("--open", action="store_true", help="NATs that let everything in")
    parser.add_argument("--most", type=int, default=20_000_000, help="worlds")
    words = parser.parse_args()
    kinds = frozenset(words.kinds.split(","))
    if not kinds <= KINDS:
        parser.error(f"kinds are {', '.join(sorted(KINDS))}")
    rules = Rules(filtered=not words.open, begin=Begin[words.begin.upper()], kinds=kinds)
    began = time.monotonic()

    def tell(text: str) -> None:
        sys.stdout.write(f"{time.monotonic() - began:.0f} s: {text}\n")
        sys.stdout.flush()

    found = explore(rules, words.faults, words.most, tell)
    tell(f"{'complete' if found.is_complete else 'NOT complete'}: {found}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
