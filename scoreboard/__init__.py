"""The scoreboard: programs that others made, and ours, through the same NATs of the lab (`docs/scoreboard.md`).

Nothing of the packages depends on it, and it brings what it needs itself: ``make scoreboard``.
"""
