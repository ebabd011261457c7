"""Captured packets: the sockets that take them, and each as a plain value."""
