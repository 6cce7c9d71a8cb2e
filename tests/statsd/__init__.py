"""Tests of the agent: names, lines, sockets, and real senders."""
