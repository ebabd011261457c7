"""The topologies that come with the lab, a file each."""
