"""``python -m nat_traversal server|client …``"""

import sys

from nat_traversal.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
