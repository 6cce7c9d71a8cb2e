"""The laboratory: it measures, simulates and breaks the system. Nothing but tests imports it."""
