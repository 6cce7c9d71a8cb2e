"""These small apps, one for each framework, answer the same paths."""
