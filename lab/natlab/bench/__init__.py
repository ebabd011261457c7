"""Loads of datagrams, and chains of hops that carry them, for benchmarks."""
