"""The client library, in apps of every kind."""
