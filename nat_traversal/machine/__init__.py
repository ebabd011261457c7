"""What client and server are made of: events and actions, timers, transition tables."""
