"""These tests are of HTTP under gunicorn."""
