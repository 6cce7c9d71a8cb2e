"""How the work spreads over the masters of a Redis Cluster, and what a hot key does to that."""
