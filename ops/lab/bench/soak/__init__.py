"""A load that goes on for minutes, on one Redis or a cluster, with each message accounted for."""
