"""Benchmarks of the components, each apart from the others: CPU seconds, bytes and memory."""
