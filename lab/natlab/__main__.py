"""``python -m natlab …``: the same as the console command ``natlab``."""

import sys

from natlab.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
