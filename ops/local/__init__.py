"""Running all of it on one machine: Redis, a Redis Cluster, and the Procfile's processes."""
