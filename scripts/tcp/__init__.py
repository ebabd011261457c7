"""TCP services and wireguard-go through the same two NATs, by what people use: iperf3, curl, ssh, many connections."""
