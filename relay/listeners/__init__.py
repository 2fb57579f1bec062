"""Listeners: they take events from webhooks and websockets, and hand them to the intake."""
