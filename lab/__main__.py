"""``python -m lab …`` from a checkout: the same as the console command ``natlab``."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from natlab.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
