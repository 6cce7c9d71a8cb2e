"""The client library: one line in an app, and the app never notices."""
