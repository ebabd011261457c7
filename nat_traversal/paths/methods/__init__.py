"""Methods that open a path, the rungs of the ladder: a file each."""
