"""Trying: what a configuration would do with a payload, an event or a day, without sending anything."""
