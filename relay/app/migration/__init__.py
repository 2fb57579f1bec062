"""`relay import`: an Alertmanager configuration becomes the relay's."""
