"""Rendering: an event becomes the markdown of its message."""
