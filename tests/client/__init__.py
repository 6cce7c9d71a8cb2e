"""These tests run the client library in apps of every kind."""
