"""`natlab.topologies.multi_homed` for plain Mininet: ``mn --custom topologies/multi_homed.py --topo multi_homed``."""

import sys
from pathlib import Path

# `mn` executes this file without a __file__ and without the repository on its path.
_CHECKOUT = Path((lambda: None).__code__.co_filename).resolve().parents[1]
sys.path[:0] = [str(_CHECKOUT / "lab"), str(_CHECKOUT)]

from natlab.topologies.multi_homed import topos  # noqa: E402

__all__ = ["topos"]
