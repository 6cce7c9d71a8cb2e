"""The laboratory: what measures, simulates and breaks the system."""
