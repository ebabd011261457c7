"""How long servers that share a store wait for each other, for the store and for a look at it."""

from __future__ import annotations

AGAIN = 0.5
"""Seconds until an id that another server holds is asked for again: that server may be dead."""
PATIENCE = 2.0
"""Seconds after a server's lease, until an id that another one holds is refused."""
RENEW = 5.0
"""Seconds between two looks at whether the peer is still where it was."""
SETTLED = 2.0
"""Seconds for which a peer that was just found counts as there: a look may be older than that."""
RETURN = (1.0, 2.0)
"""Seconds after which a client comes back that could not be admitted, the least and the most."""
