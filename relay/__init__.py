"""An asynchronous notification relay: events in, routing rules, markdown alerts out, nothing acknowledged ever lost."""

__version__ = "0.1.0"
