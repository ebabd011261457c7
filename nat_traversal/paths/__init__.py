"""Paths between two hosts: how one is opened, and how one is kept."""
