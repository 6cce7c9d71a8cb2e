"""The library: messages, hours, aggregates, and how they lie in Redis."""
