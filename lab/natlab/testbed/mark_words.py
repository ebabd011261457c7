"""The marks of tests that want a lab: their names, and how they are written."""

from __future__ import annotations

PAIRS, TOPOLOGY = "nat_pairs", "nat_topology"
_SETTINGS = (
    "profile=, delay=, jitter=, loss=, burst=, reorder=, duplicate=, rate=, queue=, black_hole=, mtu=,"
    " seed=, firewall=, program= and faults=[...] as on the command line"
)
HELP = {
    PAIRS: f"{PAIRS}(*pairs, every=(), ...): run the test with `nat_lab` behind each of these pairs of NATs,"
    " as ('symmetric', 'none'), and behind every ordered pair of the NATs named in `every`, or of 'nine', 'presets';"
    f" {_SETTINGS}",
    TOPOLOGY: f"{TOPOLOGY}(*topologies, ...): run the test with `nat_lab` in each of these, as"
    f" 'star,peers=4' or 'PATH.py:NAME,parameter=value'; {_SETTINGS}",
}
