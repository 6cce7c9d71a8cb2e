"""The dashboard: a page for browsers that stands on the query service's own answers."""
