"""These tests start, stop, deploy and break the processes."""
