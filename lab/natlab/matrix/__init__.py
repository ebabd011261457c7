"""Every pair of NATs, a cell each, several at a time."""
