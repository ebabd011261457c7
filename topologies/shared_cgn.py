"""`natlab.topologies.shared_cgn` for plain Mininet: ``mn --custom topologies/shared_cgn.py --topo shared_cgn``."""

import sys
from pathlib import Path

# `mn` executes this file without a __file__ and without the repository on its path.
_CHECKOUT = Path((lambda: None).__code__.co_filename).resolve().parents[1]
sys.path[:0] = [str(_CHECKOUT / "lab"), str(_CHECKOUT)]

from natlab.topologies.shared_cgn import topos  # noqa: E402

__all__ = ["topos"]
