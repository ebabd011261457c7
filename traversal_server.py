#!/usr/bin/env python3
"""The traversal server, straight from a checkout: `python3 traversal_server.py`."""

import sys

from nat_traversal.cli.main import server_main

if __name__ == "__main__":
    sys.exit(server_main())
