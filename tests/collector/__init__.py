"""These tests are of the collector, over HTTP and in its parts."""
