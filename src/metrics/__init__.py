"""Response-time metrics: messages in, one small hash per key and hour out."""
