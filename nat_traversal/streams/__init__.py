"""TCP connections as streams of one QUIC connection between two hosts: credit, states, and the machine that drives them."""
