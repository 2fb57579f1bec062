"""Rendering of events into the markdown of their messages, and into cards."""
