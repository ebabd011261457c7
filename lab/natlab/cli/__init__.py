"""The lab's commands, a file each."""
