"""These tests are of the worker."""
