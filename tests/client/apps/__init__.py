"""Small apps, one for each framework, that answer the same paths."""
