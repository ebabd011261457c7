"""The rendezvous server as machines without I/O."""
