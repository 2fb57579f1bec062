"""Senders: one try at a time to post in a room of a service, its answer turned into an outcome."""
