"""The parts of client and server: events, actions, notices, timers, transition tables."""
