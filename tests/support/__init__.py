"""These helpers are shared by several tests: servers, apps, clients, and looks at Redis."""
