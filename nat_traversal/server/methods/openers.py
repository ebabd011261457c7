"""The opener of a round of guesses, where neither NAT keeps ports. Pure.

Both ports are unknown then, and one guess is enough if the opener's NAT gives one port to all of the peer's ports, and lets all of
them in. The opener's sockets speak first, to any port of the prober's address. A probe that meets one of their ports is let
in, and shows the opener the other port. So that host has to be found, by what it has told of its NAT.
"""

from __future__ import annotations

from nat_traversal.server.member import Member


def opener_by_address(members: tuple[Member, Member]) -> Member | None:
    """None: there is none, or nobody has told of it."""
    if any(each.keeps_port is not False for each in members):
        return None
    told = (each for each in members if each.nat is not None and each.nat.lets_guesses_in)
    return next(told, None)
