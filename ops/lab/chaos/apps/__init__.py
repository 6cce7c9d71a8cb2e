"""Apps that record through the client library while the collectors die around them."""
