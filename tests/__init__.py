"""The tests: a folder a ring, a room within it for each room of the code."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
"""The checkout."""
