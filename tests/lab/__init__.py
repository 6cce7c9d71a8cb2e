"""These tests are of the laboratory, which measures, simulates and breaks the system."""
