"""These tests check that the pages are true."""
