"""Mininet networks of the lab: nodes, links, addresses, bring-up, take-down."""
