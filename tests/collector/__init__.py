"""The collector, over HTTP and in its parts."""
