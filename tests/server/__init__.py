"""HTTP under gunicorn."""
