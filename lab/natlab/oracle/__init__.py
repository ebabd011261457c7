"""What ought to happen between two NATs; it shares no code with `natlab.nat`."""
