"""Senders: each call tries once to post in a room of a service, and turns its answer into an outcome."""
