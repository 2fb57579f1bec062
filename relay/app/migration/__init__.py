"""Making a configuration of the relay from Alertmanager's, for `relay import`."""
