"""What benchmarks compare: loads of datagrams, and chains of hops that carry them."""
