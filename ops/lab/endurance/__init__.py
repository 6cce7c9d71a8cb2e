"""Endurance: an hour of good and bad requests, failovers and restarts; nothing leaks."""
