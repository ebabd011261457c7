"""The server's part in each method that opens a path: a file each."""
