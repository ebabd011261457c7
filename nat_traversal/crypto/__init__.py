"""Keys between two hosts: schedule, seal, replay window, proof. `docs/security.md` is the prose.

Only `dh` and `seal` need the package `cryptography`. Nothing of the server imports these two.
"""
