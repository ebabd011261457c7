"""`natlab.topologies.nat64` for plain Mininet: ``mn --custom topologies/nat64.py --topo nat64``."""

import sys
from pathlib import Path

# `mn` executes this file without a __file__ and without the repository on its path.
_CHECKOUT = Path((lambda: None).__code__.co_filename).resolve().parents[1]
sys.path[:0] = [str(_CHECKOUT / "lab"), str(_CHECKOUT)]

from natlab.topologies.nat64 import topos  # noqa: E402

__all__ = ["topos"]
