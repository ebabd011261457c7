"""The behaviour of this host's NAT, found out by asking: questions, their plan, and the verdict."""
