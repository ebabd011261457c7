#!/usr/bin/env python3
"""The traversal server, straight from a checkout: `python3 traversal_server.py`."""

try:
    import sys
    from pathlib import Path

    from nat_traversal.cli import start
except KeyboardInterrupt:  # Ctrl-C before anything has begun
    raise SystemExit(0) from None

if __name__ == "__main__":
    sys.exit(start.server(Path(__file__).parent))
