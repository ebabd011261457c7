"""The parts of client and server: events and actions, timers, transition tables."""
