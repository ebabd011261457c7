"""Keys between two hosts: schedule, seal, replay window, proof. `docs/security.md` is the prose.

Only `dh` and `seal` need the package `cryptography`. The server imports `dh` if it is there, and goes without.
"""

NEEDS_PACKAGE = (
    "sealing needs the package cryptography: apt install python3-cryptography, "
    "or pip install cryptography"
)
"""The advice to a user who lacks it."""
