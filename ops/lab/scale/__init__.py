"""A model of the pipeline: what it needs at any rate, which part breaks first, what to change."""
