"""What a NAT really does, asked by packets."""
