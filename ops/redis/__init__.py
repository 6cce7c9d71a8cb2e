"""The Redis that we ship, run and test with: its settings, one server, and a cluster of six."""
