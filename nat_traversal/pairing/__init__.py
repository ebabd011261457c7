"""Two hosts that never met: an invitation in one line, and the exchange of their keys."""
