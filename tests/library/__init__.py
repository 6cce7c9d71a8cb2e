"""These tests are of the library: messages, hours, aggregates, and their forms in Redis."""
