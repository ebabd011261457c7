"""Probes: ask a NAT with packets what it really does."""
