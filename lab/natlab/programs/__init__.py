"""Ordinary programs on the nodes of the lab, and what they say."""
