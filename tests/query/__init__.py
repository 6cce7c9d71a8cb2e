"""These tests are of the query service, over HTTP and in its parts."""
