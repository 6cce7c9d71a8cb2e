"""Fuzzing: whatever is sent, asked, or lies in Redis, the readers keep their promises."""
