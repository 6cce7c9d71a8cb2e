"""The worker process: folds the backlog into key-hours."""
