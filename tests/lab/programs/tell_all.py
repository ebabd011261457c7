"""``python -m tests.lab.programs.tell_all [WORD]...``: what a program sees of itself; then it ends as told."""

# ruff: noqa: T201

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

_SPACES = ("net", "mnt", "pid", "user")


def main() -> None:
    spaces = {name: str(Path(f"/proc/self/ns/{name}").readlink()) for name in _SPACES}
    files = sorted(int(path.name) for path in Path("/proc/self/fd").iterdir() if path.is_symlink())
    seen = {
        "argv": sys.argv[1:],
        "name": __name__,
        "spaces": spaces,
        "files": [number for number in files if number < 3],
        "more files": len(files) - 3,
        "stdin": sys.stdin.read(),
        "streams": [(s.encoding, s.errors) for s in (sys.stdin, sys.stdout, sys.stderr)],
        "terminal": os.isatty(1),
        "leads its session": os.getsid(0) == os.getpid(),
        "told": os.environ.get("TOLD"),
    }
    print(json.dumps(seen))
    print("on the side", file=sys.stderr)
    match sys.argv[1:]:
        case ["say", words]:
            sys.exit(words)
        case ["status", number]:
            sys.exit(int(number))
        case ["raise"]:
            raise ValueError("as told")
        case ["wait"]:
            print("waiting", flush=True)
            signal.pause()


if __name__ == "__main__":
    main()
