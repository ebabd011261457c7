"""A server under attack, with real processes: how much longer a legitimate pair takes to connect.

``python -m scripts.attack`` runs every attack and prints the table of `docs/server/under-attack.md`.
"""
