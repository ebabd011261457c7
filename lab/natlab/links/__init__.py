"""Delay, loss and other conditions on the links of a standing network."""
