"""Running: the daemon, its reloads, its state, and the requests of people while it runs."""
