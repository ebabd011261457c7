"""The NAT lab: any programs behind real Linux NATs, without root, with packets as proof."""
