#!/usr/bin/env python3
"""The traversal client, straight from a checkout: `python3 traversal_client.py --help`."""

import sys

from nat_traversal.cli.main import client_main

if __name__ == "__main__":
    sys.exit(client_main())
