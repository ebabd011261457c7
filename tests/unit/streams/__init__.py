"""Streams of TCP inside a path, on a virtual clock."""
