"""Faults in a standing network: written, scheduled, made to happen."""
