"""The model of events between two NATs; it shares no code with `natlab.nat`.

`path_can_open` is for everybody; `docs/lab/pytest.md` shows it.
"""

from natlab.oracle.possible import path_can_open

__all__ = ["path_can_open"]
