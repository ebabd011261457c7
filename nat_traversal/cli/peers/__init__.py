"""Clients of this process: one for each peer, of a command line or of a configuration file."""
