"""Listeners: what takes events from webhooks and websockets and hands them to the intake."""
