"""The model of events between two NATs; it shares no code with `natlab.nat`."""
