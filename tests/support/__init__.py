"""What several tests share: servers, apps, clients, and looks at Redis."""
