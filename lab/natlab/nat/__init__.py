"""NAT behaviour as Linux firewall rules."""
