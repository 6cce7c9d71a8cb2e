"""The HTTP services: the collector takes messages, the query service answers from key-hours."""
