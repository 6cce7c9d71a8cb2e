"""What runs, deploys, measures and breaks the processes."""
