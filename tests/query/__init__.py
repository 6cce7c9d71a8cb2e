"""The query service, over HTTP and in its parts."""
