"""A load that goes on: how the system stands up to many times the seed's for minutes."""
